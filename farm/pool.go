package farm

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"hil-runner/reports"
)

// parkWithin bounds parking one board when Runner.ParkWithin is 0.
const parkWithin = 30 * time.Second

// Runner runs boards side by side, one goroutine per board, and parks each of
// them whatever happened to it.
type Runner struct {
	// Parallel bounds how many boards run at once; 0 means all of them.
	Parallel int
	// Run carries out one board's share. A panic in it is an error of that
	// board alone. It must come to its end soon after ctx does.
	Run func(ctx context.Context, b Board) reports.BoardRun
	// Park, if set, is called after Run for every board whose Run was
	// called, also after a panic or an interruption, with a context of its
	// own. Its success is what BoardRun.Parked says.
	Park func(ctx context.Context, b Board) error
	// ParkWithin bounds one Park; 30 s when 0.
	ParkWithin time.Duration
	// Ended, if set, is told each board as it is ready, one at a time, in
	// the order in which they end.
	Ended func(run reports.BoardRun)
}

// Boards runs the boards and gives their runs in the order of boards, once
// every goroutine has ended. A board whose turn had not come when ctx ended is
// an error of the lab: interrupted.
func (r Runner) Boards(ctx context.Context, boards []Board) []reports.BoardRun {
	runs := make([]reports.BoardRun, len(boards))
	parallel := r.Parallel
	if parallel <= 0 || parallel > len(boards) {
		parallel = len(boards)
	}
	slots := make(chan struct{}, parallel)
	var all sync.WaitGroup
	var telling sync.Mutex
	for i, b := range boards {
		all.Go(func() {
			select {
			case slots <- struct{}{}:
				runs[i] = r.board(ctx, b)
				<-slots
			case <-ctx.Done():
				runs[i] = notStarted(ctx, b)
			}
			if r.Ended != nil {
				telling.Lock()
				defer telling.Unlock()
				r.Ended(runs[i])
			}
		})
	}
	all.Wait()
	return runs
}

func (r Runner) board(ctx context.Context, b Board) reports.BoardRun {
	if ctx.Err() != nil {
		return notStarted(ctx, b)
	}
	run := r.guarded(ctx, b)
	nameBoard(&run, b)
	if r.Park != nil {
		r.park(ctx, b, &run)
	}
	return run
}

// guarded calls Run so that a panic, or a goroutine that is ended from
// inside, stays with its board.
func (r Runner) guarded(ctx context.Context, b Board) (run reports.BoardRun) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if returned {
				return
			}
			run = reports.BoardRun{}
			Blame(&run, panicked("running", b, recover()))
		}()
		run = r.Run(ctx, b)
		returned = true
	}()
	<-done
	return run
}

func (r Runner) park(ctx context.Context, b Board, run *reports.BoardRun) {
	within := r.ParkWithin
	if within <= 0 {
		within = parkWithin
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	err := func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = panicked("parking", b, v)
			}
		}()
		return r.Park(ctx, b)
	}()
	run.Parked = err == nil
	if err != nil {
		Blame(run, &InfraError{Code: "park_failed",
			Detail: fmt.Sprintf("board %s on %s could not be parked", b.ID, b.Port), Err: err})
	}
}

func panicked(doing string, b Board, v any) error {
	return &InfraError{Code: "panic",
		Detail: clip(fmt.Sprintf("%s board %s panicked: %v\n%s", doing, b.ID, v, debug.Stack()))}
}

func notStarted(ctx context.Context, b Board) reports.BoardRun {
	var run reports.BoardRun
	nameBoard(&run, b)
	Blame(&run, &InfraError{Code: codeInterrupted,
		Detail: fmt.Sprintf("board %s: its turn had not come", b.ID), Err: context.Cause(ctx)})
	return run
}

// NewBoardRun gives a board's run with what the lab file knows of it.
func NewBoardRun(b Board) reports.BoardRun {
	var run reports.BoardRun
	nameBoard(&run, b)
	return run
}

func nameBoard(run *reports.BoardRun, b Board) {
	run.Board, run.Model, run.Slot, run.Port = b.ID, b.Model, b.Slot, b.Port
	run.Tags, run.Virtual = b.Tags, b.Virtual
}
