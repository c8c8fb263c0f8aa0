package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hil-runner/farm"
	"hil-runner/reports"
	"hil-runner/suites/spec"
)

// labRun is one run while it goes on.
type labRun struct {
	p        *program
	flags    runFlags
	lab      *lab
	plan     *farm.Plan
	task     spec.Task
	firmware chosenImage

	open     *openLab
	keys     *keyMaker
	folder   *reports.Folder
	progress *reports.Progress
	redact   func(string) string
	notes    []string
	// endpoints are the TLS peers that the workers started.
	endpoints endpointList

	mu     sync.Mutex
	opened map[string]bool
}

// newRun begins the record of the run. Its times have no monotonic part, so
// that they are the same when they are read back.
func (r *labRun) newRun() *reports.Run {
	now := time.Now().Round(0)
	return &reports.Run{ID: reports.NewRunID(now, r.flags.seed), Tool: version(), Command: os.Args, Lab: r.lab.name,
		Host: farm.Host(), Owner: farm.Owner(), Seed: r.flags.seed, Started: now, Release: r.firmware.label()}
}

// carryOut opens the lab, runs the boards and parks them. Whatever happens in
// between is in run afterwards.
func (r *labRun) carryOut(ctx context.Context, run *reports.Run) {
	r.redact = r.secrets()
	r.opened = make(map[string]bool)
	r.p.say("run in %s, seed %d", r.folder.Path(), run.Seed)
	boards := r.boards()
	if r.lab.virtual != nil {
		// Virtual modules reach this host only, unless Amazon itself is asked for.
		r.lab.virtual.Outside = r.task.Amazon == spec.AmazonLive
	}
	var err error
	r.open, err = r.lab.open(ctx, openRequest{boards: boards, image: r.firmware.image, journal: func(board string) string {
		return filepath.Join(r.folder.Path(), "boards", reports.FileName(board), "journal")
	}})
	if err != nil {
		run.Boards = r.unopened(boards, err)
	} else {
		run.Boards = r.runBoards(ctx)
	}
	run.Ended = time.Now().Round(0)
	run.Interrupted = r.p.signalled()
	run.Notes = append(r.plan.Notes, r.notes...)
	run.Endpoints = r.endpoints.list()
}

// boards are the planned ones.
func (r *labRun) boards() []farm.Board {
	boards := make([]farm.Board, len(r.plan.Boards))
	for i, b := range r.plan.Boards {
		boards[i] = b.Board
	}
	return boards
}

// unopened is the result of a lab that could not be opened.
func (r *labRun) unopened(boards []farm.Board, err error) []reports.BoardRun {
	runs := make([]reports.BoardRun, len(boards))
	for i, b := range boards {
		runs[i] = farm.NewBoardRun(b)
		farm.Blame(&runs[i], err)
		runs[i].Results = farm.Unrun(r.cases(b), neverRan(runs[i].Causes))
	}
	return runs
}

// runBoards runs the boards of the open lab and closes it.
func (r *labRun) runBoards(ctx context.Context) []reports.BoardRun {
	r.task.KeyDir = r.open.scratch.path("keys")
	r.keys = newKeyMaker(r.task.KeyDir, r.task.Suites)
	r.probeAmazon(ctx)
	show := r.startProgress()
	runner := farm.Runner{Parallel: r.flags.parallel, Run: r.board, Park: r.park, Ended: func(b reports.BoardRun) {
		r.progress.End(b.Board, b.Worst(), brief(b.Causes))
	}}
	runs := runner.Boards(ctx, r.open.boards)
	show()
	r.keys.end()
	if err := r.open.Close(); err != nil {
		r.notes = append(r.notes, "closing the lab: "+err.Error())
	}
	for i := range runs {
		// There is nothing to park on a board that could not be opened, and
		// nobody may believe that it was.
		runs[i].Parked = runs[i].Parked && r.wasOpened(runs[i].Board)
	}
	return runs
}

// park brings a board into its idle state; the lab does so again at its close.
func (r *labRun) park(ctx context.Context, b farm.Board) error {
	if !r.wasOpened(b.ID) {
		return nil
	}
	return r.open.Park(ctx, b.ID)
}

func (r *labRun) markOpened(board string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened[board] = true
}

func (r *labRun) wasOpened(board string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened[board]
}

// startProgress shows how the boards come along until the returned function
// is called.
func (r *labRun) startProgress() (stop func()) {
	r.progress = r.p.newProgress(idsOf(r.open.boards))
	done := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if width, height, ok := terminal(r.p.err); ok {
					r.progress.Resize(width, height)
				}
				r.progress.Tick()
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		ticking.Wait()
		// A terminal that went away is no reason to fail the run.
		_ = r.progress.Stop()
	}
}

// briefly is how much of a cause goes into a line of progress; the summary
// and the report have all of it.
const briefly = 160

// brief cuts causes for a line of progress.
func brief(causes []reports.Cause) []reports.Cause {
	var short []reports.Cause
	for _, c := range causes {
		if text := []rune(c.Detail); len(text) > briefly {
			c.Detail = string(text[:briefly]) + "…"
		}
		short = append(short, c)
	}
	return short
}
