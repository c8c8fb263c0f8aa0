package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hil-runner/farm/virtlab"
	"hil-runner/firmware"
)

// F4: eight boards at once on paced lines, each against what its own line and
// flash need.

const (
	pacedBoards = 8
	pacedSpeed  = 921600
	shortImage  = 64 << 10
)

// measurePaced flashes eight boards side by side, ours and then one process of
// the peer for each.
func measurePaced(ctx context.Context, dir string, full bool) (_ *table, err error) {
	size := shortImage
	if full {
		size = imageSize
	}
	p, err := findPeer()
	if err != nil {
		return nil, err
	}
	m, err := newMaker(size)
	if err != nil {
		return nil, err
	}
	t := &table{id: "F4", title: fmt.Sprintf(
		"%d boards at once, %d KiB dense, paced at %d 8E1: ROM's first answer to the last / own virtual wire time",
		pacedBoards, size>>10, pacedSpeed)}
	t.load[0] = loadAverage()
	img, err := m.dense(77)
	if err != nil {
		return nil, err
	}
	into := func(name string) string { return filepath.Join(dir, name) }
	alone, err := sideBySide(ctx, into("alone"), 1, true, img, nil)
	if err != nil {
		return nil, err
	}
	cpu := cpuTime()
	ours, err := sideBySide(ctx, into("ours"), pacedBoards, true, img, nil)
	if err != nil {
		return nil, err
	}
	busy := (cpuTime() - cpu).Seconds() / ours.took.max()
	theirs, err := sideBySide(ctx, into("peers"), pacedBoards, true, img, p)
	if err != nil {
		return nil, err
	}
	free, err := sideBySide(ctx, into("free"), 1, false, img, nil)
	if err != nil {
		return nil, err
	}
	peerFree, err := sideBySide(ctx, into("peer-free"), 1, false, img, p)
	if err != nil {
		return nil, err
	}
	t.rows = []row{
		{name: "one board's own wire time", values: alone.wire, unit: seconds},
		{name: "hil-runner, one board alone", values: alone.took.over(alone.wire)},
		row{name: "hil-runner, eight boards", values: ours.took.over(ours.wire)}.goal(worst, 1.05),
		{name: p.name() + ", eight processes", values: theirs.took.over(theirs.wire)},
		{name: "cores busy, both sides of eight boards", values: samples{busy}},
		{name: "unpaced time / wire time, hil-runner", values: free.took.over(free.wire)},
		{name: "unpaced time / wire time, " + p.name(), values: peerFree.took.over(peerFree.wire)},
	}
	t.notes = []string{
		"The virtual line counts no idle time for a host that answers within 100 ms, so that its own lateness",
		"does not add up. What the answers of both sides really take is the unpaced time: it would come on top.",
	}
	t.load[1] = loadAverage()
	return t, nil
}

// times are of several boards, in seconds.
type times struct{ took, wire samples }

// sideBySide flashes boards at once, with the peer if there is one. A peer's
// time is that of its whole process.
func sideBySide(ctx context.Context, dir string, boards int, pace bool, img firmware.Image, p *peer) (t times, err error) {
	s, err := openStation(dir, boards, pacedSpeed, pace)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	flash := func(b *virtlab.Board) (flashing, error) { return p.write(ctx, s, b, img) }
	if p == nil {
		h, err := s.open(ctx, filepath.Join(dir, "state"), img)
		if err != nil {
			return t, err
		}
		defer func() { err = errors.Join(err, h.close()) }()
		flash = func(b *virtlab.Board) (flashing, error) { return h.flash(ctx, b, false) }
	}
	done := make([]flashing, boards)
	errs := make([]error, boards)
	var all sync.WaitGroup
	for i, b := range s.lab.Boards() {
		all.Go(func() {
			if done[i], errs[i] = flash(b); errs[i] == nil {
				errs[i] = holds(b, img)
			}
		})
	}
	all.Wait()
	for _, f := range done {
		t.took.addTime(f.line)
		t.wire.addTime(f.rom.WireTime(pacedSpeed))
	}
	return t, errors.Join(errs...)
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
