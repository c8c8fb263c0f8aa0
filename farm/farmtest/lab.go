package farmtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"hil-runner/farm"
)

// TestLab checks that a lab does what farm says of it, its benches included.
// open gives a lab with at least one board that works.
func TestLab(t *testing.T, open func(t *testing.T) farm.Lab) {
	t.Run("bench", func(t *testing.T) {
		lab, tokens := open(t), &tokenMint{}
		TestBench(t, func(t *testing.T) *farm.Bench { return openBench(t, lab, lab.Boards()[0].ID, tokens.next()) })
	})
	t.Run("unknown board", func(t *testing.T) {
		if _, err := open(t).Open(t.Context(), "no-such-board", NewLease("no-such-board", 1)); err == nil {
			t.Error("a board that is not there was opened")
		}
	})
	t.Run("an old token opens nothing", func(t *testing.T) {
		lab := open(t)
		id := lab.Boards()[0].ID
		openBench(t, lab, id, 1001)
		if _, err := lab.Open(t.Context(), id, NewLease(id, 1000)); !errors.Is(err, farm.ErrLeaseLost) {
			t.Errorf("got %v, want ErrLeaseLost", err)
		}
	})
	t.Run("a newer token ends the old bench", func(t *testing.T) {
		lab := open(t)
		id := lab.Boards()[0].ID
		old := openBench(t, lab, id, 1002)
		young := openBench(t, lab, id, 1003)
		if _, err := old.UART.Write([]byte("AT\r")); !errors.Is(err, farm.ErrLeaseLost) && !errors.Is(err, farm.ErrClosed) {
			t.Errorf("write with the old lease gave %v, want ErrLeaseLost", err)
		}
		if old.Reset != nil {
			if err := old.Reset.Reset(t.Context(), 0); err == nil {
				t.Error("reset with the old lease did something")
			}
		}
		answers(t, young)
	})
}

// tokenMint gives tokens that grow from above what the lab may have seen.
type tokenMint struct{ last uint64 }

func (m *tokenMint) next() uint64 {
	m.last++
	return m.last
}

func openBench(t *testing.T, lab farm.Lab, id string, token uint64) *farm.Bench {
	t.Helper()
	b, err := lab.Open(t.Context(), id, NewLease(id, token))
	if err != nil {
		t.Fatalf("opening board %s: %v", id, err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("closing board %s: %v", id, err)
		}
	})
	return b
}

// FixedLease is a lease that lasts, for tests of a lab.
type FixedLease struct {
	Of    string
	Fence uint64
	Gone  chan struct{}
}

// NewLease gives a lease of a board that lasts.
func NewLease(board string, token uint64) *FixedLease {
	return &FixedLease{Of: board, Fence: token, Gone: make(chan struct{})}
}

// Board is the leased board's id.
func (l *FixedLease) Board() string { return l.Of }

// Token is the fencing token.
func (l *FixedLease) Token() uint64 { return l.Fence }

// Lost is Gone: a test closes it to take the lease away.
func (l *FixedLease) Lost() <-chan struct{} { return l.Gone }

// Renew does nothing.
func (l *FixedLease) Renew(context.Context, time.Duration) error { return nil }

// Release does nothing.
func (l *FixedLease) Release(context.Context) error { return nil }
