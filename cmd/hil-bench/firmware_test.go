package main

import (
	"bytes"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"hil-runner/farm/virtlab/image"
	"hil-runner/firmware"
)

func TestForgeCRC(t *testing.T) {
	noise := rand.NewChaCha8([32]byte{1})
	p := make([]byte, 1000)
	_, _ = noise.Read(p)
	for _, at := range []int{0, 1, 500, 996} {
		before := bytes.Clone(p)
		want := uint32(noise.Uint64())
		if err := forgeCRC(p, at, want); err != nil {
			t.Fatal(err)
		}
		if got := crc32.ChecksumIEEE(p); got != want {
			t.Errorf("at %d: CRC %08x, want %08x", at, got, want)
		}
		if !bytes.Equal(p[:at], before[:at]) || !bytes.Equal(p[at+forge:], before[at+forge:]) {
			t.Errorf("at %d: other bytes were changed too", at)
		}
	}
}

// The module must accept what it has in flash after any of the images was
// written over a fresh one.
func TestMakerImagesStart(t *testing.T) {
	m, err := newMaker(64 << 10)
	if err != nil {
		t.Fatal(err)
	}
	dense, err := m.dense(5)
	if err != nil {
		t.Fatal(err)
	}
	blank, err := m.halfBlank(6)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := m.changed(dense, 0.10, 7)
	if err != nil {
		t.Fatal(err)
	}
	for name, img := range map[string]firmware.Image{"dense": dense, "half-blank": blank, "changed": changed} {
		if len(img.Data) != 64<<10 {
			t.Errorf("%s: %d bytes", name, len(img.Data))
		}
		p, err := image.Parse(append(bytes.Clone(img.Data), m.tail...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if p.Build() != img.Build {
			t.Errorf("%s: the module would report %s, the catalogue says %s", name, p.Build(), img.Build)
		}
	}
	if n := differentPages(dense, changed); n != 3 {
		t.Errorf("%d of 32 pages differ, want 10 %%, which is 3", n)
	}
	if n := blankPages(blank); n != 16 {
		t.Errorf("%d of 32 pages are blank, want half", n)
	}
	if n := blankPages(dense); n != 0 {
		t.Errorf("%d pages of the dense image are blank", n)
	}
}

func differentPages(a, b firmware.Image) int {
	n := 0
	for at := 0; at < len(a.Data); at += firmware.PageSize {
		if !bytes.Equal(a.Data[at:at+firmware.PageSize], b.Data[at:at+firmware.PageSize]) {
			n++
		}
	}
	return n
}

func blankPages(img firmware.Image) int {
	n := 0
	for at := 0; at < len(img.Data); at += firmware.PageSize {
		if bytes.Count(img.Data[at:at+firmware.PageSize], []byte{0xFF}) == firmware.PageSize {
			n++
		}
	}
	return n
}

func TestMakerRefusesTooLarge(t *testing.T) {
	if _, err := newMaker(image.Size); err == nil {
		t.Error("an image as large as the module's own leaves no room for its check value")
	}
}
