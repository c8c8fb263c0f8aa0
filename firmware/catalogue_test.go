package firmware_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"aead.dev/minisign"

	"hil-runner/firmware"
)

type key struct {
	public  minisign.PublicKey
	private minisign.PrivateKey
}

func newKey(t *testing.T) key {
	t.Helper()
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key{public, private}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// release gives one entry of a manifest.
func release(name, file string, data []byte) string {
	return fmt.Sprintf("  - release: %s\n    build: 170111-665d284-SPWF01S\n    level: 3.5.3\n    sha256: %s\n    model: SPWF01SA\n"+
		"    address: 0x08002800\n    method: uart\n    file: %q\n", name, hash(data), file)
}

// folder makes a catalogue's folder of a manifest and files.
func folder(t *testing.T, manifest string, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, firmware.ManifestName), []byte(manifest))
	for name, data := range files {
		write(t, filepath.Join(dir, name), data)
	}
	return dir
}

func TestCatalogueSignatures(t *testing.T) {
	data, lab, other := noise(1, 5000), newKey(t), newKey(t)
	tampered := bytes.Clone(data)
	tampered[0] ^= 1
	trusted := []minisign.PublicKey{newKey(t).public, lab.public}
	for _, c := range []struct {
		name  string
		file  []byte
		sig   []byte
		trust firmware.Trust
		want  error
		by    string
	}{
		{"signed", data, minisign.Sign(lab.private, data), firmware.Trust{Keys: trusted}, nil, fmt.Sprintf("%016X", lab.public.ID())},
		{"signed where it need not be", data, minisign.Sign(lab.private, data), firmware.Trust{Keys: trusted, AllowUnsigned: true}, nil, fmt.Sprintf("%016X", lab.public.ID())},
		{"no signature", data, nil, firmware.Trust{Keys: trusted}, firmware.ErrUnsigned, ""},
		{"no signature, allowed", data, nil, firmware.Trust{Keys: trusted, AllowUnsigned: true}, nil, firmware.Unsigned},
		{"signed by a stranger", data, minisign.Sign(other.private, data), firmware.Trust{Keys: trusted}, firmware.ErrUnsigned, ""},
		{"signed by a stranger, allowed", data, minisign.Sign(other.private, data), firmware.Trust{AllowUnsigned: true}, nil, firmware.Unsigned},
		{"signature of other bytes", data, minisign.Sign(lab.private, tampered), firmware.Trust{Keys: trusted}, firmware.ErrSignature, ""},
		{"signature of other bytes, allowed", data, minisign.Sign(lab.private, tampered), firmware.Trust{Keys: trusted, AllowUnsigned: true}, firmware.ErrSignature, ""},
		{"signature is garbage", data, []byte("\x00\xff"), firmware.Trust{Keys: trusted, AllowUnsigned: true}, firmware.ErrSignature, ""},
		{"signature is empty", data, []byte{}, firmware.Trust{Keys: trusted, AllowUnsigned: true}, firmware.ErrSignature, ""},
		{"signature is huge", data, make([]byte, 1<<20), firmware.Trust{Keys: trusted, AllowUnsigned: true}, firmware.ErrTooBig, ""},
		{"file was changed", tampered, minisign.Sign(lab.private, tampered), firmware.Trust{Keys: trusted}, firmware.ErrHash, ""},
		{"file was cut", data[:4000], minisign.Sign(lab.private, data[:4000]), firmware.Trust{Keys: trusted}, firmware.ErrHash, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string][]byte{"fw.bin": c.file}
			if c.sig != nil {
				files["fw.bin.minisig"] = c.sig
			}
			cat, err := firmware.LoadCatalogue(folder(t, "releases:\n"+release("3.5.3", "fw.bin", data), files), c.trust)
			if err != nil {
				t.Fatal(err)
			}
			img, err := cat.Image("3.5.3")
			wantIs(t, err, c.want)
			if img.Signature != c.by {
				t.Errorf("signature %q, want %q", img.Signature, c.by)
			}
			if c.want == nil && (!bytes.Equal(img.Data, data) || img.Build != "170111-665d284-SPWF01S" || img.Model != "SPWF01SA" || img.Address != firmware.AppStart) {
				t.Errorf("got %+v", img)
			}
			if c.want != nil && !strings.Contains(err.Error(), "3.5.3") {
				t.Errorf("%v does not name the release", err)
			}
		})
	}
}

func TestFind(t *testing.T) {
	data := noise(1, 4096)
	cat, err := firmware.LoadCatalogue(folder(t, "releases:\n"+release("3.4", "a.bin", data)+release("3.5.3", "b.bin", data), nil), firmware.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Add(firmware.Entry{Release: "3.0.0", Build: "virtual", Model: "SPWF01SA"}, data); err != nil {
		t.Fatal(err)
	}
	if err := cat.Add(firmware.Entry{Release: "3.4"}, data); err == nil {
		t.Error("a release was added twice")
	}
	if err := cat.Add(firmware.Entry{Release: "3.9", SHA256: hash(nil)}, data); !errors.Is(err, firmware.ErrHash) {
		t.Errorf("got %v", err)
	}
	if err := cat.Add(firmware.Entry{Release: "3.9", Address: 0x08000000}, data); !errors.Is(err, firmware.ErrRange) {
		t.Errorf("got %v", err)
	}
	img, err := cat.Image("3.0.0")
	if err != nil || !img.Virtual || img.Signature != firmware.VirtualUnsigned || img.Hash() != hash(data) {
		t.Errorf("got %+v, %v", img, err)
	}
	e, err := cat.Find("3.0.0")
	if err != nil || e.SHA256 != hash(data) || e.Address != firmware.AppStart || e.Method != firmware.UART {
		t.Errorf("got %+v, %v", e, err)
	}
	_, err = cat.Find("3.5.4")
	wantIs(t, err, firmware.ErrUnknownRelease)
	if want := `did you mean "3.5.3"`; err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "known: 3.4, 3.5.3, 3.0.0") {
		t.Errorf("%v does not say %s and list what is known", err, want)
	}
	if _, err := firmware.NewCatalogue().Find("x"); err == nil || !strings.Contains(err.Error(), "none are known") {
		t.Errorf("got %v", err)
	}
	if got := cat.Entries(); len(got) != 3 || got[2].Release != "3.0.0" {
		t.Errorf("got %+v", got)
	}
}

// TestNothingOutsideTheFolder reads through every kind of name that could lead
// out of the catalogue's folder, or that is no plain file.
func TestNothingOutsideTheFolder(t *testing.T) {
	secret := noise(1, 4096)
	outside := filepath.Join(t.TempDir(), "secret.bin")
	write(t, outside, secret)
	dir := t.TempDir()
	for name, target := range map[string]string{"link.bin": outside, "up": "..", "loop.bin": "loop.bin"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo.bin"), 0o600); err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(dir, outside)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{outside, rel, "../" + filepath.Base(filepath.Dir(outside)) + "/secret.bin", "link.bin", "up/secret.bin",
		"loop.bin", "folder.bin", "fifo.bin", "./../x", "a/../../x", "..", ".", "/", "", "fw\x00.bin", "CON", strings.Repeat("x", 255), strings.Repeat("x", 4096), "no such file"} {
		manifest := "releases:\n" + release("r", "PLACE", secret)
		manifest = strings.Replace(manifest, `"PLACE"`, fmt.Sprintf("%q", name), 1)
		write(t, filepath.Join(dir, firmware.ManifestName), []byte(manifest))
		cat, err := firmware.LoadCatalogue(dir, firmware.Trust{AllowUnsigned: true})
		if err != nil {
			continue // refused by the manifest already
		}
		if img, err := cat.Image("r"); err == nil {
			t.Errorf("file %q was read: %d bytes", name, len(img.Data))
		}
	}
}

// TestFlashedBytesAreTheVerifiedOnes swaps the file on disk for another one all
// the time: what Image gives always has the hash of the manifest.
func TestFlashedBytesAreTheVerifiedOnes(t *testing.T) {
	good, evil := noise(1, 20000), noise(2, 20000)
	dir := folder(t, "releases:\n"+release("r", "fw.bin", good), map[string][]byte{"fw.bin": good, "good": good, "evil": evil})
	cat, err := firmware.LoadCatalogue(dir, firmware.Trust{AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			from := []string{"good", "evil"}[i%2]
			data, err := os.ReadFile(filepath.Join(dir, from))
			if err != nil {
				t.Error(err)
				return
			}
			// In place, so that a reader can see half of each.
			if err := os.WriteFile(filepath.Join(dir, "fw.bin"), data, 0o600); err != nil {
				t.Error(err)
				return
			}
		}
	})
	accepted, refused := 0, 0
	for range 1000 {
		img, err := cat.Image("r")
		if err != nil {
			refused++
			continue
		}
		accepted++
		if !bytes.Equal(img.Data, good) || img.Hash() != hash(good) {
			t.Fatal("other bytes than the promised ones came through")
		}
	}
	close(stop)
	swapper.Wait()
	t.Logf("%d accepted, %d refused", accepted, refused)
}

func TestReadFile(t *testing.T) {
	data, lab := noise(1, 5000), newKey(t)
	binary.LittleEndian.PutUint32(data, 0x20005000)
	binary.LittleEndian.PutUint32(data[4:], firmware.AppStart+0x201)
	path := filepath.Join(t.TempDir(), "candidate.bin")
	write(t, path, data)
	trust := firmware.Trust{Keys: []minisign.PublicKey{lab.public}}
	_, err := firmware.ReadFile(path, firmware.Entry{}, trust)
	wantIs(t, err, firmware.ErrUnsigned)
	write(t, path+firmware.SignatureSuffix, minisign.Sign(lab.private, data))
	img, err := firmware.ReadFile(path, firmware.Entry{Build: "b", Model: "SPWF01SA"}, trust)
	if err != nil || img.Release != "candidate.bin" || img.Signature != fmt.Sprintf("%016X", lab.public.ID()) || img.Method != firmware.UART {
		t.Errorf("got %+v, %v", img, err)
	}
	_, err = firmware.ReadFile(filepath.Dir(path), firmware.Entry{}, trust)
	if err == nil {
		t.Error("a folder was read")
	}
	_, err = firmware.ReadFile(path+"x", firmware.Entry{}, trust)
	wantIs(t, err, os.ErrNotExist)
}

// TestReadFileWantsAnApplication keeps any other file off a module: one that
// does not begin with a vector table leaves it silent.
func TestReadFileWantsAnApplication(t *testing.T) {
	for name, c := range map[string]struct {
		stack, reset uint32
		want         error
	}{
		"application":            {0x20005000, firmware.AppStart + 0x201, nil},
		"stack at the end":       {0x20010000, firmware.AppStart + 0x201, nil},
		"stack outside of RAM":   {0x20020000, firmware.AppStart + 0x201, firmware.ErrFormat},
		"reset without Thumb":    {0x20005000, firmware.AppStart + 0x200, firmware.ErrFormat},
		"reset in the boot part": {0x20005000, firmware.AppStart - 0x1ff, firmware.ErrFormat},
		"reset behind the image": {0x20005000, firmware.AppStart + 5001, firmware.ErrFormat},
		"text":                   {0x6C6C6568, 0x6874206F, firmware.ErrFormat},
	} {
		data := noise(1, 5000)
		binary.LittleEndian.PutUint32(data, c.stack)
		binary.LittleEndian.PutUint32(data[4:], c.reset)
		path := filepath.Join(t.TempDir(), "image.bin")
		write(t, path, data)
		_, err := firmware.ReadFile(path, firmware.Entry{}, firmware.Trust{AllowUnsigned: true})
		if c.want == nil && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.want != nil {
			wantIs(t, err, c.want)
		}
	}
}
