package link_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"hil-runner/farm"
	"hil-runner/farm/farmtest"
	"hil-runner/farm/link"
	"hil-runner/recorder"
	"hil-runner/reports"
)

const build = "build-of-this-test"

// pipeEnd is one end of a connection in memory that holds some bytes, as a
// socket does, and works inside testing/synctest.
type pipeEnd struct {
	in, out *stream
}

type stream struct {
	mu     sync.Mutex
	moved  sync.Cond
	buf    []byte
	most   int
	closed bool
}

func newPipe(most int) (a, b *pipeEnd) {
	one, two := &stream{most: most}, &stream{most: most}
	one.moved.L, two.moved.L = &one.mu, &two.mu
	return &pipeEnd{one, two}, &pipeEnd{two, one}
}

func (p *pipeEnd) Read(b []byte) (int, error) {
	s := p.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buf) == 0 {
		if s.closed {
			return 0, io.EOF
		}
		s.moved.Wait()
	}
	n := copy(b, s.buf)
	s.buf = s.buf[n:]
	s.moved.Broadcast()
	return n, nil
}

func (p *pipeEnd) Write(b []byte) (int, error) {
	s := p.out
	s.mu.Lock()
	defer s.mu.Unlock()
	for sent := 0; ; {
		if s.closed {
			return sent, io.ErrClosedPipe
		}
		n := min(len(b)-sent, s.most-len(s.buf))
		s.buf = append(s.buf, b[sent:sent+n]...)
		sent += n
		s.moved.Broadcast()
		if sent == len(b) {
			return sent, nil
		}
		s.moved.Wait()
	}
}

func (p *pipeEnd) Close() error {
	for _, s := range []*stream{p.in, p.out} {
		s.mu.Lock()
		s.closed = true
		s.moved.Broadcast()
		s.mu.Unlock()
	}
	return nil
}

// stubs are the parts of a bench, as a test wants them.
type stubs struct {
	*farmtest.Module
	j *recorder.Journal

	reset func(ctx context.Context, hold time.Duration) error
	flash func(ctx context.Context, req farm.FlashRequest, show func(string, int, int)) (reports.Flash, error)
	name  func(name, addr string) error
}

func (s *stubs) Write(p []byte) (int, error)       { return s.send(p, false) }
func (s *stubs) WriteSecret(p []byte) (int, error) { return s.send(p, true) }

func (s *stubs) send(p []byte, secret bool) (int, error) {
	if _, err := s.j.Append(recorder.KindTx, p, secret); err != nil {
		return 0, err
	}
	return s.Module.Write(p)
}

func (s *stubs) Reset(ctx context.Context, hold time.Duration) error { return s.reset(ctx, hold) }
func (s *stubs) On(context.Context) error                            { return nil }
func (s *stubs) Off(context.Context) error                           { return farm.ErrLeaseLost }
func (s *stubs) Address() string                                     { return "192.0.2.7" }

func (s *stubs) SetName(_ context.Context, name, addr string) error { return s.name(name, addr) }

func (s *stubs) Flash(ctx context.Context, req farm.FlashRequest, show func(string, int, int)) (reports.Flash, error) {
	return s.flash(ctx, req, show)
}

func (s *stubs) Event(_ context.Context, kind recorder.Kind, name string, attrs any) (recorder.Offset, error) {
	return s.j.Event(kind, name, attrs)
}

// rig is a bench with an owner that serves it to one peer.
type rig struct {
	*stubs
	share   *link.Share
	session *link.Session
	// served is what Serve returned.
	served chan error
	cancel context.CancelCauseFunc
	owner  *pipeEnd
}

// newOwner makes a bench and its journal; nobody serves it yet.
func newOwner(t testing.TB) *rig {
	t.Helper()
	j, err := recorder.Create(t.TempDir(), recorder.Options{Board: "b1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	r := &rig{stubs: &stubs{Module: farmtest.NewModule(farmtest.Faults{}), j: j}, served: make(chan error, 1)}
	limits := farm.DefaultLimits()
	limits.Command = time.Second
	bench := &farm.Bench{Board: farm.Board{ID: "b1", Port: "/dev/ttyX", Limits: limits},
		UART: r.stubs, Reset: r.stubs, Power: r.stubs, Flash: r.stubs, Net: r.stubs, Journal: r.stubs}
	r.share = &link.Share{Bench: bench, Journal: j, From: j.End(), Build: build, Task: json.RawMessage(`{"n":7}`)}
	return r
}

// newRig attaches a session to a bench, over a connection in memory.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := newOwner(t)
	peer := r.serve(t)
	var err error
	if r.session, err = link.Attach(peer, build, 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.session.Close() })
	return r
}

// serve serves the bench and gives the peer's end.
func (r *rig) serve(t testing.TB) *pipeEnd {
	ctx, cancel := context.WithCancelCause(context.Background())
	owner, peer := newPipe(64 << 10)
	r.cancel, r.owner = cancel, owner
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.served <- r.share.Serve(ctx, owner)
	}()
	t.Cleanup(func() {
		cancel(nil)
		<-done
	})
	return peer
}

// say puts bytes of the board onto the journal.
func (r *rig) say(t testing.TB, p []byte) {
	t.Helper()
	if _, err := r.j.Append(recorder.KindRx, p, false); err != nil {
		t.Fatal(err)
	}
}

// rawFrame builds a frame as the wire has it: length, kind, payload.
func rawFrame(kind byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), kind), body...)
}

func id(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// readFrame reads one frame by hand.
func readFrame(t testing.TB, r io.Reader) (byte, []byte) {
	t.Helper()
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	return head[4], body
}

// readAll reads n bytes from a UART.
func readAll(t testing.TB, u farm.UART, n int) []byte {
	t.Helper()
	if err := u.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, n)
	if got, err := io.ReadFull(u, p); err != nil {
		t.Fatalf("after %d of %d bytes: %v", got, n, err)
	}
	return p
}

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		child(mode)
	}
	os.Exit(m.Run())
}
