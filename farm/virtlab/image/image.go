// Package image makes the firmware of virtual modules: binaries of the real
// size, with a plausible vector table, that carry a behaviour profile instead
// of machine code. A virtual module does what the profile in its flash says.
package image

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"

	"hil-runner/farm/virtlab/app"
	"hil-runner/farm/virtlab/chip"
)

const (
	// Size is the length of an application image in bytes: that of ST's
	// build 150410-c2e37a3.
	Size = 390932
	// Address is where the application is linked.
	Address = chip.AppBase
	// BootSize is the length of the boot part in front of it.
	BootSize = chip.BootPages * chip.PageSize

	stackTop = chip.RAMStart + chip.RAMSize
	// A high-density part has 16 system and 60 interrupt vectors.
	vectors    = 76
	headerAt   = 0x200
	maxProfile = 64 << 10
)

var (
	appMagic  = [8]byte{'V', 'S', 'P', 'W', 'F', '0', '1', 'A'}
	bootMagic = [8]byte{'V', 'S', 'P', 'W', 'F', '0', '1', 'B'}
)

// ErrInvalid is wrapped by every refusal of Parse and CheckBoot.
var ErrInvalid = errors.New("not a whole virtual image")

// Profile is what an image is and how it behaves.
type Profile struct {
	// Level is the feature level that suites compare ("3.5.3"); a label such
	// as 3.0.0 has the level of its era.
	Level string `json:"level"`
	// Chip is the model that the image is for.
	Chip string `json:"chip"`
	// Virtual is true: the image runs on virtual modules only.
	Virtual bool `json:"virtual"`
	// Invented is true when the build id is not one that ST ever published.
	Invented bool `json:"invented,omitempty"`
	// App is the behaviour, with the release's label and its build.
	App app.Profile `json:"app"`
}

// Release is the catalogue's label.
func (p Profile) Release() string { return p.App.Release }

// Build is what the module reports, without suffix.
func (p Profile) Build() string { return p.App.Build }

// Build makes the image of a profile: Size bytes, the same ones each time.
func Build(p Profile) ([]byte, error) {
	meta, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("image %s: profile: %w", p.App.Build, err)
	}
	if len(meta) > maxProfile {
		return nil, fmt.Errorf("image %s: profile of %d bytes is longer than %d", p.App.Build, len(meta), maxProfile)
	}
	return assemble(Size, Address, appMagic, "application "+p.App.Build, meta), nil
}

// Parse reads the profile of an image at the start of p, which may be longer
// (the flash from Address on). Whatever is damaged, down to one bit, gives an
// error that wraps ErrInvalid.
func Parse(p []byte) (Profile, error) {
	meta, err := open(p, Size, appMagic)
	if err != nil {
		return Profile{}, err
	}
	profile := Profile{App: app.DefaultProfile()}
	dec := json.NewDecoder(bytes.NewReader(meta))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&profile); err != nil {
		return Profile{}, fmt.Errorf("profile: %w: %w", ErrInvalid, err)
	}
	return profile, nil
}

// Boot makes the boot part, BootSize bytes for the first pages of the flash.
func Boot() []byte {
	return assemble(BootSize, chip.FlashBase, bootMagic, "boot part", []byte(`{"boot":"141106"}`))
}

// CheckBoot says whether p starts with an undamaged boot part.
func CheckBoot(p []byte) error {
	_, err := open(p, BootSize, bootMagic)
	return err
}

// Update makes the file that FWUPDATE downloads (.ota) for a profile.
func Update(p Profile) ([]byte, error) {
	data, err := Build(p)
	if err != nil {
		return nil, err
	}
	return app.EncodeStage(app.StagedImage{Model: p.App.UpdateModel, Version: p.App.Build, Base: Address, Data: data}), nil
}

// assemble lays an image out: vector table, magic, length, profile, filler,
// check value. The filler stands for machine code: dense, no erased bytes in a
// row, different for each build.
func assemble(size int, base uint32, magic [8]byte, seed string, meta []byte) []byte {
	p := make([]byte, size)
	var key [32]byte
	copy(key[:], seed)
	noise := rand.NewChaCha8(key)
	_, _ = noise.Read(p) // never fails
	binary.LittleEndian.PutUint32(p, stackTop)
	for i := 1; i < vectors; i++ {
		handler := base + headerAt + uint32(noise.Uint64()%uint64(size-headerAt-4))&^1 | 1 // Thumb
		binary.LittleEndian.PutUint32(p[4*i:], handler)
	}
	copy(p[headerAt:], magic[:])
	binary.LittleEndian.PutUint32(p[headerAt+8:], uint32(size))
	binary.LittleEndian.PutUint32(p[headerAt+12:], uint32(len(meta)))
	copy(p[headerAt+16:], meta)
	binary.LittleEndian.PutUint32(p[size-4:], crc32.ChecksumIEEE(p[:size-4]))
	return p
}

// open checks an image and gives its profile.
func open(p []byte, size int, magic [8]byte) ([]byte, error) {
	if len(p) < size {
		return nil, fmt.Errorf("%d of %d bytes: %w", len(p), size, ErrInvalid)
	}
	p = p[:size]
	if !bytes.Equal(p[headerAt:headerAt+8], magic[:]) {
		return nil, fmt.Errorf("no magic at offset 0x%x: %w", headerAt, ErrInvalid)
	}
	if sum := binary.LittleEndian.Uint32(p[size-4:]); sum != crc32.ChecksumIEEE(p[:size-4]) {
		return nil, fmt.Errorf("check value differs: %w", ErrInvalid)
	}
	n := binary.LittleEndian.Uint32(p[headerAt+12:])
	if n > maxProfile || int(n) > size-headerAt-20 {
		return nil, fmt.Errorf("profile of %d bytes: %w", n, ErrInvalid)
	}
	return p[headerAt+16 : headerAt+16+int(n)], nil
}
