package link

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"hil-runner/farm"
	"hil-runner/recorder"
)

// ErrOwnerGone means that the owner of the bench left: nothing of what the
// peer does reaches the board any more.
var ErrOwnerGone error = &farm.InfraError{Code: "owner_gone", Detail: "the owner of the bench is gone"}

// ErrStranger means that the two ends are not of one version and build.
var ErrStranger = errors.New("the other end is another program")

// Session is a bench attached from elsewhere. It may be used by several
// goroutines.
type Session struct {
	// Hello is what the owner said.
	Hello Hello
	// Bench is the bench, with the owner's hands.
	Bench *farm.Bench

	conn      io.Closer
	out       *frameWriter
	uart      *remoteUART
	incidents chan farm.IncidentSeen
	lost      chan struct{}
	done      chan struct{}
	ids       atomic.Uint32

	mu    sync.Mutex
	calls map[uint32]*pending
	fault error
	// closing is set when it is this end that leaves.
	closing bool
}

// pending is a call that waits for its answer.
type pending struct {
	answer   chan answer
	progress func(stage string, done, total int)
}

// Attach takes the owner's hello from conn and replies with this process's
// build and pid. The session ends when the owner leaves or on Close. An owner
// of another version or build is ErrStranger. After an error conn is closed.
func Attach(conn io.ReadWriteCloser, build string, pid int) (*Session, error) {
	s := &Session{conn: conn, out: &frameWriter{w: conn, patience: sendLimit},
		incidents: make(chan farm.IncidentSeen, 16), lost: make(chan struct{}), done: make(chan struct{}),
		calls: make(map[uint32]*pending)}
	in := &frameReader{r: conn}
	if err := s.greet(in, build, pid); err != nil {
		conn.Close()
		return nil, err
	}
	go s.read(in)
	return s, nil
}

// greet takes the hello and answers it.
func (s *Session) greet(in *frameReader, build string, pid int) error {
	f, err := in.next()
	if err != nil {
		return fmt.Errorf("link: no hello from the owner of the bench: %w", err)
	}
	if f.kind != frameHello {
		return fmt.Errorf("link: expected a hello, got frame %q", f.kind)
	}
	if err := json.Unmarshal(f.body, &s.Hello); err != nil {
		return fmt.Errorf("link: hello: %w", err)
	}
	h := s.Hello
	if h.Version != Version {
		return fmt.Errorf("link: %w: the owner speaks version %d, this is %d; use the same hil-runner on both sides", ErrStranger, h.Version, Version)
	}
	if h.Build != build {
		return fmt.Errorf("link: %w: the owner is build %.80q, this is %q; start both from the same executable", ErrStranger, h.Build, build)
	}
	s.uart = newRemoteUART(s)
	s.Bench = s.bench()
	body, err := encode(Attached{Version: Version, Build: build, PID: pid})
	if err != nil {
		return err
	}
	if err := s.out.send(frameAttached, body); err != nil {
		return fmt.Errorf("link: attaching to board %s: %w", h.Board.ID, err)
	}
	return nil
}

// bench fills in what the owner has.
func (s *Session) bench() *farm.Bench {
	b := &farm.Bench{Board: s.Hello.Board, UART: s.uart, Journal: remoteJournal{s}}
	if s.Hello.Has.Reset {
		b.Reset = remoteReset{s}
	}
	if s.Hello.Has.Power {
		b.Power = remotePower{s}
	}
	if s.Hello.Has.Flash {
		b.Flash = remoteFlash{s}
	}
	if s.Hello.Has.Net {
		b.Net = remoteNet{s}
	}
	return b
}

// Incidents gives what the watch saw on the board. A receiver that is 16
// behind loses further ones here; the journal has them all.
func (s *Session) Incidents() <-chan farm.IncidentSeen { return s.incidents }

// Lost is closed when the owner is gone; Err then says how.
func (s *Session) Lost() <-chan struct{} { return s.lost }

// Err is why the session ended; nil while it lives.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// Close leaves the bench and waits until nothing of the session runs. Calls
// that wait, and all later ones, end with farm.ErrClosed.
func (s *Session) Close() error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	err := s.conn.Close()
	<-s.done
	return err
}

// read takes the owner's frames until it leaves.
func (s *Session) read(in *frameReader) {
	defer close(s.done)
	err := s.frames(in)
	s.mu.Lock()
	switch {
	case s.closing:
		err = fmt.Errorf("board %s: %w", s.Hello.Board.ID, farm.ErrClosed)
	case left(err):
		err = fmt.Errorf("board %s: %w", s.Hello.Board.ID, ErrOwnerGone)
	default:
		err = fmt.Errorf("board %s: %w: %w", s.Hello.Board.ID, ErrOwnerGone, err)
	}
	s.fault = err
	s.mu.Unlock()
	// A stream that broke is of no more use to the owner either.
	s.conn.Close()
	close(s.lost)
	s.uart.end(err)
}

func (s *Session) frames(in *frameReader) error {
	for {
		f, err := in.next()
		if err != nil {
			return err
		}
		switch f.kind {
		case frameRx:
			if len(f.body) < 8 {
				return fmt.Errorf("link: rx frame of %d bytes", len(f.body))
			}
			if err := s.uart.received(recorder.Offset(binary.BigEndian.Uint64(f.body)), f.body[8:]); err != nil {
				return err
			}
		case frameWatch:
			var incident farm.IncidentSeen
			if err := json.Unmarshal(f.body, &incident); err != nil {
				return fmt.Errorf("link: watch frame: %w", err)
			}
			select {
			case s.incidents <- incident:
			default:
			}
		case frameAnswer, frameProgress:
			if err := s.settle(f); err != nil {
				return err
			}
		default:
			return fmt.Errorf("link: unknown frame %q", f.kind)
		}
	}
}

// settle hands an answer or a progress step to the call that waits for it.
func (s *Session) settle(f frame) error {
	id, body, err := f.id()
	if err != nil {
		return err
	}
	s.mu.Lock()
	p := s.calls[id]
	if f.kind == frameAnswer {
		delete(s.calls, id)
	}
	s.mu.Unlock()
	if p == nil {
		return nil // its caller has given up
	}
	if f.kind == frameProgress {
		var step progress
		if err := json.Unmarshal(body, &step); err != nil {
			return fmt.Errorf("link: progress frame: %w", err)
		}
		if p.progress != nil {
			p.progress(step.Stage, step.Done, step.Total)
		}
		return nil
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return fmt.Errorf("link: answer frame: %w", err)
	}
	p.answer <- a
	return nil
}

// ask sends one frame that has an id and waits for its answer. show is called
// on the goroutine that reads the session and must not call the session.
func (s *Session) ask(ctx context.Context, kind frameKind, show func(string, int, int), body ...[]byte) (answer, error) {
	id := s.ids.Add(1)
	p := &pending{answer: make(chan answer, 1), progress: show}
	s.mu.Lock()
	s.calls[id] = p
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.calls, id)
		s.mu.Unlock()
	}()
	if err := s.out.send(kind, append([][]byte{word(id)}, body...)...); err != nil {
		// A frame that is half on its way ends the stream, and with it the
		// session.
		s.conn.Close()
		<-s.done
		return answer{}, s.Err()
	}
	select {
	case a := <-p.answer:
		return a, a.err()
	case <-s.lost:
		return answer{}, s.Err()
	case <-ctx.Done():
		// The owner stops what it was doing for us; if it is gone, so is that.
		_ = s.out.send(frameCancel, word(id))
		return answer{}, ctx.Err()
	}
}

// do makes one call.
func (s *Session) do(ctx context.Context, c call, show func(string, int, int)) (answer, error) {
	body, err := encode(c)
	if err != nil {
		return answer{}, err
	}
	return s.ask(ctx, frameCall, show, body)
}
