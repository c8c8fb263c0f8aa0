package recorder

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// readWindow is how much of a segment a reader holds in memory at a time.
const readWindow = 64 << 10

// CorruptError says that a journal holds something that was not written there.
type CorruptError struct {
	Path   string
	Offset Offset
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal %s: damaged at offset %d: %s; keep the file and look at the disk", e.Path, e.Offset, e.Reason)
}

// segmentFile reads frames of one segment file through a window of bounded
// size.
type segmentFile struct {
	seg *segment
	f   *os.File
	buf []byte // bytes of the file from offset at
	at  Offset
}

func openSegment(s *segment) (*segmentFile, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &segmentFile{seg: s, f: f}, nil
}

func (r *segmentFile) close() error {
	if r == nil {
		return nil
	}
	return r.f.Close()
}

// frame returns the frame at off, looking at no byte at or after limit. At the
// limit it returns io.EOF; errShort and errBad are those of parseFrame. The
// payload is valid until the next call.
func (r *segmentFile) frame(off, limit Offset) (frame, error) {
	if off >= limit {
		return frame{}, io.EOF
	}
	f, err := parseFrame(r.window(off, limit), off)
	if !errors.Is(err, errShort) {
		return f, err
	}
	if off+Offset(f.size) > limit {
		return frame{}, errShort
	}
	if err := r.fill(off, limit, max(readWindow, f.size)); err != nil {
		return frame{}, err
	}
	if f, err = parseFrame(r.window(off, limit), off); errors.Is(err, errShort) && off+Offset(f.size) <= limit {
		// The first look saw less than a header and could not know the size.
		if err := r.fill(off, limit, f.size); err != nil {
			return frame{}, err
		}
		f, err = parseFrame(r.window(off, limit), off)
	}
	return f, err
}

// window returns what is in memory from off on.
func (r *segmentFile) window(off, limit Offset) []byte {
	if off < r.at || off > r.at+Offset(len(r.buf)) {
		return nil
	}
	return r.buf[off-r.at : min(Offset(len(r.buf)), limit-r.at)]
}

// fill moves the window to off and makes it want bytes long.
func (r *segmentFile) fill(off, limit Offset, want int) error {
	want = int(min(Offset(want), limit-off))
	if cap(r.buf) < want {
		r.buf = make([]byte, max(want, readWindow))
	}
	r.buf = r.buf[:want]
	n, err := r.f.ReadAt(r.buf, int64(off-r.seg.base))
	r.at, r.buf = off, r.buf[:n]
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// boundary returns the offset of the first frame at or after off. It walks
// from the start of the segment, because only a frame's own place proves it.
func (r *segmentFile) boundary(off, limit Offset) (Offset, error) {
	at := r.seg.first()
	for at < off {
		f, err := r.frame(at, limit)
		if errors.Is(err, io.EOF) {
			return at, nil
		}
		if err != nil {
			return at, err
		}
		at += Offset(f.size)
	}
	return at, nil
}
