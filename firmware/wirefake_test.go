package firmware_test

import (
	"fmt"
	"os"
	"time"
)

// fakeWire is the UART between Flash and a fakeROM, in virtual time: every
// byte takes eleven bits, the ROM's receiver holds one byte, and what the ROM
// says can be read when it has arrived. One goroutine uses it, in a synctest
// bubble.
type fakeWire struct {
	rom  *fakeROM
	baud int
	// loseSent and loseReply are the n-th byte, counted from 1, that is lost
	// on its way.
	loseSent, loseReply int
	// late delays the first answer, as a host that is busy elsewhere sees it.
	late time.Duration
	// mute makes the ROM silent from the n-th step on, counted from 1.
	mute int
	// onWrite is called before every protocol step.
	onWrite func(step int)

	deadline   time.Time
	arrived    time.Time // the last byte at the ROM
	ready      time.Time // the ROM polls its receiver again
	spoken     time.Time // the last byte at the host
	pending    []timedByte
	sent       int
	received   int
	steps      int
	violations []string
}

type timedByte struct {
	b  byte
	at time.Time
}

func newWire(r *fakeROM) *fakeWire { return &fakeWire{rom: r, baud: 115200} }

func (w *fakeWire) bytes(n int) time.Duration {
	return time.Duration(n) * 11 * time.Second / time.Duration(w.baud)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (w *fakeWire) Write(p []byte) (int, error) {
	w.steps++
	if w.onWrite != nil {
		w.onWrite(w.steps)
	}
	if len(w.pending) > 0 {
		w.violations = append(w.violations, fmt.Sprintf("step %d was sent before the answer to the one before was read", w.steps))
	}
	w.arrived = later(w.arrived, time.Now())
	for _, b := range p {
		w.sent++
		w.arrived = w.arrived.Add(w.bytes(1))
		if w.arrived.Before(w.ready) {
			w.violations = append(w.violations, fmt.Sprintf("step %d overran the receiver", w.steps))
			continue
		}
		if w.sent == w.loseSent || w.mute > 0 && w.steps >= w.mute {
			continue
		}
		out, busy := w.rom.feed(b)
		w.ready = w.arrived.Add(busy)
		at := w.ready
		if w.received == 0 {
			at = at.Add(w.late)
		}
		w.say(out, at)
	}
	return len(p), nil
}

// say puts what the ROM sends from a moment on onto the wire.
func (w *fakeWire) say(out []byte, from time.Time) {
	for _, b := range out {
		w.received++
		w.spoken = later(w.spoken, from).Add(w.bytes(1))
		if w.received != w.loseReply {
			w.pending = append(w.pending, timedByte{b, w.spoken})
		}
	}
}

func (w *fakeWire) SetReadDeadline(t time.Time) error { w.deadline = t; return nil }

// Read waits for the bytes that are on their way, as a UART with a buffer
// would give them to a reader that is in no hurry.
func (w *fakeWire) Read(p []byte) (int, error) {
	if w.deadline.IsZero() {
		panic("read without a deadline")
	}
	until := w.deadline
	if n := min(len(p), len(w.pending)); n > 0 && w.pending[n-1].at.Before(until) {
		until = w.pending[n-1].at
	}
	if wait := time.Until(until); wait > 0 {
		<-time.After(wait)
	}
	n, now := 0, time.Now()
	for n < len(p) && n < len(w.pending) && !w.pending[n].at.After(now) {
		p[n] = w.pending[n].b
		n++
	}
	w.pending = append(w.pending[:0], w.pending[n:]...)
	if n == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return n, nil
}
