package recorder

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	segmentMagic   = "hil-jrnl"
	segmentVersion = 1
	segmentSuffix  = ".journal"
	headerFixed    = 73
	maxBoard       = 255
)

// digest is the SHA-256 of all bytes of a segment up to some place.
type digest = [sha256.Size]byte

// segment is one file of a journal. Its header names the board, the clocks at
// which it was begun, the offset of its first byte and the final digest of the
// segment before it, which chains the files together.
type segment struct {
	path  string
	board string
	wall  time.Time
	mono  time.Duration // since the journal was opened
	base  Offset
	prev  digest
	// size is the length of the header, so the first record is at base+size.
	size Offset
	// end is the offset after the last record; 0 while it is written to.
	end Offset
}

func (s *segment) first() Offset { return s.base + s.size }

// record turns a frame of the segment into a record.
func (s *segment) record(off Offset, f frame) Record {
	return Record{
		Offset: off,
		Kind:   f.kind,
		Secret: f.flags&flagSecret != 0,
		Wall:   s.wall.Add(f.mono),
		Mono:   s.mono + f.mono,
		Data:   f.payload,
	}
}

// segmentName gives a name that sorts like the offset.
func segmentName(base Offset) string {
	return fmt.Sprintf("%016x%s", uint64(base), segmentSuffix)
}

// header encodes the head of the segment file:
//
//	magic    [8]byte "hil-jrnl"
//	version  uint16
//	length   uint16  of the header
//	crc      uint32  CRC-32C of the rest of the header
//	wall     int64   UnixNano
//	mono     int64   nanoseconds since the journal was opened
//	base     int64
//	previous [32]byte
//	board    uint8 and that many bytes
func (s *segment) header() []byte {
	b := make([]byte, 0, headerFixed+len(s.board))
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint16(b, segmentVersion)
	b = binary.LittleEndian.AppendUint16(b, uint16(headerFixed+len(s.board)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.wall.UnixNano()))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.mono))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.base))
	b = append(b, s.prev[:]...)
	b = append(b, byte(len(s.board)))
	b = append(b, s.board...)
	binary.LittleEndian.PutUint32(b[12:], headerSum(b))
	return b
}

func headerSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:])
}

// parseHeader reads the head of a segment file from bytes that may hold
// anything.
func parseHeader(b []byte) (segment, error) {
	if len(b) < headerFixed {
		return segment{}, errShort
	}
	if string(b[:8]) != segmentMagic {
		return segment{}, errors.New("not a journal segment")
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != segmentVersion {
		return segment{}, fmt.Errorf("journal version %d, this program reads version %d", v, segmentVersion)
	}
	n := int(binary.LittleEndian.Uint16(b[10:]))
	if n != headerFixed+int(b[headerFixed-1]) {
		return segment{}, errors.New("header is damaged")
	}
	if len(b) < n {
		return segment{}, errShort
	}
	b = b[:n]
	if binary.LittleEndian.Uint32(b[12:]) != headerSum(b) {
		return segment{}, errors.New("header is damaged")
	}
	s := segment{
		board: string(b[headerFixed:]),
		wall:  time.Unix(0, int64(binary.LittleEndian.Uint64(b[16:]))),
		mono:  time.Duration(binary.LittleEndian.Uint64(b[24:])),
		base:  Offset(binary.LittleEndian.Uint64(b[32:])),
		size:  Offset(n),
	}
	copy(s.prev[:], b[40:])
	if s.base < 0 {
		return segment{}, errors.New("header is damaged")
	}
	return s, nil
}

// listSegments returns the paths of the segments of dir in order.
func listSegments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	var paths []string
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok || len(stem) != 16 {
			continue
		}
		if _, err := strconv.ParseUint(stem, 16, 63); err == nil {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(paths)
	return paths, nil
}

// readSegment reads the head of a segment file and its size on disk.
func readSegment(path string) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	head := make([]byte, headerFixed+maxBoard)
	n, err := f.ReadAt(head, 0)
	if n == 0 && err != nil && info.Size() > 0 {
		return nil, fmt.Errorf("journal: %w", err)
	}
	s, err := parseHeader(head[:n])
	if err != nil {
		return nil, &CorruptError{Path: path, Reason: err.Error()}
	}
	if filepath.Base(path) != segmentName(s.base) {
		return nil, &CorruptError{Path: path, Reason: "file name and header do not belong together"}
	}
	s.path = path
	s.end = s.base + Offset(info.Size())
	return &s, nil
}
