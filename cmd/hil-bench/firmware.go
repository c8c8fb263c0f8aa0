package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"

	"hil-runner/farm/virtlab"
	"hil-runner/farm/virtlab/image"
	"hil-runner/firmware"
)

// The goals speak of 256 KiB; the virtual module's own images have another
// size. The images here cover only the first part of such an image and are
// shaped so that the whole, with what a fresh module has behind it, is in
// order: the module starts them and reports their build.

// forge is how many bytes are chosen so that the check value comes out right.
const forge = 4

// maker makes images of one size for fresh modules.
type maker struct {
	size int
	tail []byte // what a fresh module has behind the image
}

func newMaker(size int) (*maker, error) {
	fresh, ok := image.Find(virtlab.DefaultRelease)
	if !ok {
		return nil, fmt.Errorf("there is no built-in release %s", virtlab.DefaultRelease)
	}
	data, err := image.Build(fresh)
	if err != nil {
		return nil, err
	}
	if size >= len(data) {
		return nil, fmt.Errorf("an image of %d bytes leaves nothing of the module's own %d", size, len(data))
	}
	return &maker{size: size, tail: data[size:]}, nil
}

// dense makes an image without blank blocks, another one for each seed.
func (m *maker) dense(seed uint64) (firmware.Image, error) {
	p, _ := image.Find("3.5.3")
	p.App.Release = fmt.Sprintf("bench-%d", seed)
	p.App.Build = fmt.Sprintf("171201-%07x", seed&0xFFFFFFF)
	data, err := image.Build(p)
	if err != nil {
		return firmware.Image{}, err
	}
	return m.finish(p, data[:m.size], m.size-forge)
}

// halfBlank is an image whose second half is erased flash.
func (m *maker) halfBlank(seed uint64) (firmware.Image, error) {
	img, err := m.dense(seed)
	if err != nil {
		return img, err
	}
	data := bytes.Clone(img.Data)
	half := m.size / 2
	for i := half; i < m.size; i++ {
		data[i] = 0xFF
	}
	return m.remake(img, data, half-forge)
}

// changed is img with share of its pages replaced, scattered over it. The
// first page stays: it has the build.
func (m *maker) changed(img firmware.Image, share float64, seed uint64) (firmware.Image, error) {
	data := bytes.Clone(img.Data)
	random := rand.New(rand.NewPCG(seed, 0))
	pages := img.Pages()
	n := max(int(share*float64(pages)+0.5), 1)
	at := 0
	for _, page := range random.Perm(pages - 1)[:n] {
		at = (page + 1) * firmware.PageSize
		for i := at; i < min(at+firmware.PageSize, len(data)); i++ {
			data[i] ^= byte(1 + random.UintN(255))
		}
	}
	return m.remake(img, data, at)
}

// remake makes an image of other bytes under the names of img.
func (m *maker) remake(img firmware.Image, data []byte, at int) (firmware.Image, error) {
	p, err := image.Parse(append(bytes.Clone(img.Data), m.tail...))
	if err != nil {
		return firmware.Image{}, err
	}
	return m.finish(p, data, at)
}

// finish chooses the bytes at an offset and gives the image.
func (m *maker) finish(p image.Profile, data []byte, at int) (firmware.Image, error) {
	whole := append(bytes.Clone(data), m.tail...)
	end := len(whole) - crc32.Size
	if err := forgeCRC(whole[:end], at, binary.LittleEndian.Uint32(whole[end:])); err != nil {
		return firmware.Image{}, err
	}
	if _, err := image.Parse(whole); err != nil {
		return firmware.Image{}, err
	}
	entry := firmware.Entry{Release: p.Release(), Build: p.Build(), Level: p.Level, Model: p.Chip,
		Address: image.Address, Method: firmware.UART, Virtual: true}
	return firmware.NewImage(entry, whole[:m.size:m.size])
}

// forgeCRC changes the four bytes of p at an offset so that its CRC-32 is
// want. The CRC of a message is affine in its bits: every bit of the four
// bytes contributes a fixed pattern, whatever the others are, and want is
// reached by solving for the bits.
func forgeCRC(p []byte, at int, want uint32) error {
	word := p[at : at+forge]
	binary.LittleEndian.PutUint32(word, 0)
	need := crc32.ChecksumIEEE(p) ^ want
	// basis[k] has bit k as its highest; from[k] says which bits made it.
	var basis, from [32]uint32
	for bit := range 32 {
		binary.LittleEndian.PutUint32(word, 1<<bit)
		column, made := crc32.ChecksumIEEE(p)^need^want, uint32(1)<<bit
		for k := 31; k >= 0; k-- {
			if column>>k&1 == 0 {
				continue
			}
			if basis[k] == 0 {
				basis[k], from[k] = column, made
				break
			}
			column, made = column^basis[k], made^from[k]
		}
	}
	var bits uint32
	for k := 31; k >= 0; k-- {
		if need>>k&1 != 0 {
			need, bits = need^basis[k], bits^from[k]
		}
	}
	binary.LittleEndian.PutUint32(word, bits)
	if crc32.ChecksumIEEE(p) != want {
		return errors.New("the check value cannot be reached")
	}
	return nil
}
