package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"hil-runner/farm"
	"hil-runner/recorder"
)

// Share is a bench as its owner serves it to one peer.
type Share struct {
	Bench   *farm.Bench
	Journal *recorder.Journal
	// From is where in the journal the peer's view begins.
	From recorder.Offset
	// Build is this executable's build id; a peer of another one is refused.
	Build string
	// Task is the peer's work.
	Task json.RawMessage
}

// serving is one peer's session at the owner.
type serving struct {
	*Share
	out    *frameWriter
	credit *credit
	writes chan write
	work   sync.WaitGroup
	// over is done when the session is: an answer of a call that ended only
	// because of that would look like the call's own.
	over <-chan struct{}

	mu sync.Mutex
	// open has what ends each call and write that was not answered yet.
	open map[uint32]context.CancelFunc
}

// Serve speaks to the peer at conn until it leaves, breaks the protocol, or ctx
// ends. It closes conn and returns when nothing of it runs any more; calls that
// the peer left open are cancelled. A peer that leaves between two frames gives
// nil; what it had said by then is what counts.
func (s *Share) Serve(ctx context.Context, conn io.ReadWriteCloser) error {
	ctx, cancel := context.WithCancelCause(ctx)
	v := &serving{Share: s, out: &frameWriter{w: conn}, credit: newCredit(), over: ctx.Done(),
		writes: make(chan write, maxCalls), open: make(map[uint32]context.CancelFunc)}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err := v.session(ctx, cancel, &frameReader{r: conn})
	// The peer did not end it if there was a cause before.
	cause := context.Cause(ctx)
	cancel(nil)
	stop()
	conn.Close()
	v.work.Wait()
	if cause != nil {
		return cause
	}
	return err
}

// session takes the peer's frames until there are no more.
func (v *serving) session(ctx context.Context, cancel context.CancelCauseFunc, in *frameReader) error {
	late := time.AfterFunc(attachLimit, func() {
		cancel(fmt.Errorf("link: board %s: the peer did not attach within %v", v.Bench.Board.ID, attachLimit))
	})
	err := v.greet(in)
	late.Stop()
	if err != nil {
		return err
	}
	v.work.Go(func() {
		// A closed journal ends the session: the bench is gone.
		if err := v.pump(ctx); err != nil && ctx.Err() == nil {
			cancel(err)
		}
	})
	v.work.Go(func() { v.writer(ctx) })
	for {
		f, err := in.next()
		if left(err) {
			return nil
		}
		if err == nil {
			err = v.frame(ctx, f)
		}
		if err != nil {
			return fmt.Errorf("board %s: %w", v.Bench.Board.ID, err)
		}
	}
}

// left says whether a read ended because the peer is no more. A socket whose
// peer died with bytes unread gives ECONNRESET, after what the peer had sent.
func left(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// greet describes the bench to the peer and checks the peer's reply.
func (v *serving) greet(in *frameReader) error {
	b := v.Bench
	h := Hello{Version: Version, Build: v.Build, Board: b.Board, From: v.From, Task: v.Task,
		Has: Parts{Reset: b.Reset != nil, Power: b.Power != nil, Flash: b.Flash != nil, Net: b.Net != nil}}
	if b.Net != nil {
		h.Address = b.Net.Address()
	}
	body, err := encode(h)
	if err == nil {
		err = v.out.send(frameHello, body)
	}
	if err != nil {
		return fmt.Errorf("link: board %s: hello: %w", b.Board.ID, err)
	}
	f, err := in.next()
	if err != nil {
		return fmt.Errorf("link: board %s: the peer left before it attached: %w", b.Board.ID, err)
	}
	var a Attached
	if f.kind != frameAttached {
		return fmt.Errorf("link: board %s: expected an attach frame, got %q", b.Board.ID, f.kind)
	}
	if err := json.Unmarshal(f.body, &a); err != nil {
		return fmt.Errorf("link: board %s: attach frame: %w", b.Board.ID, err)
	}
	if a.Version != Version {
		return fmt.Errorf("link: board %s: %w: the peer speaks version %d, this is %d; use the same hil-runner on both sides",
			b.Board.ID, ErrStranger, a.Version, Version)
	}
	if a.Build != v.Build {
		return fmt.Errorf("link: board %s: %w: the peer is build %.80q, this is %q; start both from the same executable",
			b.Board.ID, ErrStranger, a.Build, v.Build)
	}
	return nil
}

// frame acts on one frame of the peer.
func (v *serving) frame(ctx context.Context, f frame) error {
	n, body, err := f.id()
	if err != nil {
		return err
	}
	switch f.kind {
	case frameCredit:
		return v.credit.add(n)
	case frameWrite:
		return v.write(ctx, n, body)
	case frameCall:
		return v.call(ctx, n, body)
	case frameCancel:
		v.cancel(n)
		return nil
	}
	return fmt.Errorf("link: unknown frame %q", f.kind)
}

// begin notes an open call.
func (v *serving) begin(ctx context.Context, id uint32) (context.Context, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open[id] != nil {
		return nil, fmt.Errorf("link: call %d came twice", id)
	}
	if len(v.open) >= maxCalls {
		return nil, fmt.Errorf("link: more than %d calls at once", maxCalls)
	}
	ctx, cancel := context.WithCancel(ctx)
	v.open[id] = cancel
	return ctx, nil
}

// cancel ends a call early; it is open until it has answered.
func (v *serving) cancel(id uint32) {
	v.mu.Lock()
	cancel := v.open[id]
	v.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// result is what a call gives.
type result struct {
	value any
	err   error
}

// answer closes a call and tells the peer. A peer that is gone does not need
// its answer.
func (v *serving) answer(id uint32, r result) {
	v.mu.Lock()
	cancel := v.open[id]
	delete(v.open, id)
	v.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	select {
	case <-v.over:
		return
	default:
	}
	a := answer{Error: asWire(r.err)}
	if r.value != nil {
		value, err := encode(r.value)
		if err != nil {
			a.Error = asWire(err)
		}
		a.Value = value
	}
	if body, err := encode(a); err == nil {
		_ = v.out.send(frameAnswer, word(id), body)
	}
}
