package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"hil-runner/firmware"
)

// The goals of one board at 115200 baud, all on virtual time: what passed over
// the boot ROM's line, at eleven bits a byte, and the operations in flash.

const (
	imageSize = 256 << 10
	wireSpeed = 115200
	// changedShare of the pages differ in F3.
	changedShare = 0.10
)

// pair is one measurement of ours beside the peer's for the same image.
type pair struct {
	ours, peers samples // seconds on the wire and in flash
	oursBytes   samples
	peersBytes  samples
	wall        samples
	peersWall   samples
}

func (p *pair) add(ours, peers flashing) {
	p.ours.addTime(ours.at115200())
	p.peers.addTime(peers.at115200())
	p.oursBytes.add(ours.wire())
	p.peersBytes.add(peers.wire())
	p.wall.addTime(ours.wall)
	p.peersWall.addTime(peers.wall)
}

// table shows the pair and holds the ratio against a goal.
func (p *pair) table(id, title, peer string, limit float64) *table {
	return &table{id: id, title: title, rows: []row{
		{name: "hil-runner", values: p.ours, unit: seconds},
		{name: peer, values: p.peers, unit: seconds},
		row{name: "ratio", values: p.ours.over(p.peers)}.goal(worst, limit),
		{name: "wire bytes, hil-runner", values: p.oursBytes, unit: count},
		{name: "wire bytes, " + peer, values: p.peersBytes, unit: count},
		row{name: "bytes more than the peer", values: p.oursBytes.minus(p.peersBytes), unit: count}.goal(worst, 0),
		{name: "wall time here, unpaced, hil-runner", values: p.wall, unit: seconds},
		{name: "wall time here, unpaced, " + peer, values: p.peersWall, unit: seconds},
	}}
}

// flashGoals measures F1 to F3 and F5.
type flashGoals struct {
	peer *peer
	make *maker

	dense, blank, same, changed, known pair
	trusted                            samples
	crossed, accepted                  samples
}

// measureFlash runs the rounds, each on a fresh board with images of its own.
func measureFlash(ctx context.Context, dir string, rounds int) ([]*table, error) {
	p, err := findPeer()
	if err != nil {
		return nil, err
	}
	m, err := newMaker(imageSize)
	if err != nil {
		return nil, err
	}
	g := &flashGoals{peer: p, make: m}
	before := loadAverage()
	for n := range rounds {
		if err := g.round(ctx, filepath.Join(dir, fmt.Sprint("round", n)), uint64(n+1)); err != nil {
			return nil, err
		}
	}
	tables := g.tables()
	for _, t := range tables {
		t.load = [2]string{before, loadAverage()}
	}
	return tables, nil
}

func (g *flashGoals) tables() []*table {
	name := g.peer.name()
	trust := &table{id: "F2t", title: "identical image, passport and reported build trusted; wall time",
		rows: []row{row{name: "hil-runner", values: g.trusted, unit: millis}.goal(worst, 1)}}
	cross := &table{id: "F5", title: "each reads what the other wrote; 1 is all bytes right", rows: []row{
		{name: name + " reads back ours, share of bytes", values: g.crossed},
		row{name: "pages we erased of what it wrote", values: g.accepted, unit: count}.goal(worst, 0)}}
	return []*table{
		g.dense.table("F1", "dense image, 256 KiB, written and proved at 115200 8E1, flash times counted", name, 1),
		g.blank.table("F1b", "half-blank image", name, 0.75),
		g.same.table("F2", "identical image, every byte proved", name, 0.42),
		trust,
		g.changed.table("F3", "10 % of the pages changed, no passport", name, 0.53),
		g.known.table("F3p", "10 % of the pages changed, with the passport of the old image", name, 0.53),
		cross,
	}
}

// round measures every goal once.
func (g *flashGoals) round(ctx context.Context, dir string, seed uint64) (err error) {
	s, err := openStation(dir, 1, wireSpeed, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	old, err := g.make.dense(2 * seed)
	if err != nil {
		return err
	}
	next, err := g.make.changed(old, changedShare, seed)
	if err != nil {
		return err
	}
	blank, err := g.make.halfBlank(2*seed + 1)
	if err != nil {
		return err
	}
	// The order matters: each step finds in flash what the one before it left.
	state := filepath.Join(dir, "state")
	peers, err := g.both(ctx, s, &g.dense, state, old)
	if err != nil {
		return err
	}
	if err := g.identical(ctx, s, state, old, peers); err != nil {
		return err
	}
	if _, err := g.both(ctx, s, &g.changed, filepath.Join(dir, "stranger"), next); err != nil {
		return err
	}
	if _, err := g.peer.write(ctx, s, s.lab.Boards()[0], old); err != nil {
		return err
	}
	if _, err := g.both(ctx, s, &g.known, state, next); err != nil {
		return err
	}
	if _, err := g.both(ctx, s, &g.blank, filepath.Join(dir, "stranger2"), blank); err != nil {
		return err
	}
	return nil
}

// both flashes an image with ours, then reads it back and writes it again with
// the peer, on the same board.
func (g *flashGoals) both(ctx context.Context, s *station, into *pair, state string, img firmware.Image) (flashing, error) {
	b := s.lab.Boards()[0]
	ours, err := s.flashOne(ctx, state, img, false)
	if err != nil {
		return ours, err
	}
	if err := holds(b, img); err != nil {
		return ours, err
	}
	back, err := g.peer.read(ctx, s, b, img)
	if err != nil {
		return ours, err
	}
	g.crossed.add(agreement(img.Data, back))
	if !bytes.Equal(back, img.Data) {
		return ours, fmt.Errorf("%s reads back other bytes than were written", g.peer.name())
	}
	theirs, err := g.peer.write(ctx, s, b, img)
	if err == nil {
		err = holds(b, img)
	}
	into.add(ours, theirs)
	return theirs, err
}

// identical flashes what the peer wrote: first without any passport, so that
// every byte is proved, then with the passport trusted.
func (g *flashGoals) identical(ctx context.Context, s *station, state string, img firmware.Image, theirs flashing) error {
	ours, err := s.flashOne(ctx, filepath.Join(s.dir, "stranger-same"), img, false)
	if err != nil {
		return err
	}
	if ours.result.BytesRead < len(img.Data) {
		return fmt.Errorf("identical image: %d of %d bytes were proved", ours.result.BytesRead, len(img.Data))
	}
	g.same.add(ours, theirs)
	g.accepted.add(float64(ours.rom.Erases))
	trusted, err := s.flashOne(ctx, state, img, true)
	if err != nil {
		return err
	}
	if trusted.result.Strategy != string(firmware.ByPassport) || trusted.wire() != 0 {
		return fmt.Errorf("trusted image: strategy %q, %.0f bytes on the wire", trusted.result.Strategy, trusted.wire())
	}
	g.trusted.addTime(trusted.wall)
	return nil
}

// agreement is the share of want's bytes that got has at the same place.
func agreement(want, got []byte) float64 {
	equal := 0
	for i := range min(len(want), len(got)) {
		if want[i] == got[i] {
			equal++
		}
	}
	return float64(equal) / float64(len(want))
}
