package recorder

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// A journal is a row of segment files. A segment is a header and then frames:
//
//	crc     uint32  CRC-32C of all that follows, seeded with the offset
//	length  uint32  of the payload
//	kind    uint8
//	flags   uint8
//	zero    uint16
//	mono    uint64  nanoseconds since the segment was begun
//	payload
//
// All integers are little endian. The offset in the seed makes a frame valid
// only at its own place, so bytes of a device that look like a frame are never
// taken for one.
const (
	frameSize  = 20
	maxPayload = 1 << 20

	flagSecret = 1 << 0
	// flagLast marks the seal that ends a journal that was closed in order.
	flagLast = 1 << 1
)

var (
	errShort = errors.New("record is cut short")
	errBad   = errors.New("record is damaged")
)

// castagnoli is the CRC-32C table; crc32 computes it in hardware.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func frameSum(off Offset, body []byte) uint32 {
	seed := uint32(off) ^ uint32(uint64(off)>>32)*0x9e3779b1 ^ 0x5aa5c33c
	return crc32.Update(seed, castagnoli, body)
}

// appendFrame adds one frame that begins at off to buf.
func appendFrame(buf []byte, off Offset, kind Kind, flags byte, mono time.Duration, payload []byte) []byte {
	start := len(buf)
	buf = append(buf, make([]byte, frameSize)...)
	h := buf[start : start+frameSize]
	binary.LittleEndian.PutUint32(h[4:], uint32(len(payload)))
	h[8], h[9] = byte(kind), flags
	binary.LittleEndian.PutUint64(h[12:], uint64(mono))
	buf = append(buf, payload...)
	binary.LittleEndian.PutUint32(buf[start:], frameSum(off, buf[start+4:]))
	return buf
}

// frame is one decoded record; payload aliases the bytes it came from.
type frame struct {
	kind    Kind
	flags   byte
	mono    time.Duration
	payload []byte
	size    int // on disk, header included
}

// peekFrame reads a frame without looking at its checksum. It is for bytes
// that this process wrote itself.
func peekFrame(b []byte) frame {
	size := frameSize + int(binary.LittleEndian.Uint32(b[4:]))
	return frame{
		kind:    Kind(b[8]),
		flags:   b[9],
		mono:    time.Duration(binary.LittleEndian.Uint64(b[12:])),
		payload: b[frameSize:size:size],
		size:    size,
	}
}

// parseFrame reads the frame at off from bytes that may hold anything. errShort
// says that b ends before the frame does; frame.size then tells how much is
// wanted, as far as it is known. errBad says that b holds no frame.
func parseFrame(b []byte, off Offset) (frame, error) {
	if len(b) < frameSize {
		return frame{size: frameSize}, errShort
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n > maxPayload || b[8] == 0 || b[10] != 0 || b[11] != 0 {
		return frame{}, errBad
	}
	size := frameSize + int(n)
	if len(b) < size {
		return frame{size: size}, errShort
	}
	if binary.LittleEndian.Uint32(b) != frameSum(off, b[4:size]) {
		return frame{}, errBad
	}
	return peekFrame(b), nil
}
