package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"hil-runner/farm"
	"hil-runner/recorder"
)

// O1: what hil-runner itself costs before a spec runs.

const (
	startRuns   = 15
	startLimit  = 60e-3
	quickLimit  = 15e-3
	startWithin = time.Minute
)

// milestones are the moments of one start, counted from exec. They are read
// from the run's own journal; what the journal does not have is 0.
type milestones struct {
	bench, reset, banner, planned, spec time.Duration
}

// measureStart runs the built program on the built-in lab, which has no
// delays, and ends it as soon as the first spec has begun.
func measureStart(ctx context.Context, dir, exe string) (*table, error) {
	t := &table{id: "O1", title: "from exec to the first spec, flash excluded, zero-delay module; p50 is the goal"}
	t.load[0] = loadAverage()
	var version, bench, reset, banner, planned, spec samples
	for n := range startRuns {
		took, err := quick(ctx, exe)
		if err != nil {
			return nil, err
		}
		version.addTime(took)
		m, err := firstSpec(ctx, filepath.Join(dir, fmt.Sprint(n)), exe)
		if err != nil {
			return nil, err
		}
		bench.addTime(m.bench)
		reset.addTime(m.reset)
		banner.addTime(m.banner)
		planned.addTime(m.planned)
		spec.addTime(m.spec)
	}
	t.rows = []row{
		row{name: "hil-runner version", values: version, unit: millis}.goal(median, quickLimit),
		{name: "exec to the bench opened", values: bench, unit: millis},
		{name: "exec to the reset", values: reset, unit: millis},
		{name: "exec to the module's first byte after it", values: banner, unit: millis},
		{name: "exec to the worker's plan", values: planned, unit: millis},
		row{name: "exec to the first spec", values: spec, unit: millis}.goal(median, startLimit),
	}
	t.load[1] = loadAverage()
	return t, nil
}

// quick is one call that does nothing.
func quick(ctx context.Context, exe string) (time.Duration, error) {
	start := time.Now()
	if out, err := exec.CommandContext(ctx, exe, "version").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%s version: %w\n%s", exe, err, out)
	}
	return time.Since(start), nil
}

// firstSpec starts a run and interrupts it at its first spec.
func firstSpec(ctx context.Context, out, exe string) (milestones, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "run", "--boards", "1", "--firmware", "none", "--out", out)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 5 * time.Second
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return milestones{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	var m milestones
	for {
		select {
		case err := <-ended:
			if m.spec == 0 {
				return m, fmt.Errorf("%s run ended without starting a spec: %w", exe, errors.Join(err, ctx.Err()))
			}
			return m, nil
		case <-look.C:
			if m = readMilestones(out, start); m.spec > 0 {
				look.Stop()
				cancel()
			}
		}
	}
}

// readMilestones reads the journal of the only board of the only run in out,
// as far as it is written.
func readMilestones(out string, start time.Time) (m milestones) {
	found, err := filepath.Glob(filepath.Join(out, "*", "boards", "*", "journal"))
	if err != nil || len(found) != 1 {
		return m
	}
	journal, err := recorder.Open(found[0])
	if err != nil {
		return m
	}
	defer journal.Close()
	for {
		rec, err := journal.Next()
		if err != nil {
			return m
		}
		m.take(rec, rec.Wall.Sub(start))
	}
}

// take notes a record that is the first of its kind.
func (m *milestones) take(rec recorder.Record, at time.Duration) {
	first := func(d *time.Duration) {
		if *d == 0 {
			*d = at
		}
	}
	switch rec.Kind {
	case recorder.KindLease:
		first(&m.bench)
	case recorder.KindReset:
		first(&m.reset)
	case recorder.KindRx:
		if m.reset > 0 {
			first(&m.banner)
		}
	case recorder.KindSpec:
		switch ev, _ := farm.ParseEvent(rec.Kind, rec.Data); ev.(type) {
		case farm.Planned:
			first(&m.planned)
		case farm.SpecStarted:
			first(&m.spec)
		}
	}
}

// buildRunner builds the program that is measured.
func buildRunner(ctx context.Context, dir string) (string, error) {
	exe := filepath.Join(dir, "hil-runner")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", exe, "hil-runner/cmd/hil-runner")
	cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build hil-runner: %w", err)
	}
	return exe, nil
}
