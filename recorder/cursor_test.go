package recorder_test

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

	"hil-runner/recorder"
)

func TestCursorWaitsForTheNextRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := open(t, t.TempDir(), recorder.Options{})
		got := make(chan string)
		go func() {
			c := j.Cursor(j.End())
			rec, err := c.Next(t.Context())
			got <- fmt.Sprintf("%s %v", rec.Data, err)
		}()
		synctest.Wait() // it is blocked now
		add(t, j, recorder.KindRx, "hello")
		if s := <-got; s != "hello <nil>" {
			t.Errorf("read %s", s)
		}
		j.Close()
	})
}

func TestCursorEndsWithItsContextAndTheJournal(t *testing.T) {
	j := open(t, t.TempDir(), recorder.Options{})
	c := j.Cursor(0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	add(t, j, recorder.KindRx, "last")
	j.Close()
	if rec, err := c.Next(within(t)); err != nil || string(rec.Data) != "last" {
		t.Fatalf("read %q, %v", rec.Data, err)
	}
	if _, err := c.Next(within(t)); !errors.Is(err, io.EOF) {
		t.Fatalf("after the end: %v", err)
	}
}

// A cursor that was stopped while much was recorded costs no memory and misses
// nothing.
func TestStoppedCursorCostsNoMemory(t *testing.T) {
	j := open(t, t.TempDir(), recorder.Options{SegmentBytes: 1 << 20, TailBytes: 64 << 10})
	c := j.Cursor(0)
	defer c.Close()
	add(t, j, recorder.KindRx, "first")
	if _, err := c.Next(within(t)); err != nil {
		t.Fatal(err)
	}
	before := heap()
	payload := bytes.Repeat([]byte("x"), 1000)
	const n = 8000
	for i := range n {
		if _, err := j.Append(recorder.KindRx, append(payload[:1000:1000], fmt.Sprint(i)...), false); err != nil {
			t.Fatal(err)
		}
		if i%500 == 0 {
			j.Sync()
		}
	}
	if grown := heap() - before; grown > 2<<20 {
		t.Errorf("%d bytes of heap for 8 MB that nobody has read", grown)
	}
	for i := range n {
		rec, err := c.Next(within(t))
		if err != nil || string(rec.Data[1000:]) != fmt.Sprint(i) {
			t.Fatalf("record %d: %q, %v", i, rec.Data, err)
		}
	}
	add(t, j, recorder.KindRx, "caught up")
	if rec, err := c.Next(within(t)); err != nil || string(rec.Data) != "caught up" {
		t.Errorf("read %q, %v", rec.Data, err)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Any offset is a place to resume: of a record, between two, never handed out,
// in memory and in files.
func TestCursorFromAnyOffset(t *testing.T) {
	for _, tail := range []int{256 << 10, 4 << 10} {
		t.Run(fmt.Sprintf("tail=%d", tail), func(t *testing.T) {
			j := open(t, t.TempDir(), recorder.Options{SegmentBytes: 3 << 10, TailBytes: tail})
			var at []recorder.Offset
			for i := range 300 {
				// Payloads that look like records must not be taken for some.
				at = append(at, add(t, j, recorder.KindRx, strings.Repeat(fmt.Sprintf("\x00\x01%d", i), i%50+1)))
				if i%40 == 0 {
					j.Sync()
				}
			}
			next := 0
			ctx := within(t)
			for from := recorder.Offset(-5); from < at[len(at)-1]; from += 11 {
				for at[next] < from {
					next++
				}
				c := j.Cursor(from)
				rec, err := c.Next(ctx)
				c.Close()
				if err != nil || rec.Offset != at[next] {
					t.Fatalf("from %d: record at %d, %v; want %d", from, rec.Offset, err, at[next])
				}
			}
			c := j.Cursor(j.End() + 1<<40)
			end := add(t, j, recorder.KindRx, "end")
			if rec, err := c.Next(ctx); err != nil || rec.Offset != end {
				t.Errorf("from beyond the end: record at %d, %v; want %d", rec.Offset, err, end)
			}
		})
	}
}

func TestRecordsHaveTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j := open(t, dir, recorder.Options{})
		start := time.Now()
		time.Sleep(1500 * time.Millisecond)
		add(t, j, recorder.KindRx, "x")
		live, err := j.Cursor(0).Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		j.Close()
		r, err := recorder.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		stored, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range []recorder.Record{live, stored} {
			if !rec.Wall.Equal(start.Add(1500*time.Millisecond)) || rec.Mono != 1500*time.Millisecond {
				t.Errorf("wall %v, mono %v", rec.Wall.Sub(start), rec.Mono)
			}
		}
	})
}

// Without anybody's Sync, records are durable and sealed after a second.
func TestSyncEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j := open(t, dir, recorder.Options{})
		at := add(t, j, recorder.KindRx, "x")
		if rep, err := recorder.Verify(dir); err != nil || rep.Records != 0 {
			t.Errorf("before: %+v, %v", rep, err)
		}
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		if rep, err := recorder.Verify(dir); err != nil || rep.Records != 1 || rep.Sealed <= at {
			t.Errorf("after: %+v, %v", rep, err)
		}
		j.Close()
	})
}

func TestStreamReadsOneKind(t *testing.T) {
	j := open(t, t.TempDir(), recorder.Options{})
	s := j.Stream(0, recorder.KindRx)
	defer s.Close()
	add(t, j, recorder.KindTx, "AT\r")
	first := add(t, j, recorder.KindRx, "\r\nO")
	add(t, j, recorder.KindNote, "note")
	second := add(t, j, recorder.KindRx, "K\r\n")

	b := make([]byte, 2)
	if n, err := s.Read(b); n != 2 || err != nil || s.Offset() != first {
		t.Fatalf("read %q, %v, offset %d, want %d", b[:n], err, s.Offset(), first)
	}
	if n, err := s.Read(b); n != 1 || err != nil || s.Offset() <= first || s.Offset() > second {
		t.Fatalf("read %q, %v, offset %d", b[:n], err, s.Offset())
	}
	resumed := j.Stream(s.Offset(), recorder.KindRx)
	defer resumed.Close()
	got := make([]byte, 3)
	if _, err := io.ReadFull(resumed, got); err != nil || string(got) != "K\r\n" {
		t.Errorf("resumed: %q, %v", got, err)
	}
}

func TestStreamDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := open(t, t.TempDir(), recorder.Options{})
		s := j.Stream(0, recorder.KindRx)
		start := time.Now()
		s.SetReadDeadline(start.Add(300 * time.Millisecond))
		b := make([]byte, 8)
		if _, err := s.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 300*time.Millisecond {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
		// Bytes that are there win over a deadline that has passed.
		add(t, j, recorder.KindRx, "late")
		if n, err := s.Read(b); err != nil || string(b[:n]) != "late" {
			t.Fatalf("read %q, %v", b[:n], err)
		}
		// A later deadline, then a sooner one while Read waits.
		s.SetReadDeadline(time.Now().Add(time.Hour))
		ended := make(chan error)
		start = time.Now()
		go func() {
			_, err := s.Read(make([]byte, 8))
			ended <- err
		}()
		synctest.Wait()
		s.SetReadDeadline(start.Add(time.Second))
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		// No deadline any more; Close ends the wait.
		s.SetReadDeadline(time.Time{})
		go func() {
			_, err := s.Read(b)
			ended <- err
		}()
		synctest.Wait()
		s.Close()
		if err := <-ended; !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		if _, err := s.Read(b); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after close: %v", err)
		}
		j.Close()
	})
}

func TestStreamEndsWithTheJournal(t *testing.T) {
	j := open(t, t.TempDir(), recorder.Options{})
	s := j.Stream(0, recorder.KindRx)
	defer s.Close()
	add(t, j, recorder.KindRx, "last")
	j.Close()
	b := make([]byte, 8)
	if n, err := s.Read(b); err != nil || string(b[:n]) != "last" {
		t.Fatalf("read %q, %v", b[:n], err)
	}
	if _, err := s.Read(b); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

// Streams and urgent cursors make the journal Waiting; patient cursors, such
// as a watch that is always there, do not.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := open(t, t.TempDir(), recorder.Options{})
		var waits int
		var mu sync.Mutex
		off := j.OnWait(func() { mu.Lock(); waits++; mu.Unlock() })

		patient := j.Cursor(0)
		go patient.Next(t.Context())
		synctest.Wait()
		if j.Waiting() {
			t.Error("a patient cursor makes the journal wait")
		}
		s := j.Stream(0, recorder.KindRx)
		go s.Read(make([]byte, 8))
		synctest.Wait()
		if !j.Waiting() || waits != 1 {
			t.Errorf("a stream: waiting %v, told %d times", j.Waiting(), waits)
		}
		add(t, j, recorder.KindTx, "not for the stream")
		synctest.Wait()
		if !j.Waiting() || waits != 1 {
			t.Errorf("after another kind: waiting %v, told %d times", j.Waiting(), waits)
		}
		add(t, j, recorder.KindRx, "x")
		synctest.Wait()
		if j.Waiting() {
			t.Error("still waiting after the read")
		}
		urgent := j.Cursor(j.End())
		urgent.Urgent(true)
		off()
		ctx, cancel := context.WithCancel(t.Context())
		go urgent.Next(ctx)
		synctest.Wait()
		if !j.Waiting() || waits != 1 {
			t.Errorf("an urgent cursor: waiting %v, told %d times", j.Waiting(), waits)
		}
		cancel()
		synctest.Wait()
		if j.Waiting() {
			t.Error("waiting after the cursor gave up")
		}
		j.Close()
	})
}

// Records that a cursor skips do not wake it, wherever they are read from.
func TestSkip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := open(t, t.TempDir(), recorder.Options{TailBytes: 4 << 10})
		for i := range 100 {
			add(t, j, recorder.KindRx, fmt.Sprintf("early %d %s", i, strings.Repeat("x", 200)))
		}
		j.Sync()
		c := j.Cursor(0)
		var seen []string
		c.Skip(func(r recorder.Record) bool {
			text, _, _ := strings.Cut(string(r.Data), " x")
			seen = append(seen, text)
			return !strings.HasPrefix(text, "want")
		})
		got := make(chan string)
		next := func(ctx context.Context) {
			rec, err := c.Next(ctx)
			got <- fmt.Sprintf("%s %v", rec.Data, err)
		}
		go next(t.Context())
		synctest.Wait()
		if len(seen) != 100 || seen[99] != "early 99" {
			t.Errorf("saw %d records, last %q", len(seen), seen[len(seen)-1])
		}
		add(t, j, recorder.KindRx, "late")
		add(t, j, recorder.KindRx, "want 1")
		want2 := add(t, j, recorder.KindRx, "want 2")
		if s := <-got; s != "want 1 <nil>" {
			t.Errorf("got %s", s)
		}
		go next(t.Context())
		if s := <-got; s != "want 2 <nil>" {
			t.Errorf("got %s", s)
		}
		if c.Offset() <= want2 {
			t.Errorf("offset %d after the record at %d", c.Offset(), want2)
		}
		if n := len(seen); n != 103 {
			t.Errorf("the filter was called %d times for 103 records", n)
		}
		// A record that came together with the end of the wait is not lost.
		ctx, cancel := context.WithCancel(t.Context())
		go next(ctx)
		synctest.Wait()
		cancel()
		<-got
		want3 := add(t, j, recorder.KindRx, "want 3")
		if c.Offset() != want3 {
			t.Errorf("offset %d, want %d", c.Offset(), want3)
		}
		go next(t.Context())
		if s := <-got; s != "want 3 <nil>" {
			t.Errorf("got %s", s)
		}
		j.Close()
	})
}
