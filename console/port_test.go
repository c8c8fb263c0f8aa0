package console_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"hil-runner/console"
	"hil-runner/console/consoletest"
	"hil-runner/recorder"
)

// bench is a port on a PTY with a journal.
type bench struct {
	t    *testing.T
	pty  *consoletest.PTY
	j    *recorder.Journal
	port *console.Port
	rx   *recorder.Stream
}

func newBench(t *testing.T, opt console.Options) *bench {
	t.Helper()
	b := &bench{t: t, pty: consoletest.NewPTY(t)}
	j, err := recorder.Create(t.TempDir(), recorder.Options{Board: "b1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	b.j = j
	b.port, err = console.Open(b.pty.Path, console.Mode{Baud: 115200}, console.Record(j), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.port.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	b.rx = j.Stream(0, recorder.KindRx)
	t.Cleanup(func() { b.rx.Close() })
	b.rx.SetReadDeadline(time.Now().Add(10 * time.Second))
	b.pty.SetDeadline(time.Now().Add(10 * time.Second))
	return b
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func (b *bench) expect(want string) {
	b.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(b.rx, got); err != nil || string(got) != want {
		b.t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

// answers does what a module does: it answers each line.
func (b *bench) echo(ctx context.Context) {
	buf := make([]byte, 4096)
	for ctx.Err() == nil {
		n, err := b.pty.Read(buf)
		if err != nil {
			return
		}
		if _, err := b.pty.Write(buf[:n]); err != nil {
			return
		}
	}
}

func TestBytesPassUnchangedBothWays(t *testing.T) {
	b := newBench(t, console.Options{})
	want := make([]byte, 1<<20)
	rand.Read(want)

	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := b.port.Write(within(t, 10*time.Second), want); n != len(want) || err != nil {
			t.Errorf("wrote %d: %v", n, err)
		}
	})
	sent := make([]byte, len(want))
	if _, err := io.ReadFull(b.pty, sent); err != nil || !bytes.Equal(sent, want) {
		t.Fatalf("the board read other bytes: %v", err)
	}
	wg.Go(func() {
		if _, err := b.pty.Write(want); err != nil {
			t.Error(err)
		}
	})
	got := make([]byte, len(want))
	if _, err := io.ReadFull(b.rx, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("other bytes arrived: %v", err)
	}
	wg.Wait()

	tx := b.j.Stream(0, recorder.KindTx)
	defer tx.Close()
	tx.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(tx, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("other bytes were recorded as sent: %v", err)
	}
}

func TestModes(t *testing.T) {
	b := newBench(t, console.Options{})
	for _, m := range []console.Mode{
		{Baud: 115200, Parity: console.Even}, // a PTY cannot hold the parity
		{Baud: 921600},
		{Baud: 250000},
		{Baud: 12345, Parity: console.Even},
	} {
		if err := b.port.SetMode(m); err != nil {
			t.Errorf("%v: %v", m, err)
		}
		if got, err := b.pty.Speed(); err != nil || got != m.Baud {
			t.Errorf("%v: the line runs at %d, %v", m, got, err)
		}
	}
	if err := b.port.SetMode(console.Mode{Baud: 0}); err == nil || b.port.Err() != nil {
		t.Errorf("baud 0: %v, port %v", err, b.port.Err())
	}
	b.pty.Write([]byte("still here"))
	b.expect("still here")
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	sink := console.Record(nil)
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, t.TempDir() + "/none"} {
		_, err := console.Open(path, console.Mode{Baud: 115200}, sink, console.Options{})
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("open %s: %v", path, err)
		}
	}
	pty := consoletest.NewPTY(t)
	if _, err := console.Open(pty.Path, console.Mode{}, sink, console.Options{}); err == nil {
		t.Error("baud 0 was taken")
	}
}

func TestSecondOwnerIsRefused(t *testing.T) {
	b := newBench(t, console.Options{})
	_, err := console.Open(b.pty.Path, console.Mode{Baud: 115200}, console.Record(b.j), console.Options{})
	if !errors.Is(err, console.ErrBusy) || !strings.Contains(err.Error(), "this process") || !strings.Contains(err.Error(), b.pty.Path) {
		t.Fatalf("second open: %v", err)
	}
	b.pty.Write([]byte("x"))
	b.expect("x")
	if err := b.port.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := console.Open(b.pty.Path, console.Mode{Baud: 115200}, console.Record(b.j), console.Options{})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestUnplug(t *testing.T) {
	for _, busy := range []bool{false, true} {
		t.Run(fmt.Sprintf("writing=%v", busy), func(t *testing.T) {
			b := newBench(t, console.Options{})
			if busy {
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() {
					_, err := b.port.Write(within(t, 10*time.Second), make([]byte, 1<<20))
					if !errors.Is(err, console.ErrUnplugged) {
						t.Errorf("write: %v", err)
					}
				})
				b.pty.Read(make([]byte, 1)) // the write has begun
			}
			b.pty.Unplug()
			select {
			case <-b.port.Done():
			case <-time.After(5 * time.Second):
				t.Fatal("not noticed")
			}
			if err := b.port.Err(); !errors.Is(err, console.ErrUnplugged) || !strings.Contains(err.Error(), b.pty.Path) {
				t.Errorf("error %v", err)
			}
			if _, err := b.port.Write(t.Context(), []byte("x")); !errors.Is(err, console.ErrUnplugged) {
				t.Errorf("write: %v", err)
			}
			if err := b.port.SetMode(console.Mode{Baud: 9600}); !errors.Is(err, console.ErrUnplugged) {
				t.Errorf("set mode: %v", err)
			}
		})
	}
}

func TestWedgedWriteIsContained(t *testing.T) {
	b := newBench(t, console.Options{WedgeAfter: 50 * time.Millisecond})
	ctx := within(t, 10*time.Second)
	n := 0
	for last := -1; last != 0; {
		// The kernel finds room for some bytes more for a while.
		var err error
		last, err = b.port.Write(ctx, make([]byte, 256<<10))
		if !errors.Is(err, console.ErrWedged) {
			t.Fatalf("wrote %d: %v", last, err)
		}
		n += last
	}
	if n == 0 {
		t.Fatal("nothing was written at all")
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err := b.port.Write(short, []byte("x"))
	if !errors.Is(err, console.ErrWedged) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("write with a deadline: %v", err)
	}

	// The other direction and the mode go on.
	b.pty.Write([]byte("alive"))
	b.expect("alive")
	if err := b.port.SetMode(console.Mode{Baud: 9600}); err != nil {
		t.Error(err)
	}
	// When the board reads again, so does the port write again, and what was
	// given up does not come late.
	var got bytes.Buffer
	for got.Len() < n {
		if _, err := io.CopyN(&got, b.pty, int64(n-got.Len())); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.port.Write(ctx, []byte("again")); err != nil {
		t.Fatal(err)
	}
	tail := make([]byte, 5)
	if _, err := io.ReadFull(b.pty, tail); err != nil || string(tail) != "again" {
		t.Fatalf("after the wedge the board read %q, %v", tail, err)
	}
}

func TestCloseDoesNotWaitForWedgedWrite(t *testing.T) {
	b := newBench(t, console.Options{})
	failed := make(chan error, 1)
	go func() {
		_, err := b.port.Write(t.Context(), make([]byte, 1<<20))
		failed <- err
	}()
	b.pty.Read(make([]byte, 1))
	closed := make(chan error, 1)
	go func() { closed <- b.port.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("close hangs")
	}
	if err := <-failed; !errors.Is(err, console.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if _, err := b.port.Write(t.Context(), []byte("x")); !errors.Is(err, console.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	if err := b.port.SetMode(console.Mode{Baud: 9600}); !errors.Is(err, console.ErrClosed) {
		t.Errorf("set mode after close: %v", err)
	}
	if err := b.port.Drain(t.Context()); !errors.Is(err, console.ErrClosed) {
		t.Errorf("drain after close: %v", err)
	}
}

func TestDrain(t *testing.T) {
	b := newBench(t, console.Options{})
	if _, err := b.port.Write(t.Context(), []byte("AT\r")); err != nil {
		t.Fatal(err)
	}
	if err := b.port.Drain(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
}

// An answer must reach who waits at once, though reads are gathered.
func TestGatheringDoesNotDelayAnswers(t *testing.T) {
	b := newBench(t, console.Options{})
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	wg.Go(func() { b.echo(ctx) })
	defer wg.Wait()
	defer b.pty.SetDeadline(time.Now())
	defer stop()

	const n = 300
	start := time.Now()
	for i := range n {
		line := fmt.Sprintf("AT%d\r", i)
		if _, err := b.port.Write(ctx, []byte(line)); err != nil {
			t.Fatal(err)
		}
		b.expect(line)
	}
	// Gathering alone would take n times 10 ms.
	if took := time.Since(start); took > n*3*time.Millisecond {
		t.Errorf("%d round trips took %v", n, took)
	}
}

// What the board sent before a command is recorded before it.
func TestJournalKeepsTheOrderOfBothWays(t *testing.T) {
	b := newBench(t, console.Options{})
	b.pty.Write([]byte("first"))
	b.expect("first") // the port now gathers
	c, sent, got := b.j.Cursor(b.j.End()), 0, 0
	atOnce, cancel := context.WithCancel(t.Context())
	cancel()
	recorded := func() int {
		for {
			rec, err := c.Next(atOnce)
			if err != nil {
				return got
			}
			if rec.Kind == recorder.KindRx {
				got += len(rec.Data)
			}
		}
	}
	for i := range 50 {
		rx, tx := fmt.Sprintf("before %d;", i), fmt.Sprintf("command %d\r", i)
		sent += len(rx)
		if _, err := b.pty.Write([]byte(rx)); err != nil {
			t.Fatal(err)
		}
		// The kernel takes its time to carry bytes through a PTY.
		for recorded() < sent && recorded()+b.pty.Carried(t) < sent {
			runtime.Gosched()
		}
		if _, err := b.port.Write(t.Context(), []byte(tx)); err != nil {
			t.Fatal(err)
		}
	}
	b.expect("before 0;")
	b.port.Close()
	b.j.Close()
	var log strings.Builder
	c = b.j.Cursor(0)
	for {
		rec, err := c.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		log.Write(rec.Data)
	}
	for i := range 50 {
		if strings.Index(log.String(), fmt.Sprintf("before %d;", i)) > strings.Index(log.String(), fmt.Sprintf("command %d\r", i)) {
			t.Errorf("text %d was recorded after the command that followed it:\n%q", i, log.String())
			break
		}
	}
}

type failingSink struct{ console.Sink }

var errFull = errors.New("no space left on device")

func (failingSink) Received([]byte) error { return errFull }
func (failingSink) Sending([]byte) error  { return errFull }
func (failingSink) Waiting() bool         { return false }

func TestWhatCannotBeRecordedIsNotSent(t *testing.T) {
	pty := consoletest.NewPTY(t)
	p, err := console.Open(pty.Path, console.Mode{Baud: 115200}, failingSink{}, console.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if n, err := p.Write(t.Context(), []byte("AT\r")); n != 0 || !errors.Is(err, errFull) {
		t.Errorf("wrote %d: %v", n, err)
	}
	pty.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := pty.Read(make([]byte, 8)); n > 0 {
		t.Errorf("the board got %d bytes: %v", n, err)
	}
	if !errors.Is(p.Err(), errFull) {
		t.Errorf("port: %v", p.Err())
	}
}

func TestPortsShareALoop(t *testing.T) {
	loop, err := console.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	benches := make([]*bench, 8)
	for i := range benches {
		benches[i] = newBench(t, console.Options{Loop: loop})
	}
	var wg sync.WaitGroup
	for i, b := range benches {
		wg.Go(func() {
			for k := range 50 {
				text := fmt.Sprintf("board %d line %d\n", i, k)
				b.pty.Write([]byte(text))
				b.expect(text)
			}
		})
	}
	wg.Wait()
	benches[0].port.Close()
	benches[1].pty.Unplug()
	<-benches[1].port.Done()
	benches[2].pty.Write([]byte("others live"))
	benches[2].expect("others live")
	if err := loop.Close(); err != nil {
		t.Fatal(err)
	}
	if err := benches[3].port.Err(); !errors.Is(err, console.ErrClosed) {
		t.Errorf("port of a closed loop: %v", err)
	}
}
