package gpiotest

import (
	"context"
	"slices"
	"sync"

	hil "hil-runner/gpio"
)

// Line is a gpio.Line that records its calls. The zero value is ready; it is
// safe for concurrent use.
type Line struct {
	// Name is what String gives.
	Name string

	mu    sync.Mutex
	calls []string
	err   error
	on    func(asserted bool)
}

var _ hil.Line = (*Line)(nil)

// Assert records "assert".
func (l *Line) Assert(ctx context.Context) error { return l.call(ctx, "assert", true) }

// Release records "release".
func (l *Line) Release(ctx context.Context) error { return l.call(ctx, "release", false) }

// String gives Name.
func (l *Line) String() string { return l.Name }

// Calls are the calls that succeeded, in order.
func (l *Line) Calls() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

// Asserted says whether the last call that succeeded was Assert.
func (l *Line) Asserted() bool {
	calls := l.Calls()
	return len(calls) > 0 && calls[len(calls)-1] == "assert"
}

// Fail makes calls return err from now on; nil ends that.
func (l *Line) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// OnChange has f called with every call that succeeds, while the line is held.
func (l *Line) OnChange(f func(asserted bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on = f
}

func (l *Line) call(ctx context.Context, what string, asserted bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.err != nil {
		return l.err
	}
	l.calls = append(l.calls, what)
	if l.on != nil {
		l.on(asserted)
	}
	return nil
}
