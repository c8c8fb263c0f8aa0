package firmware_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"hil-runner/firmware"
)

// record makes one Intel HEX record with its checksum.
func record(kind byte, offset uint16, data ...byte) string {
	rec := append([]byte{byte(len(data)), byte(offset >> 8), byte(offset), kind}, data...)
	var sum byte
	for _, b := range rec {
		sum += b
	}
	return ":" + strings.ToUpper(hex.EncodeToString(append(rec, -sum))) + "\r\n"
}

const hexEnd = ":00000001FF\n"

func linear(upper uint16) string { return record(4, 0, byte(upper>>8), byte(upper)) }

// program is a segment of an ELF file.
type program struct {
	paddr, filesz, memsz uint32
	data                 []byte
}

// elfFile makes a small ELF32 file for ARM.
func elfFile(machine, kind uint16, programs ...program) []byte {
	var head, body bytes.Buffer
	offset := uint32(52 + 32*len(programs))
	for _, p := range programs {
		binary.Write(&body, binary.LittleEndian, []uint32{1, offset, p.paddr, p.paddr, p.filesz, p.memsz, 5, 4})
		offset += uint32(len(p.data))
	}
	for _, p := range programs {
		body.Write(p.data)
	}
	head.WriteString("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	binary.Write(&head, binary.LittleEndian, []uint16{kind, machine})
	binary.Write(&head, binary.LittleEndian, []uint32{1, 0x08002801, 52, 0, 0})
	binary.Write(&head, binary.LittleEndian, []uint16{52, 32, uint16(len(programs)), 40, 0, 0})
	return append(head.Bytes(), body.Bytes()...)
}

func load(addr uint32, data string) program {
	return program{addr, uint32(len(data)), uint32(len(data)), []byte(data)}
}

const elfARM, elfExec = 40, 2

func TestReadImage(t *testing.T) {
	ff := func(n int) string { return strings.Repeat("\xff", n) }
	for _, c := range []struct {
		name    string
		data    string
		format  firmware.Format
		address uint32
		wantAt  uint32
		want    string
	}{
		{"bin", "firmware", firmware.Auto, 0, 0x08002800, "firmware"},
		{"bin at an address", "firmware", firmware.Auto, 0x08003000, 0x08003000, "firmware"},
		{"bin that begins with a colon", ":not hex at all", firmware.Auto, 0, 0x08002800, ":not hex at all"},
		{"hex", linear(0x0800) + record(0, 0x2800, 'f', 'i') + record(0, 0x2802, 'r', 'm') + hexEnd, firmware.Auto, 0, 0x08002800, "firm"},
		{"hex out of order with a gap", linear(0x0800) + record(0, 0x2806, 'z') + record(0, 0x2800, 'a') + hexEnd, firmware.Auto, 0, 0x08002800, "a" + ff(5) + "z"},
		{"hex inside a page", linear(0x0800) + record(0, 0x3004, 'a') + hexEnd, firmware.Auto, 0, 0x08003000, ff(4) + "a"},
		{"hex over a bank", linear(0x0800) + record(0, 0xFFFF, 'a') + linear(0x0801) + record(0, 0, 'b') + hexEnd, firmware.Auto, 0, 0x0800F800, ff(2047) + "ab"},
		{"hex with start record and blank lines", "\r\n" + linear(0x0800) + record(5, 0, 8, 0, 0x28, 1) + "\n" + record(0, 0x2800, 'a') + hexEnd + "\r\n", firmware.Auto, 0, 0x08002800, "a"},
		{"hex in small letters", strings.ToLower(linear(0x0800) + record(0, 0x2800, 0xAB) + hexEnd), firmware.Hex, 0x08002800, 0x08002800, "\xab"},
		{"elf", string(elfFile(elfARM, elfExec, load(0x08002800, "text"), load(0x08002808, "data"), program{0x20000000, 0, 4096, nil})), firmware.Auto, 0, 0x08002800, "text" + ff(4) + "data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, err := firmware.ReadImage([]byte(c.data), c.format, c.address)
			if err != nil {
				t.Fatal(err)
			}
			if img.Address != c.wantAt || string(img.Data) != c.want || img.SHA256 != sha256.Sum256([]byte(c.want)) {
				t.Errorf("got %#x %q, want %#x %q", img.Address, img.Data, c.wantAt, c.want)
			}
		})
	}
}

func TestReadImageRefuses(t *testing.T) {
	start := linear(0x0800)
	badSum := strings.Replace(record(0, 0x2800, 'a'), "\r\n", "", 1)
	badSum = badSum[:len(badSum)-2] + "00\n"
	for _, c := range []struct {
		name    string
		data    string
		address uint32
		want    error
		text    string
	}{
		{"empty file", "", 0, firmware.ErrEmpty, "no bytes"},
		{"nothing but 0xFF", strings.Repeat("\xff", 4096), 0, firmware.ErrEmpty, "4096"},
		{"bin too long", strings.Repeat("x", firmware.MaxImage+1), 0, firmware.ErrRange, "configuration"},
		{"bin at the boot part", "x", 0x08000000, firmware.ErrRange, "boot part"},
		{"bin inside a page", "x", 0x08002804, firmware.ErrRange, "0x08002800"},
		{"hex at the boot part", start + record(0, 0x27FF, 'a', 'b') + hexEnd, 0, firmware.ErrRange, "(line 2)"},
		{"hex at the configuration", linear(0x0807) + record(0, 0xCFFF, 'a', 'b') + hexEnd, 0, firmware.ErrRange, "(line 2)"},
		{"hex in RAM", linear(0x2000) + record(0, 0x200, 'a') + hexEnd, 0, firmware.ErrRange, "outside the flash"},
		{"hex at the end of the world", linear(0xFFFF) + record(0, 0xFFFF, 'a', 'b') + hexEnd, 0, firmware.ErrRange, "line 2"},
		{"hex segment", record(2, 0, 0xF0, 0) + record(0, 0xFFFF, 'a', 'b') + hexEnd, 0, firmware.ErrFormat, "line 2"},
		{"hex elsewhere than promised", start + record(0, 0x3000, 'a') + hexEnd, 0x08002800, firmware.ErrRange, "0x08003000"},
		{"hex overlap", start + record(0, 0x2800, 'a', 'b') + record(0, 0x2810, 'x') + record(0, 0x2801, 'c') + hexEnd, 0, firmware.ErrOverlap, "line 2 and by line 4"},
		{"hex without end", start + record(0, 0x2800, 'a'), 0, firmware.ErrTruncated, "end record"},
		{"hex cut in a record", start + record(0, 0x2800, 'a', 'b')[:12], 0, firmware.ErrTruncated, "line 2"},
		{"hex cut in a byte", start + record(0, 0x2800, 'a', 'b')[:14], 0, firmware.ErrTruncated, "line 2"},
		{"hex record too long", start + ":0028000000D8AA\n" + hexEnd, 0, firmware.ErrFormat, "line 2"},
		{"hex checksum", start + "\n" + badSum + hexEnd, 0, firmware.ErrChecksum, "line 3: it says 0x00, its bytes give 0x76"},
		{"hex digit", start + ":0128000G\n", 0, firmware.ErrFormat, "line 2"},
		{"hex colon", start + "0128000061\n" + hexEnd, 0, firmware.ErrFormat, "line 2"},
		{"hex type", start + record(9, 0) + hexEnd, 0, firmware.ErrFormat, "line 2"},
		{"hex address record", record(4, 0, 8) + hexEnd, 0, firmware.ErrFormat, "line 1"},
		{"hex end record", start + record(1, 0, 8), 0, firmware.ErrFormat, "line 2"},
		{"hex after the end", start + record(0, 0x2800, 'a') + hexEnd + record(0, 0x2801, 'a'), 0, firmware.ErrFormat, "line 4"},
		{"hex without data", start + hexEnd, 0, firmware.ErrEmpty, ""},
		{"elf overlap", string(elfFile(elfARM, elfExec, load(0x08002800, "text"), load(0x08002803, "data"))), 0, firmware.ErrOverlap, "program header"},
		{"elf at the boot part", string(elfFile(elfARM, elfExec, load(0x08000000, "text"))), 0, firmware.ErrRange, "boot part"},
		{"elf of another processor", string(elfFile(62, elfExec, load(0x08002800, "text"))), 0, firmware.ErrModel, "EM_X86_64"},
		{"elf not linked", string(elfFile(elfARM, 1, load(0x08002800, "text"))), 0, firmware.ErrFormat, "ET_REL"},
		{"elf cut", string(elfFile(elfARM, elfExec, program{0x08002800, 100, 100, []byte("text")})), 0, firmware.ErrTruncated, ""},
		{"elf cut in its header", "\x7fELF\x01\x01\x01", 0, firmware.ErrTruncated, ""},
		{"elf without data", string(elfFile(elfARM, elfExec, program{0x20000000, 0, 64, nil})), 0, firmware.ErrEmpty, ""},
		{"elf more in the file", string(elfFile(elfARM, elfExec, program{0x08002800, 4, 2, []byte("text")})), 0, firmware.ErrFormat, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := firmware.ReadImage([]byte(c.data), firmware.Auto, c.address)
			wantIs(t, err, c.want)
			if err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("%q does not say %q", err, c.text)
			}
		})
	}
	if _, err := firmware.ReadImage([]byte("x"), "srec", 0); err == nil {
		t.Error("an unknown format was accepted")
	}
	if _, err := firmware.ReadImage(make([]byte, 17<<20), firmware.Auto, 0); err == nil {
		t.Error("17 MiB were accepted")
	}
	if _, err := firmware.ReadImage([]byte(strings.Repeat(record(0, 0, 1), 400000)), firmware.Hex, 0); err == nil {
		t.Error("6 MB of Intel HEX were accepted")
	}
}

// checkImage says what must hold for every image that was accepted.
func checkImage(t *testing.T, img firmware.Image) {
	t.Helper()
	if img.Address%firmware.PageSize != 0 || img.Address < firmware.AppStart || len(img.Data) == 0 ||
		uint64(img.Address)+uint64(len(img.Data)) > uint64(firmware.AppEnd) || img.SHA256 != sha256.Sum256(img.Data) {
		t.Errorf("accepted an image of %d bytes at %#x", len(img.Data), img.Address)
	}
}

func FuzzHex(f *testing.F) {
	f.Add([]byte(linear(0x0800) + record(0, 0x2800, 'a') + record(5, 0, 8, 0, 0x28, 1) + hexEnd))
	f.Add([]byte(record(2, 0, 0x80, 0) + record(0, 0x2800, 'a') + record(0, 0x2800, 'b') + hexEnd))
	f.Add([]byte(":"))
	f.Add([]byte(":00000001FF:"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if img, err := firmware.ReadImage(data, firmware.Hex, 0); err == nil {
			checkImage(t, img)
		}
	})
}

func FuzzELF(f *testing.F) {
	f.Add(elfFile(elfARM, elfExec, load(0x08002800, "text"), program{0x20000000, 0, 4096, nil}))
	f.Add(elfFile(elfARM, elfExec, program{0x08002800, 0xFFFFFFFF, 0xFFFFFFFF, []byte("x")}))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if img, err := firmware.ReadImage(data, firmware.ELF, 0); err == nil {
			checkImage(t, img)
		}
	})
}

func ExampleReadImage() {
	_, err := firmware.ReadImage([]byte(":020000040800F2\n:0127FF0061A8\n:00000001FF\n"), firmware.Auto, 0)
	fmt.Println(err)
	_, err = firmware.ReadImage([]byte(":020000040800F2\n:01280000617F\n"), firmware.Auto, 0)
	fmt.Println(err)
	// Output:
	// wrong checksum in image: line 2: it says 0xA8, its bytes give 0x78
	// wrong checksum in image: line 2: it says 0x7F, its bytes give 0x76
}
