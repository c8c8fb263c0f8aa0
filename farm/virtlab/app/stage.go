package app

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Identifiers at the start of files that the module downloads, little endian.
const (
	imageID = 0x00228800
	filesID = 0x00228801
)

// stageHeader is the length of a staged image's header in bytes.
const stageHeader = 16 + 32 + 32

// StagedImage is an update file (.ota) as FWUPDATE downloads it and keeps it,
// byte for byte, in AreaStage:
//
//	u32 id      0x00228800
//	u32 base    address of the data in flash
//	u32 length  of the data
//	u32 header  80
//	char model[32], char version[32], filled with zeros
//	data
//	u32 CRC of all before it (STM32 unit: poly 04C11DB7, init FFFFFFFF,
//	    32-bit little-endian words, the last one filled up with FF)
//
// all little endian. The module's own format is not public; identifier and
// order follow its file system image and the next model's header. An image is
// applied at the next start, whatever kind of reset that is: whoever owns the
// flash parses AreaStage, writes Data at Base, erases AreaStage and prints
// WIND 17 before and after. A stage that does not parse is erased and the old
// build starts without a word.
type StagedImage struct {
	Model   string // compared with Profile.UpdateModel
	Version string
	Base    uint32
	Data    []byte
}

// errStage says that a stage holds no complete image.
var errStage = errors.New("no complete image is staged")

// EncodeStage makes the file that FWUPDATE downloads.
func EncodeStage(img StagedImage) []byte {
	out := make([]byte, stageHeader, stageHeader+len(img.Data)+4)
	binary.LittleEndian.PutUint32(out[0:], imageID)
	binary.LittleEndian.PutUint32(out[4:], img.Base)
	binary.LittleEndian.PutUint32(out[8:], uint32(len(img.Data)))
	binary.LittleEndian.PutUint32(out[12:], stageHeader)
	copy(out[16:47], img.Model)
	copy(out[48:79], img.Version)
	out = append(out, img.Data...)
	return binary.LittleEndian.AppendUint32(out, hardwareCRC(out))
}

// ParseStage reads a staged image. Data aliases p.
func ParseStage(p []byte) (StagedImage, error) {
	if len(p) < stageHeader+4 || binary.LittleEndian.Uint32(p) != imageID ||
		binary.LittleEndian.Uint32(p[12:]) != stageHeader {
		return StagedImage{}, errStage
	}
	size := uint64(binary.LittleEndian.Uint32(p[8:]))
	if size != uint64(len(p)-stageHeader-4) {
		return StagedImage{}, fmt.Errorf("%w: %d bytes of data, header says %d", errStage, len(p)-stageHeader-4, size)
	}
	end := len(p) - 4
	if got, want := binary.LittleEndian.Uint32(p[end:]), hardwareCRC(p[:end]); got != want {
		return StagedImage{}, fmt.Errorf("%w: checksum %08x, computed %08x", errStage, got, want)
	}
	return StagedImage{
		Model:   cString(p[16:48]),
		Version: cString(p[48:80]),
		Base:    binary.LittleEndian.Uint32(p[4:]),
		Data:    p[stageHeader:end],
	}, nil
}

func cString(p []byte) string {
	if i := bytes.IndexByte(p, 0); i >= 0 {
		p = p[:i]
	}
	return string(p)
}

// hardwareCRC is the STM32's CRC unit over little-endian words.
func hardwareCRC(p []byte) uint32 {
	var table [256]uint32
	for i := range table {
		c := uint32(i) << 24
		for range 8 {
			c = c<<1 ^ 0x04c11db7*(c>>31)
		}
		table[i] = c
	}
	crc := uint32(0xffffffff)
	for len(p) > 0 {
		word := [4]byte{0xff, 0xff, 0xff, 0xff}
		n := copy(word[:], p)
		p = p[n:]
		for i := 3; i >= 0; i-- {
			crc = crc<<8 ^ table[byte(crc>>24)^word[i]]
		}
	}
	return crc
}
