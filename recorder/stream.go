package recorder

import (
	"io"
	"os"
	"sync"
	"time"
)

// Stream reads the payloads of one kind as one row of bytes, which for KindRx
// is what the board sends. Read waits for bytes; while it does, the stream is
// urgent in the sense of Journal.Waiting. Read is for one goroutine at a time;
// SetReadDeadline and Close may be called beside it.
type Stream struct {
	reading sync.Mutex // held by Read

	c    *Cursor
	rest []byte // of the record at at, not read yet
	at   Offset

	mu       sync.Mutex
	deadline time.Time
	alarm    *time.Timer
	rings    time.Time // when alarm fires; zero when it is not set
	closed   bool
}

// Stream returns a stream of one kind from an offset on, as for Cursor.
func (j *Journal) Stream(from Offset, kind Kind) *Stream {
	c := j.Cursor(from)
	c.w.kind, c.w.urgent = kind, true
	return &Stream{c: c, at: c.off}
}

// Read reads what there is, at least one byte. It returns
// os.ErrDeadlineExceeded after the read deadline, io.EOF at the end of a closed
// journal and os.ErrClosed after Close.
func (s *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.isClosed() {
		return 0, os.ErrClosed
	}
	for len(s.rest) == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	if len(s.rest) == 0 {
		s.move(s.c.off)
	}
	return n, nil
}

// next waits for the next record. Bytes that are there win over a deadline
// that has passed.
func (s *Stream) next() error {
	for {
		rec, state, err := s.c.poll()
		switch {
		case err != nil:
			return err
		case state == atRecord:
			s.rest = rec.Data
			s.move(rec.Offset)
			return nil
		case state == atClose:
			return io.EOF
		}
		if err := s.expired(); err != nil {
			s.c.j.mu.Lock()
			s.c.j.unwait(&s.c.w)
			s.c.j.mu.Unlock()
			return err
		}
		s.c.j.announce(&s.c.w)
		<-s.c.w.ready
	}
}

// expired tells whether the wait must end, and sees to it that the waiter is
// woken when it must.
func (s *Stream) expired() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	if s.deadline.IsZero() {
		return nil
	}
	left := time.Until(s.deadline)
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	// An alarm that rings too early is cheaper than one that is set anew for
	// each of many short waits.
	if s.rings.IsZero() || s.rings.After(s.deadline) {
		s.rings = s.deadline
		if s.alarm == nil {
			s.alarm = time.AfterFunc(left, s.ring)
		} else {
			s.alarm.Reset(left)
		}
	}
	return nil
}

func (s *Stream) ring() {
	s.mu.Lock()
	s.rings = time.Time{}
	s.mu.Unlock()
	s.wakeUp()
}

// wakeUp makes a blocked Read look again.
func (s *Stream) wakeUp() {
	j := s.c.j
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.c.w.listed {
		j.unwait(&s.c.w)
		signal(s.c.w.ready)
	}
}

// SetReadDeadline sets when a Read gives up; the zero time means never. A Read
// that waits already is bound by it too.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return os.ErrClosed
	}
	sooner := !t.IsZero() && (s.deadline.IsZero() || t.Before(s.deadline))
	s.deadline = t
	s.mu.Unlock()
	if sooner {
		s.wakeUp()
	}
	return nil
}

// Offset is the resume token: the offset of the record that holds the next
// byte.
func (s *Stream) Offset() Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *Stream) move(at Offset) {
	s.mu.Lock()
	s.at = at
	s.mu.Unlock()
}

// Close ends a blocked Read and all later ones with os.ErrClosed.
func (s *Stream) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return os.ErrClosed
	}
	s.closed = true
	if s.alarm != nil {
		s.alarm.Stop()
	}
	s.mu.Unlock()
	s.wakeUp()
	s.reading.Lock()
	defer s.reading.Unlock()
	return s.c.Close()
}

func (s *Stream) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
