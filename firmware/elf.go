package firmware

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
)

// maxELFSegments bounds the program headers of one file.
const maxELFSegments = 64

// readELF takes the bytes that the program headers load, at their physical
// addresses: .data is stored in flash at its load address and copied to RAM by
// the program itself. Segments without bytes in the file (.bss, the stack) are
// not loaded.
func readELF(data []byte) ([]segment, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("%w: ELF: %v", ErrTruncated, err)
		}
		return nil, fmt.Errorf("%w: ELF: %v", ErrFormat, err)
	}
	if f.Machine != elf.EM_ARM || f.Class != elf.ELFCLASS32 || f.Data != elf.ELFDATA2LSB {
		return nil, fmt.Errorf("%w: it is %v %v, the module has a 32-bit little-endian ARM", ErrModel, f.Class, f.Machine)
	}
	if f.Type != elf.ET_EXEC {
		return nil, fmt.Errorf("%w: ELF type %v; only a linked program (ET_EXEC) can be flashed", ErrFormat, f.Type)
	}
	if len(f.Progs) > maxELFSegments {
		return nil, fmt.Errorf("%w: ELF with %d program headers, at most %d", ErrTooBig, len(f.Progs), maxELFSegments)
	}
	var segments []segment
	for i, p := range f.Progs {
		if p.Type != elf.PT_LOAD || p.Filesz == 0 {
			continue
		}
		from := fmt.Sprintf("program header %d", i)
		if p.Filesz > p.Memsz {
			return nil, fmt.Errorf("%w: %s has %d bytes in the file and %d in memory", ErrFormat, from, p.Filesz, p.Memsz)
		}
		if p.Off > uint64(len(data)) || p.Filesz > uint64(len(data))-p.Off {
			return nil, fmt.Errorf("%w: %s ends at byte %d, the file at %d", ErrTruncated, from, p.Off+p.Filesz, len(data))
		}
		if p.Paddr > 0xFFFFFFFF {
			return nil, fmt.Errorf("%w: %s loads at 0x%X", ErrRange, from, p.Paddr)
		}
		segments = append(segments, segment{addr: uint32(p.Paddr), data: data[p.Off : p.Off+p.Filesz], from: from})
	}
	return segments, nil
}
