package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hil-runner/farm"
	"hil-runner/farm/link"
	"hil-runner/recorder"
	"hil-runner/reports"
	"hil-runner/spwf"
)

// board carries one board's share of the run out: lease, flash, worker.
func (r *labRun) board(ctx context.Context, b farm.Board) reports.BoardRun {
	run := farm.NewBoardRun(b)
	leases, err := r.open.locker.Acquire(ctx, farm.Request{Boards: []string{b.ID}, Owner: farm.Owner(), Class: "engineer", Reason: "run"})
	if err != nil {
		farm.Blame(&run, err)
		run.Results = farm.Unrun(r.cases(b), neverRan(run.Causes))
		return run
	}
	// A lease of this process cannot fail to be given back.
	defer func() { _ = leases[0].Release(context.WithoutCancel(ctx)) }()
	r.progress.Phase(b.ID, "open", 0, 0)
	bench, err := r.open.Open(ctx, b.ID, leases[0])
	if err == nil {
		r.markOpened(b.ID)
		err = r.prepareBoard(ctx, bench, &run)
	}
	if err != nil {
		farm.Blame(&run, err)
		run.Results = farm.Unrun(r.cases(b), neverRan(run.Causes))
		if bench != nil {
			run.Build = buildOf(bench)
		}
		return run
	}
	r.specs(ctx, bench, &run)
	run.Build = buildOf(bench)
	return run
}

// buildOf is the build that the module reported, in the catalogue's form when
// it has one.
func buildOf(bench *farm.Bench) string { return spwf.ParseBuild(bench.Build()).ID() }

// cases are the planned cases of a board.
func (r *labRun) cases(b farm.Board) []reports.Case {
	for _, bp := range r.plan.Boards {
		if bp.Board.ID == b.ID {
			return bp.ReportCases()
		}
	}
	return nil
}

// neverRan is why the cases of a board without a bench did not run.
func neverRan(causes []reports.Cause) reports.Cause {
	c := reports.Cause{Code: farm.CodeNeverRan}
	if len(causes) > 0 {
		c.Detail = causes[0].String()
	}
	return c
}

// prepareBoard flashes the board, or, when nothing is flashed, sees that it
// starts.
func (r *labRun) prepareBoard(ctx context.Context, bench *farm.Bench, run *reports.BoardRun) error {
	id := bench.Board.ID
	if r.firmware.image == nil {
		r.progress.Phase(id, "reset", 0, 0)
		if bench.Reset == nil {
			return nil
		}
		return bench.Reset.Reset(ctx, 0)
	}
	if bench.Flash == nil {
		return &farm.InfraError{Code: "no_flash_lines", Detail: fmt.Sprintf(
			"board %s cannot be flashed: the lab file names no reset or no boot0 line for it; add them, or use --firmware none", id)}
	}
	r.progress.Phase(id, "boot ROM", 0, 0)
	req := r.firmware.request(r.flags.allowUnsigned, r.flags.trustPassport)
	r.keys.begin()
	flash, err := flashBoard(ctx, bench, req, func(stage string, done, total int) { r.progress.Phase(id, stage, done, total) })
	run.Flash = &flash
	return err
}

// workerGrace is how long a worker may take to leave once its link is closed.
const workerGrace = 2 * time.Second

// specs runs the suites in a worker process and decides their results from
// the journal.
func (r *labRun) specs(ctx context.Context, bench *farm.Bench, run *reports.BoardRun) {
	task := r.task
	task.Build, task.Release = bench.Build(), r.plan.Release
	limited, cancel := context.WithTimeout(ctx, bench.Board.Limits.Run)
	defer cancel()
	collector := farm.NewCollector()
	from := bench.Recording.End()
	var following sync.WaitGroup
	reading, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReading()
	following.Go(func() { r.follow(reading, bench, from, collector) })
	err := r.worker(limited, bench, task, from)
	end := farm.End{At: time.Now()}
	// The last record that counts is this one: the follower stops at it.
	end.Offset, _ = bench.Journal.Event(context.WithoutCancel(ctx), recorder.KindLease, workerGone, map[string]bool{"ok": err == nil})
	if end.Offset == 0 {
		stopReading()
	}
	following.Wait()
	switch {
	case r.p.signalled() != "":
		end.Outcome, end.Cause = farm.CauseOf(&farm.Interrupted{Signal: r.p.signalled()})
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		end.Outcome, end.Cause = farm.CauseOf(&farm.LimitError{Limit: "run", After: bench.Board.Limits.Run.String(), Doing: "board " + bench.Board.ID})
	case err != nil:
		end.Cause = reports.Cause{Class: reports.Infra, Code: farm.CodeWorkerDied, Detail: err.Error()}
	}
	if end.Cause.Code == "" && !collector.Finished() {
		end.Cause = reports.Cause{Class: reports.Infra, Code: farm.CodeWorkerDied, Detail: r.lastWords(bench.Board.ID)}
	}
	collector.Decide(run, end)
}

// workerGone is the event after which nothing of a worker can come.
const workerGone = "worker_gone"

// follow hands the journal to the collector and shows how it goes on, until
// the worker is gone.
func (r *labRun) follow(ctx context.Context, bench *farm.Bench, from recorder.Offset, c *farm.Collector) {
	cursor := bench.Recording.Cursor(from)
	defer cursor.Close()
	for {
		rec, err := cursor.Next(ctx)
		if err != nil {
			return
		}
		if rec.Kind == recorder.KindLease && bytes.Contains(rec.Data, []byte(`"`+workerGone+`"`)) {
			return
		}
		// An event that cannot be read is kept by the collector as a fault.
		_ = c.Record(rec)
		r.endpoints.record(rec)
		if ev, err := farm.ParseEvent(rec.Kind, rec.Data); err == nil && ev != nil {
			r.showEvent(bench.Board.ID, ev)
		}
	}
}

// showEvent keeps the live display up to date.
func (r *labRun) showEvent(board string, ev farm.Event) {
	switch e := ev.(type) {
	case farm.Planned:
		r.progress.Plan(board, len(e.Cases))
	case farm.SpecStarted:
		r.keys.begin()
		r.progress.Case(board, reports.Case{ID: e.ID, Name: e.ID})
	case farm.SpecEnded:
		r.progress.Result(board, reports.Result{Case: reports.Case{ID: e.ID, Name: e.ID}, Outcome: e.Outcome, Causes: brief(e.Causes)})
	}
}

// worker runs the worker process of a board.
func (r *labRun) worker(ctx context.Context, bench *farm.Bench, task any, from recorder.Offset) error {
	body, err := json.Marshal(task)
	if err != nil {
		return err
	}
	build, err := link.BuildID()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(r.workerLog(bench.Board.ID), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("board %s: worker log: %w", bench.Board.ID, err)
	}
	defer log.Close()
	// What a worker leaves behind when it is killed goes with the scratch folder.
	temp := r.open.scratch.path("worker-" + reports.FileName(bench.Board.ID))
	if err := os.MkdirAll(temp, 0o700); err != nil {
		return fmt.Errorf("board %s: worker's folder: %w", bench.Board.ID, err)
	}
	w := link.Worker{Exe: "/proc/self/exe", Args: []string{"worker"}, Env: workerEnv(temp), Output: log, Grace: workerGrace}
	return w.Run(ctx, &link.Share{Bench: bench, Journal: bench.Recording, From: from, Build: build, Task: body})
}

// workerEnv is all that a worker inherits of the environment.
func workerEnv(temp string) []string {
	env := []string{"TMPDIR=" + temp}
	for _, name := range []string{"PATH", "HOME", "GORACE", "GOCOVERDIR", "HIL_REQUIRE_TOOLS"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func (r *labRun) workerLog(board string) string {
	return filepath.Join(r.folder.Path(), "boards", reports.FileName(board), "worker.log")
}

// lastWords is the end of what a dead worker printed.
func (r *labRun) lastWords(board string) string {
	const most = 600
	f, err := os.Open(r.workerLog(board))
	if err != nil {
		return "the worker ended without saying that it was done"
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(max(0, size-most), io.SeekStart)
	}
	tail, readErr := io.ReadAll(io.LimitReader(f, most))
	if err = errors.Join(err, readErr); err != nil || len(tail) == 0 {
		return "the worker ended without saying that it was done, and printed nothing"
	}
	return "the worker ended without saying that it was done; it printed last: " + string(tail)
}
