package image_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hil-runner/farm/virtlab/image"
)

func build(t testing.TB, p image.Profile) []byte {
	t.Helper()
	data, err := image.Build(p)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReleases(t *testing.T) {
	builds := map[string]string{"3.2": "140805-3f58d6b", "3.4": "150410-c2e37a3", "3.5.3": "170111-665d284", "3.0.0": "170310-facade0"}
	pattern := regexp.MustCompile(`^\d{6}-[0-9a-f]{7}$`)
	releases := image.Releases()
	if len(releases) != len(builds) {
		t.Fatalf("%d releases, want %d", len(releases), len(builds))
	}
	for _, p := range releases {
		if p.Build() != builds[p.Release()] || !pattern.MatchString(p.Build()) {
			t.Errorf("release %s has build %s, want %s", p.Release(), p.Build(), builds[p.Release()])
		}
		if !p.Virtual || p.Invented != (p.Release() == "3.0.0") {
			t.Errorf("release %s: virtual %v, invented %v", p.Release(), p.Virtual, p.Invented)
		}
		data := build(t, p)
		if len(data) != 390932 {
			t.Errorf("release %s has %d bytes", p.Release(), len(data))
		}
		if !bytes.Equal(data, build(t, p)) {
			t.Errorf("release %s is not reproducible", p.Release())
		}
		got, err := image.Parse(append(data, 0xFF, 0xFF))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Errorf("release %s through its image (-want +got):\n%s", p.Release(), diff)
		}
	}
	if p, _ := image.Find("3.0.0"); p.Level != "3.5.3" {
		t.Errorf("3.0.0 has level %s, want that of its era", p.Level)
	}
}

func TestVectors(t *testing.T) {
	data := build(t, image.Releases()[0])
	if sp := binary.LittleEndian.Uint32(data); sp != 0x20010000 {
		t.Errorf("initial stack 0x%08x", sp)
	}
	for i := 1; i < 76; i++ {
		v := binary.LittleEndian.Uint32(data[4*i:])
		if v&1 == 0 || v < image.Address || v >= image.Address+image.Size {
			t.Errorf("vector %d is 0x%08x: not Thumb code in the image", i, v)
		}
	}
}

func TestDamageIsSeen(t *testing.T) {
	data := build(t, image.Releases()[0])
	for _, at := range []int{0, 0x200, 0x208, 0x20C, 0x300, len(data) / 2, len(data) - 1} {
		bad := bytes.Clone(data)
		bad[at] ^= 0x10
		if _, err := image.Parse(bad); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("bit flipped at 0x%x: %v", at, err)
		}
	}
	for _, p := range [][]byte{nil, data[:len(data)-1], bytes.Repeat([]byte{0xFF}, len(data))} {
		if _, err := image.Parse(p); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("%d bytes: %v", len(p), err)
		}
	}
}

func TestBootPart(t *testing.T) {
	boot := image.Boot()
	if len(boot) != 10240 {
		t.Fatalf("%d bytes, want five pages", len(boot))
	}
	if err := image.CheckBoot(boot); err != nil {
		t.Error(err)
	}
	for page := range 5 {
		bad := bytes.Clone(boot)
		copy(bad[page*2048:(page+1)*2048], bytes.Repeat([]byte{0xFF}, 2048))
		if err := image.CheckBoot(bad); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("page %d erased: %v", page, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	p, err := image.Build(image.Releases()[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p[0x200:0x280], 0x200)
	f.Add([]byte{0xFF}, 0)
	f.Fuzz(func(t *testing.T, patch []byte, at int) {
		bad := bytes.Clone(p)
		if at < 0 || at >= len(bad) {
			return
		}
		copy(bad[at:], patch)
		if _, err := image.Parse(bad); err != nil && !errors.Is(err, image.ErrInvalid) {
			t.Fatal(err)
		}
	})
}
