package farmtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"hil-runner/farm"
	"hil-runner/recorder"
	"hil-runner/reports"
)

// FakeLab is a lab of fake modules in memory that checks leases as a real one
// must. It is safe for concurrent use.
type FakeLab struct {
	mu      sync.Mutex
	boards  []farm.Board
	modules map[string]*Module
	benches map[string]*fakeBench
	high    map[string]uint64
	faults  map[string]Faults
	events  map[string][]Event
	parked  map[string]int
}

// Event is one entry of a fake journal.
type Event struct {
	Kind  recorder.Kind
	Name  string
	Attrs json.RawMessage
}

// NewFakeLab gives a lab of n boards, fake01 and so on, with the faults that
// are given for them.
func NewFakeLab(n int, faults map[string]Faults) *FakeLab {
	l := &FakeLab{modules: make(map[string]*Module), benches: make(map[string]*fakeBench), high: make(map[string]uint64),
		faults: faults, events: make(map[string][]Event), parked: make(map[string]int)}
	for i := range n {
		id := fmt.Sprintf("fake%02d", i+1)
		limits := farm.DefaultLimits()
		limits.Pulse, limits.Banner = time.Millisecond, 50*time.Millisecond
		l.boards = append(l.boards, farm.Board{ID: id, Model: farm.DefaultModel, Port: "/dev/null/" + id, Virtual: true, Limits: limits})
	}
	return l
}

// Boards lists the boards.
func (l *FakeLab) Boards() []farm.Board { return l.boards }

// Open gives a bench to the holder of the newest lease.
func (l *FakeLab) Open(ctx context.Context, board string, lease farm.Lease) (*farm.Bench, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	picked, err := farm.Select(l.boards, []string{board}, nil, 0)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if lease.Board() != board || lease.Token() < l.high[board] {
		return nil, fmt.Errorf("opening board %s: %w", board, farm.ErrLeaseLost)
	}
	if old := l.benches[board]; old != nil {
		old.module.end(farm.ErrLeaseLost)
	}
	l.high[board] = lease.Token()
	f := &fakeBench{lab: l, board: picked[0], module: NewModule(l.faults[board])}
	l.modules[board], l.benches[board] = f.module, f
	return &farm.Bench{Board: picked[0], UART: f.module, Reset: f, Power: f, Journal: f, Parker: f, Flash: f}, nil
}

// Module is the module of the newest bench of a board, nil before Open.
func (l *FakeLab) Module(board string) *Module {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.modules[board]
}

// Events gives a board's journal.
func (l *FakeLab) Events(board string) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Event(nil), l.events[board]...)
}

// Parked counts how often a bench of the board was parked.
func (l *FakeLab) Parked(board string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked[board]
}

// fakeBench is the moving parts of one open board.
type fakeBench struct {
	lab    *FakeLab
	board  farm.Board
	module *Module
	once   sync.Once
}

func (f *fakeBench) alive() error {
	f.module.mu.Lock()
	defer f.module.mu.Unlock()
	return f.module.closed
}

// Reset pulses the line and looks for a banner that is newer.
func (f *fakeBench) Reset(ctx context.Context, hold time.Duration) error {
	if err := errors.Join(f.alive(), ctx.Err()); err != nil {
		return err
	}
	if hold == 0 {
		hold = f.board.Limits.Pulse
	}
	f.module.mu.Lock()
	before := len(f.module.out)
	f.module.mu.Unlock()
	f.module.hold(true)
	pulse := time.NewTimer(hold)
	defer pulse.Stop()
	select {
	case <-pulse.C:
	case <-ctx.Done():
	}
	f.module.hold(false)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f.module.mu.Lock()
	defer f.module.mu.Unlock()
	if !bytes.Contains(f.module.out[min(before, len(f.module.out)):], []byte("+WIND:1:")) {
		return fmt.Errorf("board %s on %s: %w", f.board.ID, f.board.Port, farm.ErrResetIneffective)
	}
	return nil
}

// Off takes the supply away.
func (f *fakeBench) Off(context.Context) error {
	if err := f.alive(); err != nil {
		return err
	}
	f.module.supply(false)
	return nil
}

// On gives the supply back.
func (f *fakeBench) On(context.Context) error {
	if err := f.alive(); err != nil {
		return err
	}
	f.module.supply(true)
	return nil
}

// Flash makes the module report the release's build.
func (f *fakeBench) Flash(_ context.Context, req farm.FlashRequest, progress func(string, int, int)) (reports.Flash, error) {
	if err := f.alive(); err != nil {
		return reports.Flash{}, err
	}
	if progress != nil {
		progress("write", 1, 1)
	}
	return reports.Flash{Release: req.Release, Build: DefaultBuild, Signature: "virtual, unsigned", Strategy: "dense", Attempts: 1}, nil
}

// Event keeps an event.
func (f *fakeBench) Event(_ context.Context, kind recorder.Kind, name string, attrs any) (recorder.Offset, error) {
	if err := f.alive(); err != nil {
		return 0, err
	}
	data, err := json.Marshal(attrs)
	if err != nil {
		return 0, err
	}
	f.lab.mu.Lock()
	defer f.lab.mu.Unlock()
	f.lab.events[f.board.ID] = append(f.lab.events[f.board.ID], Event{Kind: kind, Name: name, Attrs: data})
	return recorder.Offset(len(f.lab.events[f.board.ID])), nil
}

// Park ends the bench.
func (f *fakeBench) Park(context.Context) error {
	f.once.Do(func() {
		f.module.hold(false)
		f.module.end(farm.ErrClosed)
		f.lab.mu.Lock()
		defer f.lab.mu.Unlock()
		f.lab.parked[f.board.ID]++
	})
	return nil
}
