package firmware

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
)

// Image is what may be flashed: contiguous bytes at an address, checked. Data
// must not be changed; Flash refuses an image whose bytes no longer have its
// SHA256.
type Image struct {
	// Release is the catalogue's label, Build what the module reports when it
	// runs this image, Level its place among the releases of its era.
	Release string
	Build   string
	Level   string
	// Model is the module that it is for, such as "SPWF01SA"; empty if nobody
	// said.
	Model  string
	Method Method
	// Address is where Data begins; always the start of a page.
	Address uint32
	Data    []byte
	// SHA256 is that of Data. For a .bin file it is also the file's.
	SHA256 [sha256.Size]byte
	// Signature is "virtual, unsigned", "unsigned", or the id of the minisign
	// key that signed the file.
	Signature string
	// Virtual marks an image for virtual modules.
	Virtual bool
}

// Hash gives SHA256 as lower-case hexadecimal.
func (img Image) Hash() string { return hex.EncodeToString(img.SHA256[:]) }

// Pages is the number of flash pages that the image occupies.
func (img Image) Pages() int { return (len(img.Data) + PageSize - 1) / PageSize }

// Signatures of images that nobody signed.
const (
	Unsigned        = "unsigned"
	VirtualUnsigned = "virtual, unsigned"
)

// Format is the form of an image file.
type Format string

// The formats that ReadImage knows. Auto decides by the first bytes.
const (
	Auto Format = ""
	Bin  Format = "bin"
	Hex  Format = "hex"
	ELF  Format = "elf"
)

// Method is the way in which an image gets onto a module.
type Method string

const (
	// UART is the boot ROM (AN3155).
	UART Method = "uart"
	// OTA is AT+S.FWUPDATE (UM1695); only modules with external flash have it.
	OTA Method = "ota"
)

// maxFile bounds an image file: an ELF file carries symbols as well.
const maxFile = 16 << 20

// segment is a piece of an image on its way to being contiguous.
type segment struct {
	addr uint32
	data []byte
	from string // where it came from, for messages
}

// ReadImage reads an image for the boot ROM. address is where a .bin goes,
// AppStart if 0; the other formats carry their own and must agree with it
// unless it is 0. The result has no release, build or signature yet.
func ReadImage(data []byte, format Format, address uint32) (Image, error) {
	if len(data) == 0 {
		return Image{}, fmt.Errorf("%w: the file has no bytes", ErrEmpty)
	}
	if len(data) > maxFile {
		return Image{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTooBig, len(data), maxFile)
	}
	if format == Auto {
		format = detect(data)
	}
	var segments []segment
	var err error
	switch format {
	case Bin:
		at := address
		if at == 0 {
			at = AppStart
		}
		segments = []segment{{addr: at, data: data, from: "the file"}}
	case Hex:
		segments, err = readHex(data)
	case ELF:
		segments, err = readELF(data)
	default:
		err = fmt.Errorf("%w: unknown format %q; known are bin, hex and elf", ErrFormat, format)
	}
	if err != nil {
		return Image{}, err
	}
	img, err := assemble(segments)
	if err != nil {
		return Image{}, err
	}
	if address != 0 && img.Address != address {
		return Image{}, fmt.Errorf("%w: it begins at 0x%08X, the catalogue says 0x%08X", ErrRange, img.Address, address)
	}
	return img, nil
}

// NewImage makes an image of bytes in memory, such as those of a virtual
// release, under the entry's names. Data is not copied.
func NewImage(e Entry, data []byte) (Image, error) {
	img, err := ReadImage(data, Bin, e.Address)
	if err != nil {
		return Image{}, fmt.Errorf("release %s: %w", e.Release, err)
	}
	img.describe(e)
	img.Signature = Unsigned
	if e.Virtual {
		img.Signature = VirtualUnsigned
	}
	return img, nil
}

// describe gives the image the names of its entry.
func (img *Image) describe(e Entry) {
	img.Release, img.Build, img.Level = e.Release, e.Build, e.Level
	img.Model, img.Method, img.Virtual = e.Model, e.Method, e.Virtual
	if img.Method == "" {
		img.Method = UART
	}
}

// detect knows ELF by its magic and Intel HEX by a first record whose digits
// are digits; everything else is raw.
func detect(data []byte) Format {
	if bytes.HasPrefix(data, []byte("\x7fELF")) {
		return ELF
	}
	head := bytes.TrimLeft(data[:min(len(data), 64)], "\r\n\t ")
	if len(head) >= 11 && head[0] == ':' {
		if _, err := hex.DecodeString(string(head[1:11])); err == nil {
			return Hex
		}
	}
	return Bin
}

// formatOf guesses a file's format by its name; Auto when the name says
// nothing.
func formatOf(name string) Format {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".bin":
		return Bin
	case ".hex", ".ihx", ".ihex":
		return Hex
	case ".elf", ".axf":
		return ELF
	}
	return Auto
}
