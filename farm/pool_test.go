package farm_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hil-runner/farm"
	"hil-runner/reports"
)

func poolBoards(n int) []farm.Board {
	boards := make([]farm.Board, n)
	for i := range boards {
		boards[i] = farm.Board{ID: fmt.Sprintf("b%d", i), Port: fmt.Sprintf("/dev/b%d", i), Model: "SPWF01SA"}
	}
	return boards
}

func TestRunnerBoundsAndOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		var ended []string
		r := farm.Runner{Parallel: 3,
			Run: func(ctx context.Context, b farm.Board) reports.BoardRun {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				<-time.After(time.Minute)
				return reports.BoardRun{Results: []reports.Result{{Outcome: reports.Passed}}}
			},
			Ended: func(run reports.BoardRun) { ended = append(ended, run.Board) },
		}
		start := time.Now()
		runs := r.Boards(t.Context(), poolBoards(9))
		if d := time.Since(start); d != 3*time.Minute || most.Load() != 3 {
			t.Errorf("took %s with at most %d at once, want 3m with 3", d, most.Load())
		}
		for i, run := range runs {
			if run.Board != fmt.Sprintf("b%d", i) || run.Port == "" || len(run.Results) != 1 {
				t.Errorf("run %d is %+v", i, run)
			}
		}
		if slices.Sort(ended); len(ended) != 9 || ended[8] != "b8" {
			t.Errorf("told of %v", ended)
		}
	})
}

// Whatever one board does, it is parked, and the others run to their end.
func TestRunnerKeepsFaultsApart(t *testing.T) {
	var parks atomic.Int32
	r := farm.Runner{
		Run: func(ctx context.Context, b farm.Board) reports.BoardRun {
			switch b.ID {
			case "b1":
				panic("nil map")
			case "b2":
				runtime.Goexit()
			}
			return reports.BoardRun{Results: []reports.Result{{Outcome: reports.Passed}}}
		},
		Park: func(ctx context.Context, b farm.Board) error {
			parks.Add(1)
			switch b.ID {
			case "b3":
				return errors.New("line stuck")
			case "b4":
				panic("again")
			}
			return ctx.Err()
		},
	}
	runs := r.Boards(t.Context(), poolBoards(5))
	var got []string
	for _, run := range runs {
		s := fmt.Sprintf("%s %s parked=%t", run.Board, run.Outcome, run.Parked)
		for _, c := range run.Causes {
			s += fmt.Sprintf(" %s:%s", c.Class, c.Code)
		}
		got = append(got, s)
	}
	want := []string{"b0  parked=true", "b1 error parked=true infra:panic", "b2 error parked=true infra:panic",
		"b3 error parked=false infra:park_failed", "b4 error parked=false infra:park_failed"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if parks.Load() != 5 {
		t.Errorf("%d of 5 boards were parked", parks.Load())
	}
	if d := runs[1].Causes[0].Detail; !strings.Contains(d, "nil map") || !strings.Contains(d, "pool_test.go") {
		t.Errorf("the panic's place is not told: %s", d)
	}
}

// An interruption reaches what runs, keeps the rest from starting, and parks
// with a context that is still alive.
func TestRunnerInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		var parked atomic.Int32
		r := farm.Runner{Parallel: 2, ParkWithin: time.Second,
			Run: func(ctx context.Context, b farm.Board) reports.BoardRun {
				<-ctx.Done()
				var run reports.BoardRun
				farm.Blame(&run, context.Cause(ctx))
				return run
			},
			Park: func(ctx context.Context, b farm.Board) error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				parked.Add(1)
				if parked.Load() == 2 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			},
		}
		go func() {
			<-time.After(time.Minute)
			cancel(&farm.Interrupted{Signal: "SIGTERM"})
		}()
		start := time.Now()
		runs := r.Boards(ctx, poolBoards(4))
		if d := time.Since(start); d != time.Minute+time.Second {
			t.Errorf("took %s, want a minute and the limit of parking", d)
		}
		if parked.Load() != 2 {
			t.Errorf("%d boards were parked, want the two that ran", parked.Load())
		}
		for _, run := range runs {
			if run.Outcome != reports.Errored || run.Causes[0].Code != "interrupted" {
				t.Errorf("%s is %s %v", run.Board, run.Outcome, run.Causes)
			}
		}
		report := reports.Run{Boards: runs}
		if farm.RunVerdict(&report); report.ExitCode != 130 {
			t.Errorf("exit status %d, want 130", report.ExitCode)
		}
	})
}

func TestRunnerStartsNothingAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var ran atomic.Int32
	r := farm.Runner{
		Run:  func(context.Context, farm.Board) reports.BoardRun { ran.Add(1); return reports.BoardRun{} },
		Park: func(context.Context, farm.Board) error { ran.Add(1); return nil },
	}
	if r.Boards(ctx, poolBoards(50)); ran.Load() != 0 {
		t.Errorf("%d calls for boards of a run that had ended", ran.Load())
	}
}

func TestRunnerWithoutBoards(t *testing.T) {
	if runs := (farm.Runner{}).Boards(t.Context(), nil); len(runs) != 0 {
		t.Errorf("got %v", runs)
	}
}
