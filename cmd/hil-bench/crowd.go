package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// V2: many virtual boards on one machine.

const (
	crowdBoards  = 64
	crowdSeconds = 60
	crowdMemory  = 256 << 20
	crowdWithin  = 5 * time.Minute
	crowdLook    = 500 * time.Millisecond
)

// measureCrowd runs the whole lab once: flash, smoke and TLS cases.
func measureCrowd(ctx context.Context, dir, exe string, boards int, extra ...string) (*table, error) {
	t := &table{id: "V2", title: fmt.Sprintf("%d virtual boards: flash, smoke and TLS suites, report", boards)}
	t.load[0] = loadAverage()
	ctx, cancel := context.WithTimeout(ctx, crowdWithin)
	defer cancel()
	args := append([]string{"run", "--boards", strconv.Itoa(boards), "--out", filepath.Join(dir, "crowd")}, extra...)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 30 * time.Second
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	looking, stop := context.WithCancel(ctx)
	var used usage
	var watch sync.WaitGroup
	watch.Go(func() { used = watchTree(looking, cmd.Process.Pid, crowdLook) })
	err := cmd.Wait()
	took := time.Since(start)
	stop()
	watch.Wait()
	if err != nil {
		return nil, fmt.Errorf("hil-runner run --boards %d: %w", boards, err)
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	t.rows = []row{
		row{name: "wall time", values: samples{took.Seconds()}, unit: seconds}.goal(worst, crowdSeconds),
		row{name: "peak PSS of the process tree", values: samples{float64(used.peak)}, unit: mebibytes}.goal(worst, crowdMemory),
		{name: "of it, the run's own process", values: samples{float64(used.root)}, unit: mebibytes},
		{name: "processes at that moment", values: samples{float64(used.processes)}, unit: count},
		{name: "CPU, user", values: samples{cmd.ProcessState.UserTime().Seconds()}, unit: seconds},
		{name: "CPU, system", values: samples{cmd.ProcessState.SystemTime().Seconds()}, unit: seconds},
		{name: "CPU of one board", values: samples{cpu.Seconds() / float64(boards)}, unit: seconds},
	}
	t.notes = []string{fmt.Sprintf("memory was looked at %d times, every %v; the peak was after %v", used.looks, crowdLook, used.at.Round(time.Second))}
	t.load[1] = loadAverage()
	return t, nil
}
