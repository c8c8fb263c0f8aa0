package gpiotest

import (
	"context"
	"errors"
	"sync"
	"testing"

	hil "hil-runner/gpio"
)

// Probe says what a line does electrically at this moment.
type Probe func() State

// TestLine holds an implementation of gpio.Line to its contract. newLine makes
// a fresh line for a spec whose Role and ActiveLow are set, and a probe for it.
func TestLine(t *testing.T, newLine func(t *testing.T, spec hil.LineSpec) (hil.Line, Probe)) {
	yes, no := true, false
	for _, c := range []struct {
		name                       string
		spec                       hil.LineSpec
		opened, asserted, released State
	}{
		{"reset", hil.LineSpec{Role: hil.Reset}, Float, Low, Float},
		{"reset active low", hil.LineSpec{Role: hil.Reset, ActiveLow: &yes}, Float, Low, Float},
		{"reset through a transistor", hil.LineSpec{Role: hil.Reset, ActiveLow: &no}, Untouched, High, Low},
		{"boot0", hil.LineSpec{Role: hil.Boot0}, Untouched, High, Low},
		{"boot0 inverted", hil.LineSpec{Role: hil.Boot0, ActiveLow: &yes}, Untouched, Low, High},
		{"gpio0", hil.LineSpec{Role: hil.GPIO0}, Untouched, High, Low},
		{"power", hil.LineSpec{Role: hil.Power}, Untouched, High, Low},
		{"power inverted", hil.LineSpec{Role: hil.Power, ActiveLow: &yes}, Untouched, Low, High},
	} {
		t.Run(c.name, func(t *testing.T) {
			line, probe := newLine(t, c.spec)
			// A line in another process is not touched by opening it.
			if got := probe(); got != c.opened && got != Untouched {
				t.Errorf("opened: the line is %s, want %s", got, c.opened)
			}
			act(t, line, probe, c.asserted, c.released)
			cancelled(t, line, probe)
			crowd(t, line, probe, c.asserted, c.released)
			if line.String() == "" {
				t.Error("the line has no name")
			}
			if got := probe(); got != c.released {
				t.Errorf("asking for the name changed the line to %s", got)
			}
		})
	}
}

// act asserts and releases, each more than once.
func act(t *testing.T, line hil.Line, probe Probe, asserted, released State) {
	t.Helper()
	for _, step := range []struct {
		name string
		call func(context.Context) error
		want State
	}{
		{"release", line.Release, released}, {"assert", line.Assert, asserted}, {"assert again", line.Assert, asserted},
		{"release", line.Release, released}, {"release again", line.Release, released}, {"assert", line.Assert, asserted},
	} {
		if err := step.call(t.Context()); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := probe(); got != step.want {
			t.Fatalf("%s: the line is %s, want %s", step.name, got, step.want)
		}
	}
}

// cancelled calls with a context that has ended: nothing may change.
func cancelled(t *testing.T, line hil.Line, probe Probe) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := probe()
	for name, call := range map[string]func(context.Context) error{"assert": line.Assert, "release": line.Release} {
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s after cancel: got %v, want context.Canceled", name, err)
		}
		if got := probe(); got != before {
			t.Errorf("%s after cancel changed the line from %s to %s", name, before, got)
		}
	}
}

// crowd calls from many goroutines and then releases.
func crowd(t *testing.T, line hil.Line, probe Probe, asserted, released State) {
	t.Helper()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				if err := errors.Join(line.Assert(t.Context()), line.Release(t.Context())); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := probe(); got != asserted && got != released {
		t.Errorf("after many calls the line is %s", got)
	}
	if err := line.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if got := probe(); got != released {
		t.Errorf("released at the end, the line is %s, want %s", got, released)
	}
}
