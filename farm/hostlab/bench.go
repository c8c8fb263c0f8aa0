package hostlab

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"hil-runner/farm"
	"hil-runner/gpio"
	"hil-runner/recorder"
)

// hand is what a token may do.
type hand struct {
	o     *owner
	token uint64

	// over ends when the hand does, with farm.ErrLeaseLost or farm.ErrClosed
	// as its cause.
	over context.Context
	end  context.CancelCauseFunc

	// writing is held for reading by each write.
	writing sync.RWMutex

	mu sync.Mutex
	rx *recorder.Stream

	parking sync.Mutex
	parked  bool
}

// bench admits a token and gives it a bench.
func (o *owner) bench(ctx context.Context, token uint64) (*farm.Bench, error) {
	if o.alive.Err() != nil {
		return nil, context.Cause(o.alive)
	}
	if err := o.cfg.Fence.Admit(o.id(), token); err != nil {
		return nil, err
	}
	for _, h := range o.endHands(func(h *hand) bool { return h.token < token }, farm.ErrLeaseLost) {
		h.settle()
	}
	// What an overtaken hand had under way ends with it.
	if err := o.take(ctx); err != nil {
		return nil, err
	}
	defer o.give()
	from, err := o.event(recorder.KindLease, "opened", map[string]any{"token": token})
	if err != nil {
		return nil, err
	}
	if o.state.away {
		after := o.journal.End()
		if err := o.readyLines(ctx); err != nil {
			return nil, err
		}
		o.awaitStart(ctx, after)
	}
	o.comparePassport()
	return o.benchOf(o.newHand(token, from), from), nil
}

func (o *owner) newHand(token uint64, from recorder.Offset) *hand {
	h := &hand{o: o, token: token, rx: o.journal.Stream(from, recorder.KindRx)}
	h.over, h.end = context.WithCancelCause(context.Background())
	context.AfterFunc(h.over, h.wake)
	context.AfterFunc(o.alive, h.wake)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hands[h] = true
	return h
}

// benchOf fills in what the board has.
func (o *owner) benchOf(h *hand, from recorder.Offset) *farm.Bench {
	b := &farm.Bench{Board: o.dev.Board, UART: h, Journal: h,
		Recording: o.journal, From: from, Build: o.watch.build, Parker: h}
	if o.lines[gpio.Reset] != nil {
		b.Reset = h
	}
	if o.lines[gpio.Power] != nil {
		b.Power = power{h}
	}
	if o.lines[gpio.Reset] != nil && o.lines[gpio.Boot0] != nil && o.cfg.Image != nil {
		b.Flash = flasher{h}
	}
	if o.dev.Net != "" || o.dev.Address != "" {
		b.Net = names{h}
	}
	return b
}

// endHands ends the hands that are to end and gives them.
func (o *owner) endHands(which func(*hand) bool, why error) []*hand {
	o.mu.Lock()
	defer o.mu.Unlock()
	var ended []*hand
	for h := range o.hands {
		if which(h) {
			delete(o.hands, h)
			h.end(fmt.Errorf("board %s, token %d: %w", o.id(), h.token, why))
			ended = append(ended, h)
		}
	}
	return ended
}

// settle waits until no write of a hand that has ended is under way.
func (h *hand) settle() {
	h.writing.Lock()
	defer h.writing.Unlock()
}

// fenced refuses a holder that was overtaken or has closed the bench.
func (h *hand) fenced() error {
	if h.over.Err() != nil {
		return context.Cause(h.over)
	}
	return h.o.cfg.Fence.Admit(h.o.id(), h.token)
}

// check is fenced, and refuses a board whose port is gone.
func (h *hand) check() error {
	if err := h.fenced(); err != nil {
		return err
	}
	if h.o.alive.Err() != nil {
		return context.Cause(h.o.alive)
	}
	return nil
}

// bound gives a context that also ends with the hand and with the port.
func (h *hand) bound(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	over := context.AfterFunc(h.over, func() { cancel(context.Cause(h.over)) })
	gone := context.AfterFunc(h.o.alive, func() { cancel(context.Cause(h.o.alive)) })
	return ctx, func() {
		over()
		gone()
		cancel(nil)
	}
}

// operate carries out one operation of the lines. The token is looked at once
// more when it is this operation's turn.
func (h *hand) operate(ctx context.Context, f func(ctx context.Context) error) error {
	if err := h.check(); err != nil {
		return err
	}
	ctx, done := h.bound(ctx)
	defer done()
	if err := h.o.take(ctx); err != nil {
		return err
	}
	defer h.o.give()
	if err := h.check(); err != nil {
		return err
	}
	err := f(ctx)
	if err != nil && ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
		// What the end of ctx made of the operation is not a cause of its own.
		err = fmt.Errorf("%w: %v", context.Cause(ctx), err)
	}
	return err
}

// Park parks the board and ends the bench. A bench that was overtaken has
// nothing to park: the board is another's.
func (h *hand) Park(ctx context.Context) error {
	h.o.endHands(func(other *hand) bool { return other == h }, farm.ErrClosed)
	h.settle()
	h.parking.Lock()
	defer h.parking.Unlock()
	if h.parked || errors.Is(context.Cause(h.over), farm.ErrLeaseLost) ||
		errors.Is(h.o.cfg.Fence.Admit(h.o.id(), h.token), farm.ErrLeaseLost) {
		return nil
	}
	err := h.o.park(ctx)
	h.parked = err == nil
	return err
}

// Event puts an event onto the journal.
func (h *hand) Event(_ context.Context, kind recorder.Kind, name string, attrs any) (recorder.Offset, error) {
	if err := h.fenced(); err != nil {
		return 0, err
	}
	return h.o.event(kind, name, attrs)
}
