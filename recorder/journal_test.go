package recorder_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hil-runner/recorder"
)

func open(t *testing.T, dir string, opt recorder.Options) *recorder.Journal {
	t.Helper()
	j, err := recorder.Create(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func add(t *testing.T, j *recorder.Journal, kind recorder.Kind, data string) recorder.Offset {
	t.Helper()
	at, err := j.Append(kind, []byte(data), false)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// readAll returns the records of the files as "kind:payload".
func readAll(t *testing.T, dir string) []string {
	t.Helper()
	r, err := recorder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []string
	last := recorder.Offset(-1)
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Offset <= last {
			t.Fatalf("offset %d after %d", rec.Offset, last)
		}
		last = rec.Offset
		got = append(got, fmt.Sprintf("%v:%s", rec.Kind, rec.Data))
	}
}

func TestRecordsComeBackInOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b1")
	j := open(t, dir, recorder.Options{Board: "b1"})
	add(t, j, recorder.KindTx, "AT\r")
	at := add(t, j, recorder.KindRx, "\r\nOK\r\n")
	if _, err := j.Event(recorder.KindReset, "pulse", map[string]any{"hold_ms": 100}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}

	got := readAll(t, dir)
	if len(got) != 3 || got[0] != "tx:AT\r" || got[1] != "rx:\r\nOK\r\n" {
		t.Fatalf("read %q", got)
	}
	var event struct {
		Event  string
		At     time.Time
		HoldMS int `json:"hold_ms"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(got[2], "reset:")), &event); err != nil {
		t.Fatal(err)
	}
	if event.Event != "pulse" || event.HoldMS != 100 || time.Since(event.At) > time.Minute {
		t.Errorf("event %+v", event)
	}

	c := j.Cursor(at)
	if rec, err := c.Next(within(t)); err != nil || string(rec.Data) != "\r\nOK\r\n" || rec.Offset != at {
		t.Errorf("cursor at %d read %q at %d, %v", at, rec.Data, rec.Offset, err)
	}
	rep, err := recorder.Verify(dir)
	if err != nil || !rep.Closed || rep.Records != 3 || rep.Torn != 0 || rep.Board != "b1" {
		t.Errorf("verify: %+v, %v", rep, err)
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b1")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	j := open(t, dir, recorder.Options{})
	add(t, j, recorder.KindRx, "x")
	j.Close()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAppendRefusesWhatItCannotKeep(t *testing.T) {
	j := open(t, t.TempDir(), recorder.Options{})
	if _, err := j.Append(recorder.KindSeal, nil, false); err == nil {
		t.Error("a seal from outside was taken")
	}
	if _, err := j.Append(recorder.KindNote, make([]byte, 2<<20), false); err == nil {
		t.Error("a note of 2 MiB was taken")
	}
	if _, err := j.Event(recorder.KindNote, "x", []int{1}); err == nil {
		t.Error("attributes that are no object were taken")
	}
	if _, err := recorder.Create(t.TempDir(), recorder.Options{Board: strings.Repeat("b", 256)}); err == nil {
		t.Error("a board name of 256 bytes was taken")
	}
	j.Close()
	if _, err := j.Append(recorder.KindRx, []byte("x"), false); !errors.Is(err, recorder.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
}

func TestLargeReadsAreSplit(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, recorder.Options{})
	want := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)
	if _, err := j.Append(recorder.KindRx, want, false); err != nil {
		t.Fatal(err)
	}
	s := j.Stream(0, recorder.KindRx)
	defer s.Close()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("5 MiB came back changed: %v", err)
	}
}

func TestSecondWriterIsRefused(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, recorder.Options{})
	if _, err := recorder.Create(dir, recorder.Options{}); !errors.Is(err, recorder.ErrBusy) {
		t.Fatalf("second writer: %v", err)
	}
	j.Close()
	open(t, dir, recorder.Options{})
}

func TestConcurrentAppendersAndReaders(t *testing.T) {
	const writers, each = 4, 2000
	dir := t.TempDir()
	j := open(t, dir, recorder.Options{SegmentBytes: 64 << 10, TailBytes: 16 << 10, SyncEvery: 2 * time.Millisecond})
	var wg sync.WaitGroup
	for r := range 3 {
		wg.Go(func() {
			c := j.Cursor(0)
			defer c.Close()
			next := map[byte]int{}
			for n := 0; n < writers*each; {
				rec, err := c.Next(within(t))
				if err != nil {
					t.Errorf("reader %d after %d records: %v", r, n, err)
					return
				}
				if rec.Kind != recorder.KindRx {
					continue
				}
				var w byte
				var i int
				fmt.Sscanf(string(rec.Data), "%c%d", &w, &i)
				if i != next[w] {
					t.Errorf("reader %d: writer %c: record %d, want %d", r, w, i, next[w])
					return
				}
				next[w]++
				n++
			}
		})
	}
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := j.Append(recorder.KindRx, fmt.Appendf(nil, "%c%d %s", 'A'+w, i, "padding padding padding"), false); err != nil {
					t.Error(err)
					return
				}
				if i%500 == 0 {
					if _, err := j.Event(recorder.KindNote, "mark", nil); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	rep, err := recorder.Verify(dir)
	if err != nil || !rep.Closed || rep.Segments < 3 || rep.Records != writers*(each+4) {
		t.Errorf("verify: %+v, %v", rep, err)
	}
}
