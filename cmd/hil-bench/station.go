package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"hil-runner/farm"
	"hil-runner/farm/hostlab"
	"hil-runner/farm/virtlab"
	"hil-runner/farm/virtlab/chip"
	"hil-runner/firmware"
	"hil-runner/reports"
)

// station is virtual boards that are flashed by us and by others, in turn,
// through the doors that a real board has: a terminal and pins.
type station struct {
	dir  string
	lab  *virtlab.Lab
	baud int // of the boot ROM
	runs int
}

// openStation starts the boards, each with the factory's firmware.
func openStation(dir string, boards, baud int, pace bool) (*station, error) {
	lab, err := virtlab.New(virtlab.Config{Boards: boards, Prefix: "bench", Pace: pace, Dir: filepath.Join(dir, "lab")})
	if err != nil {
		return nil, err
	}
	return &station{dir: dir, lab: lab, baud: baud}, nil
}

func (s *station) close() error { return s.lab.Close() }

// flashing is one flashing as the module saw it.
type flashing struct {
	// rom counts what went over the boot ROM's line and what it did.
	rom chip.Stats
	// wall is the whole call, line is from the first answer of the boot ROM
	// to the last.
	wall, line time.Duration
	result     reports.Flash
}

// wire counts the bytes both ways.
func (f flashing) wire() float64 { return float64(f.rom.RxBytes + f.rom.TxBytes) }

// at115200 is the time on a real line.
func (f flashing) at115200() time.Duration { return f.rom.WireTime(115200) }

// limits suit virtual modules.
func limits() farm.Limits {
	l := farm.DefaultLimits()
	// 1 ms is the shortest pulse that is known to reset the module.
	l.Pulse = time.Millisecond
	return l
}

// device wires a virtual board up.
func (s *station) device(b *virtlab.Board) hostlab.Device {
	line := func(role string) *farm.LineAddress { return &farm.LineAddress{Address: b.ID + "-" + role} }
	return hostlab.Device{FlashBaud: s.baud,
		JournalDir: filepath.Join(s.dir, fmt.Sprintf("journal-%d", s.runs), b.ID),
		Wiring: farm.Wiring{Baud: farm.DefaultBaud, Idle: farm.IdleRunning,
			Board: farm.Board{ID: b.ID, Model: farm.DefaultModel, Port: b.UARTPath, Virtual: true, Limits: limits()},
			Lines: farm.LabLines{Reset: line("reset"), Boot0: line("boot0"), Power: line("power")}}}
}

// host is this machine's side of a station: open devices and their leases.
type host struct {
	station *station
	lab     *hostlab.Lab
	fence   *farm.Fence
	locker  *farm.LocalLocker
}

// open takes the boards' devices. state keeps passports; img is what is
// flashed.
func (s *station) open(ctx context.Context, state string, img firmware.Image) (_ *host, err error) {
	s.runs++
	h := &host{station: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if h.fence, err = farm.OpenFence(filepath.Join(state, "tokens")); err != nil {
		return nil, err
	}
	cfg := hostlab.Config{StateDir: state, Fence: h.fence,
		Image: func(farm.FlashRequest) (firmware.Image, error) { return img, nil }}
	for _, b := range s.lab.Boards() {
		cfg.Devices = append(cfg.Devices, s.device(b))
	}
	if h.lab, err = hostlab.Open(ctx, cfg); err != nil {
		return nil, err
	}
	h.locker = farm.NewLocalLocker(h.lab.Boards(), h.fence)
	return h, nil
}

func (h *host) close() error {
	var errs []error
	if h.lab != nil {
		errs = append(errs, h.lab.Close())
	}
	if h.locker != nil {
		errs = append(errs, h.locker.Close())
	}
	if h.fence != nil {
		errs = append(errs, h.fence.Close())
	}
	return errors.Join(errs...)
}

// flash flashes one board. The boot ROM's counters are read before and after;
// nothing of what the flasher says of itself is taken for a time.
func (h *host) flash(ctx context.Context, b *virtlab.Board, trust bool) (f flashing, err error) {
	leases, err := h.locker.Acquire(ctx, farm.Request{Boards: []string{b.ID}, Owner: farm.Owner(), Class: "lab", Reason: "bench"})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, leases[0].Release(context.WithoutCancel(ctx))) }()
	bench, err := h.lab.Open(ctx, b.ID, leases[0])
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, bench.Close(context.WithoutCancel(ctx))) }()
	before, err := b.Stats()
	if err != nil {
		return f, err
	}
	var first, last time.Time
	start := time.Now()
	f.result, err = bench.Flash.Flash(ctx, farm.FlashRequest{TrustPassport: trust}, func(string, int, int) {
		last = time.Now()
		if first.IsZero() {
			first = last
		}
	})
	f.wall, f.line = time.Since(start), last.Sub(first)
	if err != nil {
		return f, err
	}
	after, err := b.Stats()
	f.rom = after.ROM.Since(before.ROM)
	return f, err
}

// flashOne opens the host, flashes the station's first board and closes it
// again, so that others can open the terminal.
func (s *station) flashOne(ctx context.Context, state string, img firmware.Image, trust bool) (f flashing, err error) {
	h, err := s.open(ctx, state, img)
	if err != nil {
		return f, err
	}
	f, err = h.flash(ctx, s.lab.Boards()[0], trust)
	return f, errors.Join(err, h.close())
}
