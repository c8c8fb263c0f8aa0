package farm_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hil-runner/farm"
	"hil-runner/farm/farmtest"
)

func openFence(t *testing.T, dir string) *farm.Fence {
	t.Helper()
	f, err := farm.OpenFence(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func lockerBoards() []farm.Board {
	north := map[string]string{"site": "north"}
	return []farm.Board{{ID: "a", Tags: north}, {ID: "b", Tags: north}, {ID: "c"}}
}

func TestLocalLockerConforms(t *testing.T) {
	farmtest.TestLocker(t, func(t *testing.T) farm.Locker {
		l := farm.NewLocalLocker(lockerBoards(), openFence(t, t.TempDir()))
		t.Cleanup(func() { l.Close() })
		return l
	})
}

// A request for two boards is not starved by later ones for one of them.
func TestLocalLockerIsFair(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := farm.NewLocalLocker(lockerBoards(), openFence(t, dir))
		defer l.Close()
		first, err := l.Acquire(t.Context(), farm.Request{Boards: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		var all sync.WaitGroup
		ask := func(name string, ids ...string) {
			all.Go(func() {
				leases, err := l.Acquire(t.Context(), farm.Request{Boards: ids, Wait: -1})
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, name)
				for _, lease := range leases {
					lease.Release(t.Context())
				}
			})
			synctest.Wait()
		}
		ask("both", "a", "b")
		ask("only b", "b")
		ask("only c", "c")
		first[0].Release(t.Context())
		all.Wait()
		if got := fmt.Sprint(order); got != "[only c both only b]" {
			t.Errorf("served in the order %s", got)
		}
	})
}

func TestLocalLockerTimes(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := farm.NewLocalLocker(lockerBoards(), openFence(t, dir))
		defer l.Close()
		held, err := l.Acquire(t.Context(), farm.Request{Boards: []string{"a"}, For: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := l.Acquire(t.Context(), farm.Request{Boards: []string{"a"}, Wait: 30 * time.Minute}); !errors.Is(err, farm.ErrBoardBusy) {
			t.Errorf("got %v, want ErrBoardBusy", err)
		}
		if d := time.Since(start); d != 30*time.Minute {
			t.Errorf("gave up after %s, want 30m", d)
		}
		next, err := l.Acquire(t.Context(), farm.Request{Boards: []string{"a"}, Wait: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != time.Hour {
			t.Errorf("the board came free after %s, want 1h", d)
		}
		<-held[0].Lost()
		if next[0].Token() <= held[0].Token() {
			t.Errorf("token %d after %d", next[0].Token(), held[0].Token())
		}
	})
}

func TestLocalLockerClose(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := farm.NewLocalLocker(lockerBoards(), openFence(t, dir))
		held, err := l.Acquire(t.Context(), farm.Request{Boards: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error)
		go func() {
			_, err := l.Acquire(t.Context(), farm.Request{Boards: []string{"a"}, Wait: -1})
			got <- err
		}()
		synctest.Wait()
		l.Close()
		<-held[0].Lost()
		if err := <-got; !errors.Is(err, farm.ErrClosed) {
			t.Errorf("the waiting request got %v, want ErrClosed", err)
		}
	})
}

// Tokens grow over restarts, and a token from before is refused afterwards.
func TestFenceSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	var last uint64
	for range 5 {
		f := openFence(t, dir)
		token, err := f.Next("vm01")
		if err != nil {
			t.Fatal(err)
		}
		if token <= last {
			t.Fatalf("token %d after %d", token, last)
		}
		if last > 0 {
			if err := f.Admit("vm01", last); !errors.Is(err, farm.ErrLeaseLost) {
				t.Errorf("token %d was admitted after %d: %v", last, token, err)
			}
		}
		if err := f.Admit("vm01", token); err != nil {
			t.Error(err)
		}
		last = token
		f.Close()
	}
	f := openFence(t, dir)
	if err := f.Admit("vm01", last-1); !errors.Is(err, farm.ErrLeaseLost) {
		t.Errorf("after a restart an old token gave %v, want ErrLeaseLost", err)
	}
	if err := f.Admit("vm01", 0); !errors.Is(err, farm.ErrLeaseLost) {
		t.Errorf("token 0 gave %v, want ErrLeaseLost", err)
	}
	// One from a newer epoch is taken over, and persists before it is used.
	if err := f.Admit("vm01", last+1000); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if token, err := openFence(t, dir).Next("vm01"); err != nil || token != last+1001 {
		t.Errorf("got %d, %v, want %d", token, err, last+1001)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "vm01")); len(left) != 1 {
		t.Errorf("%d files are kept for one board", len(left))
	}
}

// Owners that share the folder never get one token twice.
func TestFenceShared(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	seen := make(map[uint64]int)
	var all sync.WaitGroup
	for range 4 {
		f := openFence(t, dir)
		all.Go(func() {
			var last uint64
			for range 25 {
				token, err := f.Next("a")
				if err != nil {
					t.Error(err)
					return
				}
				if token <= last {
					t.Errorf("token %d after %d", token, last)
				}
				last = token
				mu.Lock()
				seen[token]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for token, n := range seen {
		if n > 1 {
			t.Errorf("token %d was given out %d times", token, n)
		}
	}
}

// One that looked, was held up, and comes back with a token that has been
// passed and swept away meanwhile does not get it.
func TestFenceLateClaim(t *testing.T) {
	dir := t.TempDir()
	late, quick := openFence(t, dir), openFence(t, dir)
	for range 5 {
		if _, err := quick.Next("a"); err != nil {
			t.Fatal(err)
		}
	}
	for _, token := range []uint64{1, 4, 5} {
		if ours, high, err := late.Claim("a", token); ours || high != 5 || err != nil {
			t.Errorf("claim of %d gave %t, %d, %v, want none of it, 5", token, ours, high, err)
		}
	}
	if token, err := late.Next("a"); token != 6 || err != nil {
		t.Errorf("got %d, %v, want 6", token, err)
	}
}

func TestFenceRefusesNamesThatAreNoBoards(t *testing.T) {
	f := openFence(t, t.TempDir())
	for _, id := range []string{"", ".", "..", "../x", "a/b", "a\x00b", "/etc"} {
		if _, err := f.Next(id); err == nil {
			t.Errorf("a token was made for %q", id)
		}
	}
}

func TestFenceNeedsItsDisk(t *testing.T) {
	f := openFence(t, t.TempDir())
	f.Close()
	if _, err := f.Next("a"); err == nil {
		t.Error("a token was given out that is not on disk")
	}
	if err := f.Admit("a", 7); err == nil {
		t.Error("a new token was admitted that is not on disk")
	}
}
