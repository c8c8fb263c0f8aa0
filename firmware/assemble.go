package firmware

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
)

// assemble makes one contiguous image of segments. Gaps become 0xFF, which is
// what erasing leaves there, and so does what lies between the start of the
// first page and the first byte.
func assemble(segments []segment) (Image, error) {
	segments = slices.DeleteFunc(segments, func(s segment) bool { return len(s.data) == 0 })
	if len(segments) == 0 {
		return Image{}, fmt.Errorf("%w: it loads no bytes into flash", ErrEmpty)
	}
	for _, s := range segments {
		if err := checkWindow(s.addr, len(s.data)); err != nil {
			return Image{}, fmt.Errorf("%w (%s)", err, s.from)
		}
	}
	slices.SortStableFunc(segments, func(a, b segment) int { return cmp.Compare(a.addr, b.addr) })
	for i, s := range segments[1:] {
		before := segments[i]
		if end := before.addr + uint32(len(before.data)); s.addr < end {
			return Image{}, fmt.Errorf("%w: 0x%08X is given by %s and by %s", ErrOverlap, s.addr, before.from, s.from)
		}
	}
	start := pageAddress(pageOf(segments[0].addr))
	last := segments[len(segments)-1]
	size := int(last.addr-start) + len(last.data)
	data := segments[0].data
	if len(segments) > 1 || segments[0].addr != start {
		data = bytes.Repeat([]byte{blank}, size)
		for _, s := range segments {
			copy(data[s.addr-start:], s.data)
		}
	}
	if isBlank(data) {
		return Image{}, fmt.Errorf("%w: all of its %d bytes are 0xFF", ErrEmpty, len(data))
	}
	return Image{Method: UART, Address: start, Data: data, SHA256: sha256.Sum256(data)}, nil
}

// blank is what erased flash holds.
const blank = 0xFF

// isBlank says whether p is what erased flash holds.
func isBlank(p []byte) bool {
	for _, b := range p {
		if b != blank {
			return false
		}
	}
	return true
}
