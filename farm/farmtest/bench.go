package farmtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"hil-runner/farm"
	"hil-runner/recorder"
)

// patience bounds one step of a conformance suite on top of the board's own
// limits.
const patience = 10 * time.Second

// TestBench checks that a bench does what farm says of it. open gives a bench
// of a board that works and that nobody else uses; it is called once per
// subtest and its bench is closed at the subtest's end.
func TestBench(t *testing.T, open func(t *testing.T) *farm.Bench) {
	steps := []struct {
		name string
		run  func(t *testing.T, b *farm.Bench)
	}{
		{"answers AT with OK", func(t *testing.T, b *farm.Bench) { answers(t, b) }},
		{"reads end at their deadline", readDeadline},
		{"a deadline that moves ends a read", movedDeadline},
		{"reset brings a newer banner", resetBanner},
		{"a reset that is broken off leaves nothing asserted", brokenReset},
		{"power", powerCycle},
		{"journal offsets grow", journalGrows},
		{"close parks", closeParks},
		{"close ends a blocked read", closeEndsRead},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			b := open(t)
			t.Cleanup(func() {
				if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
					t.Errorf("closing the bench: %v", err)
				}
			})
			s.run(t, b)
		})
	}
}

// answers sends AT until OK comes back, as a module that has just started may
// not listen yet.
func answers(t *testing.T, b *farm.Bench) {
	t.Helper()
	end := time.Now().Add(b.Board.Limits.Boot + patience)
	var got []byte
	for time.Now().Before(end) {
		if _, err := b.UART.Write([]byte("AT\r")); err != nil {
			t.Fatalf("write: %v", err)
		}
		text, found := readUntil(t, b, "\r\nOK\r\n", 500*time.Millisecond)
		if got = append(got, text...); found {
			return
		}
	}
	t.Fatalf("AT was never answered with OK; the module said %q", tail(got))
}

// readUntil reads for a while or until the text came.
func readUntil(t *testing.T, b *farm.Bench, text string, within time.Duration) ([]byte, bool) {
	t.Helper()
	if err := b.UART.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatalf("SetReadDeadline: %v", err)
	}
	var got []byte
	p := make([]byte, 1024)
	for {
		n, err := b.UART.Read(p)
		if got = append(got, p[:n]...); bytes.Contains(got, []byte(text)) {
			return got, true
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got, false
		}
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if n == 0 {
			t.Fatal("read gave no byte and no error")
		}
	}
}

func readDeadline(t *testing.T, b *farm.Bench) {
	if err := b.UART.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if n, err := b.UART.Read(make([]byte, 16)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline gave %d, %v, want os.ErrDeadlineExceeded", n, err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("read after the deadline took %s", d)
	}
	answers(t, b)
}

func movedDeadline(t *testing.T, b *farm.Bench) {
	if err := b.UART.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		p := make([]byte, 1024)
		for {
			if _, err := b.UART.Read(p); err != nil {
				ended <- err
				return
			}
		}
	}()
	if err := b.UART.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := within(t, ended, "the read"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read ended with %v, want os.ErrDeadlineExceeded", err)
	}
}

func resetBanner(t *testing.T, b *farm.Bench) {
	if b.Reset == nil {
		t.Skip("the board has no reset line")
	}
	answers(t, b)
	drain(t, b)
	if err := b.Reset.Reset(t.Context(), 0); err != nil {
		t.Fatalf("reset: %v", err)
	}
	if got, ok := readUntil(t, b, "+WIND:", b.Board.Limits.Banner+patience); !ok {
		t.Fatalf("no banner among what came since the reset: %q", tail(got))
	}
	answers(t, b)
}

func brokenReset(t *testing.T, b *farm.Bench) {
	if b.Reset == nil {
		t.Skip("the board has no reset line")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := b.Reset.Reset(ctx, time.Minute); err == nil {
		t.Error("a reset whose context ended gave no error")
	}
	if d := time.Since(start); d > patience {
		t.Errorf("a reset whose context ended took %s", d)
	}
	answers(t, b)
}

func powerCycle(t *testing.T, b *farm.Bench) {
	if b.Power == nil {
		t.Skip("the board has no power line")
	}
	answers(t, b)
	if err := b.Power.Off(t.Context()); err != nil {
		t.Fatalf("off: %v", err)
	}
	drain(t, b)
	if _, err := b.UART.Write([]byte("AT\r")); err != nil {
		t.Fatalf("write: %v", err)
	}
	if got, found := readUntil(t, b, "OK", 200*time.Millisecond); found {
		t.Errorf("the module answers without power: %q", got)
	}
	if err := b.Power.On(t.Context()); err != nil {
		t.Fatalf("on: %v", err)
	}
	answers(t, b)
}

func journalGrows(t *testing.T, b *farm.Bench) {
	if b.Journal == nil {
		t.Skip("the bench has no journal")
	}
	var last recorder.Offset = -1
	for i := range 3 {
		at, err := b.Journal.Event(t.Context(), recorder.KindNote, "conformance", map[string]int{"n": i})
		if err != nil {
			t.Fatal(err)
		}
		if at <= last {
			t.Errorf("offset %d after %d", at, last)
		}
		last = at
	}
}

func closeParks(t *testing.T, b *farm.Bench) {
	if b.Parker == nil {
		t.Skip("somebody else closes this bench")
	}
	for i := range 2 {
		if err := b.Close(t.Context()); err != nil {
			t.Fatalf("close, call %d: %v", i+1, err)
		}
	}
	if _, err := b.UART.Write([]byte("AT\r")); !errors.Is(err, farm.ErrClosed) {
		t.Errorf("write after close gave %v, want ErrClosed", err)
	}
	if b.Reset != nil {
		if err := b.Reset.Reset(t.Context(), 0); !errors.Is(err, farm.ErrClosed) {
			t.Errorf("reset after close gave %v, want ErrClosed", err)
		}
	}
	if b.Power != nil {
		if err := b.Power.On(t.Context()); !errors.Is(err, farm.ErrClosed) {
			t.Errorf("power after close gave %v, want ErrClosed", err)
		}
	}
}

func closeEndsRead(t *testing.T, b *farm.Bench) {
	if b.Parker == nil {
		t.Skip("somebody else closes this bench")
	}
	if err := b.UART.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		p := make([]byte, 1024)
		for {
			if _, err := b.UART.Read(p); err != nil {
				ended <- err
				return
			}
		}
	}()
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := within(t, ended, "the read"); err == nil {
		t.Error("the read ended without an error")
	}
}

// drain reads what is there until the module is quiet.
func drain(t *testing.T, b *farm.Bench) {
	t.Helper()
	readUntil(t, b, "\x00 never said \x00", 50*time.Millisecond)
}

// within waits for a result, but not for ever.
func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		t.Fatalf("%s did not end within %s", what, patience)
		panic("unreachable")
	}
}

// tail keeps the end of what a board said, for a message.
func tail(p []byte) []byte { return p[max(0, len(p)-512):] }
