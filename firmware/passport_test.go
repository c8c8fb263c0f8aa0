package firmware_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hil-runner/firmware"
)

func openPassports(t *testing.T) *firmware.Passports {
	t.Helper()
	store, err := firmware.OpenPassports(filepath.Join(t.TempDir(), "passports"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// mustFresh resets the passport of "board".
func mustFresh(t *testing.T, store *firmware.Passports) *firmware.Passport {
	t.Helper()
	p := &firmware.Passport{Key: "board"}
	if err := store.Save(p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPassportSurvives(t *testing.T) {
	dir := t.TempDir()
	store, err := firmware.OpenPassports(dir)
	if err != nil {
		t.Fatal(err)
	}
	const mac = "00:80:E1:AA:BB:CC"
	p, err := store.Load(mac)
	if err != nil {
		t.Fatal(err)
	}
	img := image(t, noise(1, 5000))
	flash(t, newROM(), img, firmware.Options{Passport: p})
	store.Close()

	store, err = firmware.OpenPassports(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	p, err = store.Load(mac)
	if err != nil || p.SHA256 != img.Hash() || p.Build != img.Build || p.Cycles != 1 || p.When.IsZero() || !p.Proves(img, img.Build) {
		t.Fatalf("got %+v, %v", p, err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != "00-80-E1-AA-BB-CC.json" {
		t.Errorf("files %v, %v", files, err)
	}
	info, err := files[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	if err := store.Void(mac, "boot ROM entered by hand"); err != nil {
		t.Fatal(err)
	}
	if err := store.Void(mac, "again"); err != nil {
		t.Fatal(err)
	}
	p, err = store.Load(mac)
	if err != nil || p.Void == nil || p.Void.Reason != "boot ROM entered by hand" || p.Proves(img, img.Build) {
		t.Errorf("got %+v, %v", p, err)
	}
	rom := newROM()
	flash(t, rom, img, firmware.Options{Passport: p})
	if p, err = store.Load(mac); err != nil || p.Void != nil || p.Cycles != 2 {
		t.Errorf("a full proof must make the passport good again: %+v, %v", p, err)
	}
}

func TestPassportDamaged(t *testing.T) {
	dir := t.TempDir()
	store, err := firmware.OpenPassports(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for name, content := range map[string]string{
		"no json":      "\x00\xff garbage",
		"of another":   `{"key":"other","cycles":1}`,
		"too big":      `{"key":"board","build":"` + strings.Repeat("x", 1<<17) + `"}`,
		"empty":        "",
		"wrong shapes": `{"key":"board","pages":{"a":1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "board.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			p, err := store.Load("board")
			if err == nil || p == nil || p.Void == nil {
				t.Fatalf("got %+v, %v", p, err)
			}
			flash(t, newROM(), image(t, noise(1, 4096)), firmware.Options{Passport: p})
			if p, err = store.Load("board"); err != nil || p.Void != nil {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

func TestPassportKeys(t *testing.T) {
	store := openPassports(t)
	for _, key := range []string{"", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a\x00b", "ü", strings.Repeat("k", 65), "a b"} {
		if p, err := store.Load(key); err == nil || p != nil {
			t.Errorf("key %q: got %v, %v", key, p, err)
		}
		if err := store.Void(key, "x"); err == nil {
			t.Errorf("key %q was voided", key)
		}
	}
}
