package firmware

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Record types of Intel HEX (Intel, "Hexadecimal Object File Format
// Specification", revision A, 1988).
const (
	hexData           = 0x00
	hexEnd            = 0x01
	hexSegment        = 0x02
	hexSegmentStart   = 0x03
	hexLinear         = 0x04
	hexLinearStart    = 0x05
	maxHexLine        = 1 + 2*(4+255+1)
	maxHexFile        = 4 << 20 // a full image in records of 16 bytes has 1.4 MiB
	hexSegmentWindow  = 0x10000
	hexRecordOverhead = 5 // count, address (2), type, checksum
)

// hexReader collects the data records of one file.
type hexReader struct {
	base     uint32
	segment  bool // base came from an extended segment address record
	ended    bool
	total    int
	segments []segment
}

// readHex reads Intel HEX. Errors give the line.
func readHex(data []byte) ([]segment, error) {
	if len(data) > maxHexFile {
		return nil, fmt.Errorf("%w: %d bytes of Intel HEX, at most %d", ErrTooBig, len(data), maxHexFile)
	}
	var r hexReader
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		line = bytes.TrimRight(line, "\r \t")
		if len(line) == 0 {
			continue
		}
		if r.ended {
			return nil, fmt.Errorf("%w: line %d: there is more after the end record", ErrFormat, n)
		}
		if err := r.line(n, line); err != nil {
			return nil, err
		}
	}
	if !r.ended {
		return nil, fmt.Errorf("%w: Intel HEX without an end record (:00000001FF)", ErrTruncated)
	}
	return r.segments, nil
}

// line takes one line without its end.
func (r *hexReader) line(n int, line []byte) error {
	if line[0] != ':' {
		return fmt.Errorf("%w: line %d: it begins with %q, not with ':'", ErrFormat, n, line[0])
	}
	if len(line) > maxHexLine {
		return fmt.Errorf("%w: line %d has more than %d characters", ErrFormat, n, maxHexLine)
	}
	if len(line)%2 == 0 {
		return fmt.Errorf("%w: line %d: half a byte at its end", ErrTruncated, n)
	}
	rec := make([]byte, hex.DecodedLen(len(line)-1))
	if _, err := hex.Decode(rec, line[1:]); err != nil {
		return fmt.Errorf("%w: line %d: %v", ErrFormat, n, err)
	}
	if len(rec) < hexRecordOverhead {
		return fmt.Errorf("%w: line %d has %d bytes, a record has at least %d", ErrTruncated, n, len(rec), hexRecordOverhead)
	}
	switch want := int(rec[0]) + hexRecordOverhead; {
	case len(rec) < want:
		return fmt.Errorf("%w: line %d has %d bytes, its count says %d", ErrTruncated, n, len(rec), want)
	case len(rec) > want:
		return fmt.Errorf("%w: line %d has %d bytes, its count says %d", ErrFormat, n, len(rec), want)
	}
	var sum byte
	for _, b := range rec {
		sum += b
	}
	if last := rec[len(rec)-1]; sum != 0 {
		return fmt.Errorf("%w: line %d: it says 0x%02X, its bytes give 0x%02X", ErrChecksum, n, last, last-sum)
	}
	return r.record(n, rec[3], binary.BigEndian.Uint16(rec[1:3]), rec[4:len(rec)-1])
}

// record takes one record that is whole.
func (r *hexReader) record(n int, kind byte, offset uint16, data []byte) error {
	length := func(want int) error {
		if len(data) == want {
			return nil
		}
		return fmt.Errorf("%w: line %d: a record of type %02X has %d bytes, not %d", ErrFormat, n, kind, want, len(data))
	}
	switch kind {
	case hexData:
		return r.data(n, offset, data)
	case hexEnd:
		r.ended = true
		return length(0)
	case hexSegment, hexLinear:
		if err := length(2); err != nil {
			return err
		}
		v := uint32(binary.BigEndian.Uint16(data))
		r.segment = kind == hexSegment
		r.base = v << 16
		if r.segment {
			r.base = v << 4
		}
		return nil
	case hexSegmentStart, hexLinearStart:
		return length(4) // where a debugger would start; the module does not
	}
	return fmt.Errorf("%w: line %d: unknown record type %02X", ErrFormat, n, kind)
}

// data takes a data record, joining it to the one before where it can.
func (r *hexReader) data(n int, offset uint16, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if r.segment && int(offset)+len(data) > hexSegmentWindow {
		return fmt.Errorf("%w: line %d: it wraps around its segment", ErrFormat, n)
	}
	addr := uint64(r.base) + uint64(offset)
	if addr+uint64(len(data)) > 1<<32 {
		return fmt.Errorf("%w: line %d: it lies beyond the 32-bit address space", ErrRange, n)
	}
	if err := checkWindow(uint32(addr), len(data)); err != nil {
		return fmt.Errorf("%w (line %d)", err, n)
	}
	if r.total += len(data); r.total > MaxImage {
		return fmt.Errorf("%w: line %d: more than %d bytes in all", ErrOverlap, n, MaxImage)
	}
	if k := len(r.segments) - 1; k >= 0 {
		if last := &r.segments[k]; last.addr+uint32(len(last.data)) == uint32(addr) {
			last.data = append(last.data, data...)
			return nil
		}
	}
	r.segments = append(r.segments, segment{addr: uint32(addr), data: data, from: fmt.Sprintf("line %d", n)})
	return nil
}
