package link_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hil-runner/farm"
	"hil-runner/farm/link"
	"hil-runner/recorder"
	"hil-runner/reports"
)

func TestHelloTellsWhatTheBenchHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newOwner(t)
		r.share.Bench.Power, r.share.Bench.Flash = nil, nil
		s, err := link.Attach(r.serve(t), build, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		b := s.Bench
		if b.Reset == nil || b.Net == nil || b.Power != nil || b.Flash != nil || b.Parker != nil {
			t.Errorf("bench has reset %v, net %v, power %v, flash %v, parker %v", b.Reset, b.Net, b.Power, b.Flash, b.Parker)
		}
		if b.Board.ID != "b1" || b.Board.Limits.Command != time.Second || b.Net.Address() != "192.0.2.7" || string(s.Hello.Task) != `{"n":7}` {
			t.Errorf("board %+v, address %s, task %s", b.Board, b.Net.Address(), s.Hello.Task)
		}
	})
}

// What the board said and what the watch saw come in the journal's order.
func TestOrderOfBytesAndIncidents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for i := range 5 {
			r.say(t, fmt.Appendf(nil, "line %d\r\n", i))
			in := farm.IncidentSeen{Code: farm.IncidentHardFault, Text: fmt.Sprint(i)}
			if _, err := r.j.Event(in.EventKind(), in.EventName(), in); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		want := "line 0\r\nline 1\r\nline 2\r\nline 3\r\nline 4\r\n"
		if got := readAll(t, r.session.Bench.UART, len(want)); string(got) != want {
			t.Errorf("read %q", got)
		}
		last := recorder.Offset(0)
		for i := range 5 {
			in := <-r.session.Incidents()
			if in.Text != fmt.Sprint(i) || in.Offset <= last {
				t.Errorf("incident %d is %+v after offset %d", i, in, last)
			}
			last = in.Offset
		}
	})
}

// A large record is cut into frames; one longer than the whole window too.
func TestLargeRecords(t *testing.T) {
	r := newRig(t)
	want := bytes.Repeat([]byte("0123456789abcdef"), 600<<10/16)
	go func() { _, _ = r.j.Append(recorder.KindRx, want, false) }()
	if got := readAll(t, r.session.Bench.UART, len(want)); !bytes.Equal(got, want) {
		t.Error("the bytes differ")
	}
}

// A peer that stops reading costs the owner no memory and keeps its calls.
func TestStoppedReader(t *testing.T) {
	r := newRig(t)
	resets := 0
	r.reset = func(context.Context, time.Duration) error { resets++; return nil }
	const total = 24 << 20
	block := bytes.Repeat([]byte{'x'}, 16<<10)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range total / len(block) {
		r.say(t, block)
	}
	if err := r.session.Bench.Reset.Reset(t.Context(), 0); err != nil || resets != 1 {
		t.Errorf("reset with unread bytes: %v, %d resets", err, resets)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes unread cost %d bytes of memory", total, grown)
	}
	if got := readAll(t, r.session.Bench.UART, total); bytes.Count(got, []byte{'x'}) != total {
		t.Error("bytes were lost")
	}
}

func TestErrorsSurvive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var give error
		r.reset = func(context.Context, time.Duration) error { return give }
		r.name = func(name, addr string) error { return fmt.Errorf("name %s at %s: %w", name, addr, farm.ErrLeaseLost) }
		for _, c := range []struct {
			err     error
			is      error
			outcome reports.Outcome
			code    string
		}{
			{&farm.InfraError{Code: "reset_ineffective", Detail: "board b1: no banner"}, farm.ErrResetIneffective, reports.Errored, "reset_ineffective"},
			{&farm.FirmwareError{Code: "version_mismatch", Detail: "other build"}, nil, reports.Failed, "version_mismatch"},
			{&farm.TestError{Code: "lint", Detail: "bad key"}, nil, reports.Errored, "lint"},
			{&farm.LimitError{Limit: "banner", After: "8s"}, nil, reports.Errored, "limit_banner"},
			{fmt.Errorf("gone: %w", farm.ErrLeaseLost), farm.ErrLeaseLost, reports.Errored, "lease_lost"},
			{context.Canceled, context.Canceled, reports.Errored, "interrupted"},
			{errors.New("odd"), nil, reports.Errored, "internal"},
		} {
			give = c.err
			err := r.session.Bench.Reset.Reset(t.Context(), 0)
			outcome, cause := farm.CauseOf(err)
			if outcome != c.outcome || cause.Code != c.code || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v came as %v: %s %s", c.err, err, outcome, cause.Code)
			}
		}
		if err := r.session.Bench.Net.SetName(t.Context(), "api.example", "192.0.2.1"); !errors.Is(err, farm.ErrLeaseLost) ||
			!strings.Contains(err.Error(), "api.example at 192.0.2.1") {
			t.Errorf("SetName gave %v", err)
		}
		if err := r.session.Bench.Power.Off(t.Context()); !errors.Is(err, farm.ErrLeaseLost) {
			t.Errorf("Off gave %v", err)
		}
	})
}

func TestCancelReachesTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ended := make(chan error, 1)
		r.reset = func(ctx context.Context, hold time.Duration) error {
			<-ctx.Done()
			ended <- fmt.Errorf("hold %v: %w", hold, ctx.Err())
			return ctx.Err()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.session.Bench.Reset.Reset(ctx, 5*time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the call ended with %v", err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "hold 5s") {
			t.Errorf("at the owner it ended with %v", err)
		}
		// The session goes on.
		r.reset = func(context.Context, time.Duration) error { return nil }
		if err := r.session.Bench.Reset.Reset(t.Context(), 0); err != nil {
			t.Error(err)
		}
	})
}

func TestFlashProgressAndResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.flash = func(_ context.Context, req farm.FlashRequest, show func(string, int, int)) (reports.Flash, error) {
			show("write", 1, 2)
			show("verify", 2, 2)
			return reports.Flash{Release: req.Release, Attempts: 2}, &farm.InfraError{Code: "flash_verify", Detail: "page 9"}
		}
		var steps []string
		out, err := r.session.Bench.Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.0.0"}, func(stage string, done, total int) {
			steps = append(steps, fmt.Sprintf("%s %d/%d", stage, done, total))
		})
		if _, cause := farm.CauseOf(err); cause.Code != "flash_verify" || out.Release != "3.0.0" || out.Attempts != 2 {
			t.Errorf("result %+v with %v", out, err)
		}
		if got := strings.Join(steps, ", "); got != "write 1/2, verify 2/2" {
			t.Errorf("progress was %s", got)
		}
	})
}

func TestWriteSecretIsMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if _, err := r.session.Bench.UART.Write([]byte("AT\r")); err != nil {
			t.Fatal(err)
		}
		secret := bytes.Repeat([]byte("k"), 70<<10) // several frames
		w := r.session.Bench.UART.(interface{ WriteSecret([]byte) (int, error) })
		if n, err := w.WriteSecret(secret); n != len(secret) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		var open, hidden int
		cursor := r.j.Cursor(0)
		for open+hidden < 3+len(secret) {
			rec, err := cursor.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if rec.Kind == recorder.KindTx && rec.Secret {
				hidden += len(rec.Data)
			} else if rec.Kind == recorder.KindTx {
				open += len(rec.Data)
			}
		}
		if open != 3 || hidden != len(secret) {
			t.Errorf("%d bytes in the open, %d marked", open, hidden)
		}
	})
}

func TestEventsAreOnTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		j := r.session.Bench.Journal
		last := recorder.Offset(0)
		for i := range 10 {
			at, err := j.Event(t.Context(), recorder.KindSpec, "spec_started", farm.SpecStarted{ID: fmt.Sprint(i)})
			if err != nil || at <= last {
				t.Fatalf("event %d at %d after %d: %v", i, at, last, err)
			}
			last = at
		}
		// A worker can tell neither what the board said nor what the owner did.
		for _, kind := range []recorder.Kind{recorder.KindRx, recorder.KindTx, recorder.KindWatch, recorder.KindLease, recorder.KindReset, recorder.KindSeal, 99} {
			end := r.j.End()
			if _, err := j.Event(t.Context(), kind, "forged", nil); err == nil || r.j.End() != end {
				t.Errorf("an event of kind %v was taken", kind)
			}
		}
		if _, err := j.Event(t.Context(), recorder.KindNote, "after", nil); err != nil {
			t.Errorf("the session did not go on: %v", err)
		}
	})
}

// When the owner is gone every wait ends.
func TestOwnerGone(t *testing.T) {
	for name, leave := range map[string]func(r *rig){
		"context": func(r *rig) { r.cancel(nil) },
		"stream":  func(r *rig) { r.owner.Close() },
		"journal": func(r *rig) { r.j.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.reset = func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }
				b := r.session.Bench
				errs := make(chan error, 3)
				go func() { errs <- b.Reset.Reset(context.Background(), 0) }()
				go func() {
					p := make([]byte, 4096)
					for {
						if _, err := b.UART.Read(p); err != nil {
							errs <- err
							return
						}
					}
				}()
				synctest.Wait()
				leave(r)
				for range 2 {
					if err := <-errs; !errors.Is(err, link.ErrOwnerGone) {
						t.Errorf("a wait ended with %v", err)
					}
				}
				<-r.session.Lost()
				if err := r.session.Err(); !errors.Is(err, link.ErrOwnerGone) {
					t.Errorf("the session says %v", err)
				}
				_, writeErr := b.UART.Write([]byte("AT\r"))
				_, eventErr := b.Journal.Event(context.Background(), recorder.KindNote, "late", nil)
				for _, err := range []error{writeErr, eventErr, b.Power.On(context.Background())} {
					if _, cause := farm.CauseOf(err); !errors.Is(err, link.ErrOwnerGone) || cause.Code != "owner_gone" {
						t.Errorf("a later call gave %v (%s)", err, cause.Code)
					}
				}
			})
		})
	}
}

// A peer that leaves takes its open calls with it, and what it had said counts.
func TestPeerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		ended := make(chan error, 1)
		r.reset = func(ctx context.Context, _ time.Duration) error {
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}
		asked := make(chan error, 1)
		go func() { asked <- r.session.Bench.Reset.Reset(context.Background(), 0) }()
		synctest.Wait()
		r.session.Close()
		if err := <-asked; !errors.Is(err, farm.ErrClosed) {
			t.Errorf("the peer's call ended with %v", err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the owner's call ended with %v", err)
		}
		if err := <-r.served; err != nil {
			t.Errorf("Serve gave %v for a peer that left", err)
		}
	})
}

// A write that its caller gave up while another one blocked the port does not
// reach the board later.
func TestWriteGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newOwner(t)
		gate := &gatedUART{stubs: r.stubs, open: make(chan struct{})}
		r.share.Bench.UART = gate
		s, err := link.Attach(r.serve(t), build, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var writers sync.WaitGroup
		for _, text := range []string{"first\r", "second\r"} {
			writers.Go(func() {
				if _, err := s.Bench.UART.Write([]byte(text)); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("write %q to a stuck port gave %v", text, err)
				}
			})
			synctest.Wait()
		}
		writers.Wait()
		synctest.Wait() // the owner has heard that they gave up
		close(gate.open)
		synctest.Wait()
		if got := string(gate.Written()); got != "first\r" {
			t.Errorf("the board got %q", got)
		}
	})
}

// gatedUART takes no byte until it is opened.
type gatedUART struct {
	*stubs
	open chan struct{}
}

func (g *gatedUART) Write(p []byte) (int, error) {
	<-g.open
	return g.stubs.Write(p)
}

func TestReadDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		u := r.session.Bench.UART
		start := time.Now()
		if err := u.SetReadDeadline(start.Add(3 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := u.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("read gave %v after %v", err, time.Since(start))
		}
		r.say(t, []byte("late"))
		synctest.Wait()
		if got, err := io.ReadAll(io.LimitReader(u, 4)); string(got) != "late" || err != nil {
			t.Errorf("bytes that are there: %q, %v", got, err)
		}
	})
}
