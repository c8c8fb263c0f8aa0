// Package link carries a bench over a byte stream: the owner of the devices
// serves it, a worker, another process of the host or a user's own suite
// attaches to it. Bytes from the board, what the watch saw, control calls and
// the suite's events all travel in one ordered stream of frames, so that no
// event can end up on the wrong side of a byte.
package link

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"
)

// frameKind is the first byte after a frame's length.
type frameKind byte

const (
	frameHello    frameKind = 'H' // owner: JSON Hello
	frameAttached frameKind = 'h' // peer: JSON Attached
	frameRx       frameKind = 'R' // owner: offset (8), bytes from the board
	frameWatch    frameKind = 'W' // owner: JSON reports.Incident
	frameCredit   frameKind = 'c' // peer: how many more rx bytes it takes (4)
	frameWrite    frameKind = 'w' // peer: id (4), flags (1), bytes for the board
	frameCall     frameKind = 'q' // peer: id (4), JSON call
	frameCancel   frameKind = 'x' // peer: id (4): its caller has given up
	frameProgress frameKind = 'P' // owner: id (4), JSON progress
	frameAnswer   frameKind = 'A' // owner: id (4), JSON answer
)

// maxFrame bounds one frame's payload, so that a broken or hostile peer costs
// no more memory than this.
const maxFrame = 256 << 10

// maxBytes is how many bytes of the UART, either way, travel in one frame.
const maxBytes = 32 << 10

// writeSecret marks a frameWrite whose bytes are credentials.
const writeSecret = 1

// frame is one message. Its payload is valid until the next read.
type frame struct {
	kind frameKind
	body []byte
}

// id splits a payload that begins with a call id.
func (f frame) id() (uint32, []byte, error) {
	if len(f.body) < 4 {
		return 0, nil, fmt.Errorf("link: frame %q of %d bytes has no id", f.kind, len(f.body))
	}
	return binary.BigEndian.Uint32(f.body), f.body[4:], nil
}

// frameReader reads frames; it is used by one goroutine.
type frameReader struct {
	r    io.Reader
	head [5]byte
	buf  []byte
}

// next reads one frame. io.EOF means that the peer left between two frames.
func (r *frameReader) next() (frame, error) {
	if _, err := io.ReadFull(r.r, r.head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(r.head[:4])
	if n > maxFrame {
		return frame{}, fmt.Errorf("link: frame of %d bytes is over the limit of %d", n, maxFrame)
	}
	if cap(r.buf) < int(n) {
		r.buf = make([]byte, n)
	}
	body := r.buf[:n]
	if _, err := io.ReadFull(r.r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, fmt.Errorf("link: frame cut short: %w", err)
	}
	return frame{kind: frameKind(r.head[4]), body: body}, nil
}

// frameWriter writes frames whole; it may be used by several goroutines.
type frameWriter struct {
	w io.Writer
	// patience bounds one write, if w has SetWriteDeadline; 0 does not. A
	// frame that was cut short by it ends the stream.
	patience time.Duration

	mu  sync.Mutex
	buf []byte
}

// deadliner is a connection whose writes can be bounded.
type deadliner interface {
	SetWriteDeadline(t time.Time) error
}

// send writes one frame whose payload is the parts in order.
func (w *frameWriter) send(kind frameKind, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > maxFrame {
		return fmt.Errorf("link: frame %q of %d bytes is over the limit of %d", kind, n, maxFrame)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = binary.BigEndian.AppendUint32(w.buf[:0], uint32(n))
	w.buf = append(w.buf, byte(kind))
	for _, p := range parts {
		w.buf = append(w.buf, p...)
	}
	if d, ok := w.w.(deadliner); ok && w.patience > 0 {
		if err := d.SetWriteDeadline(time.Now().Add(w.patience)); err != nil {
			return err
		}
	}
	_, err := w.w.Write(w.buf)
	return err
}

// word is a call id or a credit on the wire.
func word(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
