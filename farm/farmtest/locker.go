package farmtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"hil-runner/farm"
)

// TestLocker checks that a locker does what farm says of it. open gives a
// locker whose boards "a", "b" and "c" are free; the boards a and b carry the
// tag site=north.
func TestLocker(t *testing.T, open func(t *testing.T) farm.Locker) {
	steps := []struct {
		name string
		run  func(t *testing.T, l farm.Locker)
	}{
		{"tokens grow", tokensGrow},
		{"one holder at a time", oneHolder},
		{"all or nothing", allOrNothing},
		{"busy names the holder", busyNames},
		{"tags and count", tagsAndCount},
		{"release wakes who waits", releaseWakes},
		{"a lease ends", leaseEnds},
		{"renewing lengthens a lease", renewLengthens},
		{"a wait ends with its context", waitEnds},
		{"unknown boards", unknownBoard},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) { s.run(t, open(t)) })
	}
}

func acquire(t *testing.T, l farm.Locker, req farm.Request) []farm.Lease {
	t.Helper()
	leases, err := l.Acquire(t.Context(), req)
	if err != nil {
		t.Fatalf("acquire %v: %v", req.Boards, err)
	}
	return leases
}

func release(t *testing.T, leases []farm.Lease) {
	t.Helper()
	for _, lease := range leases {
		if err := lease.Release(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("release: %v", err)
		}
	}
}

func tokensGrow(t *testing.T, l farm.Locker) {
	var last uint64
	for range 5 {
		leases := acquire(t, l, farm.Request{Boards: []string{"a"}, Owner: "ann@lab"})
		if got := leases[0].Token(); got <= last {
			t.Errorf("token %d after %d", got, last)
		}
		last = leases[0].Token()
		release(t, leases)
		release(t, leases)
	}
}

func oneHolder(t *testing.T, l farm.Locker) {
	var mu sync.Mutex
	var all sync.WaitGroup
	var inside, twice, served int
	for range 16 {
		all.Go(func() {
			leases, err := l.Acquire(t.Context(), farm.Request{Boards: []string{"a", "b"}, Wait: patience, Owner: "ann@lab"})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inside++
			if inside > 1 {
				twice++
			}
			served++
			mu.Unlock()
			mu.Lock()
			inside--
			mu.Unlock()
			release(t, leases)
		})
	}
	all.Wait()
	if twice > 0 || served != 16 {
		t.Errorf("%d times two holders at once, %d of 16 served", twice, served)
	}
}

func allOrNothing(t *testing.T, l farm.Locker) {
	held := acquire(t, l, farm.Request{Boards: []string{"b"}, Owner: "ann@lab"})
	if _, err := l.Acquire(t.Context(), farm.Request{Boards: []string{"a", "b"}}); !errors.Is(err, farm.ErrBoardBusy) {
		t.Errorf("got %v, want ErrBoardBusy", err)
	}
	release(t, acquire(t, l, farm.Request{Boards: []string{"a"}}))
	release(t, held)
}

func busyNames(t *testing.T, l farm.Locker) {
	held := acquire(t, l, farm.Request{Boards: []string{"a"}, Owner: "ann@lab", Reason: "bisecting", For: time.Hour})
	defer release(t, held)
	_, err := l.Acquire(t.Context(), farm.Request{Boards: []string{"a"}})
	if !errors.Is(err, farm.ErrBoardBusy) || farm.ExitCode(err) != farm.ExitNoBoard {
		t.Fatalf("got %v, want ErrBoardBusy", err)
	}
	for _, want := range []string{"ann@lab", "bisecting"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
	holds, err := l.Holds(t.Context())
	if err != nil || len(holds) != 1 {
		t.Fatalf("holds are %v, %v, want one", holds, err)
	}
	if h := holds[0]; h.Board != "a" || h.Owner != "ann@lab" || h.Token != held[0].Token() || h.Expires.IsZero() {
		t.Errorf("hold is %+v", h)
	}
}

func tagsAndCount(t *testing.T, l farm.Locker) {
	north := map[string]string{"site": "north"}
	first := acquire(t, l, farm.Request{Tags: north, Count: 1})
	second := acquire(t, l, farm.Request{Tags: north, Count: 1})
	if first[0].Board() == second[0].Board() {
		t.Errorf("board %s was leased twice", first[0].Board())
	}
	if _, err := l.Acquire(t.Context(), farm.Request{Tags: north, Count: 1}); !errors.Is(err, farm.ErrBoardBusy) {
		t.Errorf("got %v, want ErrBoardBusy", err)
	}
	release(t, append(first, second...))
	both := acquire(t, l, farm.Request{Tags: north})
	if len(both) != 2 {
		t.Errorf("%d leases for all of two boards", len(both))
	}
	release(t, both)
}

func releaseWakes(t *testing.T, l farm.Locker) {
	held := acquire(t, l, farm.Request{Boards: []string{"a"}})
	got := make(chan error, 1)
	go func() {
		leases, err := l.Acquire(t.Context(), farm.Request{Boards: []string{"a"}, Wait: -1})
		release(t, leases)
		got <- err
	}()
	release(t, held)
	if err := within(t, got, "the wait"); err != nil {
		t.Error(err)
	}
}

func leaseEnds(t *testing.T, l farm.Locker) {
	held := acquire(t, l, farm.Request{Boards: []string{"a"}, For: 50 * time.Millisecond})
	within(t, held[0].Lost(), "the lease")
	if err := held[0].Renew(t.Context(), time.Hour); !errors.Is(err, farm.ErrLeaseLost) {
		t.Errorf("renewing a lost lease gave %v, want ErrLeaseLost", err)
	}
	next := acquire(t, l, farm.Request{Boards: []string{"a"}})
	release(t, held)
	if holds, _ := l.Holds(t.Context()); len(holds) != 1 {
		t.Error("releasing a lost lease took the board from its new holder")
	}
	release(t, next)
}

func renewLengthens(t *testing.T, l farm.Locker) {
	held := acquire(t, l, farm.Request{Boards: []string{"a"}, For: time.Minute})
	if err := held[0].Renew(t.Context(), 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	within(t, held[0].Lost(), "the lease")
	held = acquire(t, l, farm.Request{Boards: []string{"a"}, For: time.Minute})
	if err := held[0].Renew(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	holds, err := l.Holds(t.Context())
	if err != nil || len(holds) != 1 || time.Until(holds[0].Expires) < 30*time.Minute {
		t.Errorf("holds are %+v, %v, want one that ends in an hour", holds, err)
	}
	release(t, held)
}

func waitEnds(t *testing.T, l farm.Locker) {
	held := acquire(t, l, farm.Request{Boards: []string{"a"}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Acquire(ctx, farm.Request{Boards: []string{"a"}, Wait: -1}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	release(t, held)
	release(t, acquire(t, l, farm.Request{Boards: []string{"a"}}))
}

func unknownBoard(t *testing.T, l farm.Locker) {
	if _, err := l.Acquire(t.Context(), farm.Request{Boards: []string{"z"}, Wait: -1}); farm.ExitCode(err) != farm.ExitUsage {
		t.Errorf("got %v, want a UsageError", err)
	}
}
