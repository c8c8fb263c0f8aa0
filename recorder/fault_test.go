package recorder

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// disk is a file system that can be made to fail.
type disk struct {
	mu       sync.Mutex
	writeErr error
	syncErr  error
	half     bool // a failing write writes half
}

func (d *disk) create(path string) (segmentWriter, error) {
	f, err := createFile(path)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, d}, nil
}

func (d *disk) fail(write, sync error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writeErr, d.syncErr = write, sync
}

type faultyFile struct {
	segmentWriter
	d *disk
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.writeErr == nil {
		return f.segmentWriter.WriteAt(p, off)
	}
	n := 0
	if f.d.half {
		n, _ = f.segmentWriter.WriteAt(p[:len(p)/2], off)
	}
	return n, f.d.writeErr
}

func (f *faultyFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.syncErr != nil {
		return f.d.syncErr
	}
	return f.segmentWriter.Sync()
}

func records(t *testing.T, dir string) (got []string) {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(rec.Data))
	}
}

// A full disk is an error that names the file and the next step; the journal
// stays whole, and goes on when there is room again.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		d := &disk{half: true}
		j, err := create(dir, Options{Board: "b1"}.withDefaults(), d.create)
		if err != nil {
			t.Fatal(err)
		}
		add := func(s string) error {
			_, err := j.Append(KindRx, []byte(s), false)
			return err
		}
		if err := errors.Join(add("before"), j.Sync()); err != nil {
			t.Fatal(err)
		}
		d.fail(syscall.ENOSPC, nil)
		if err := add("kept in memory"); err != nil {
			t.Fatal(err)
		}
		_, err = j.Event(KindReset, "pulse", nil)
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "free space") || !strings.Contains(err.Error(), "b1") {
			t.Fatalf("event: %v", err)
		}
		if err := add("refused"); !errors.Is(err, syscall.ENOSPC) || !errors.Is(j.Err(), syscall.ENOSPC) {
			t.Fatalf("append: %v, journal: %v", err, j.Err())
		}
		if got := records(t, dir); len(got) != 1 {
			t.Errorf("on the full disk: %q", got)
		}
		if rep, err := Verify(dir); err != nil || rep.Torn != 0 {
			t.Errorf("on the full disk: %+v, %v", rep, err)
		}

		d.fail(nil, nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := j.Err(); err != nil {
			t.Fatalf("with room again: %v", err)
		}
		if err := errors.Join(add("after"), j.Close()); err != nil {
			t.Fatal(err)
		}
		got := records(t, dir)
		if len(got) != 5 || got[1] != "kept in memory" || !strings.Contains(got[3], "1 records were refused") || got[4] != "after" {
			t.Errorf("in the end: %q", got)
		}
		if rep, err := Verify(dir); err != nil || !rep.Closed {
			t.Errorf("in the end: %+v, %v", rep, err)
		}
	})
}

// After a failed fsync the kernel has dropped data: nothing may count as
// durable any more.
func TestFailedSyncIsFinal(t *testing.T) {
	d := &disk{}
	j, err := create(t.TempDir(), Options{}.withDefaults(), d.create)
	if err != nil {
		t.Fatal(err)
	}
	j.Append(KindRx, []byte("x"), false)
	d.fail(nil, syscall.EIO)
	if err := j.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	d.fail(nil, nil)
	if err := j.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("second sync: %v", err)
	}
	if _, err := j.Event(KindNote, "x", nil); !errors.Is(err, syscall.EIO) {
		t.Errorf("event: %v", err)
	}
	if err := j.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("close: %v", err)
	}
}

// A disk that stands still does not let memory grow; it ends with an error for
// those who wait.
func TestMemoryIsBoundedOnAFailingDisk(t *testing.T) {
	d := &disk{}
	j, err := create(t.TempDir(), Options{TailBytes: 16 << 10}.withDefaults(), d.create)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	d.fail(syscall.EIO, nil)
	var last error
	for range 1000 {
		if _, last = j.Append(KindRx, make([]byte, 1000), false); last != nil {
			break
		}
	}
	if !errors.Is(last, syscall.EIO) {
		t.Errorf("after 1 MB: %v", last)
	}
}

func TestCreateOnAFailingDisk(t *testing.T) {
	d := &disk{writeErr: syscall.ENOSPC}
	dir := t.TempDir()
	if _, err := create(dir, Options{}.withDefaults(), d.create); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("create: %v", err)
	}
	d.fail(nil, nil)
	j, err := create(dir, Options{}.withDefaults(), d.create)
	if err != nil {
		t.Fatalf("the failed attempt left something: %v", err)
	}
	j.Close()
}

// Frames decode only where they were written.
func FuzzFrame(f *testing.F) {
	f.Add(appendFrame(nil, 73, KindRx, 0, 5, []byte("hello")), int64(73))
	f.Add(appendFrame(nil, 0, KindSeal, flagLast, 1<<40, make([]byte, 32)), int64(0))
	f.Add([]byte{}, int64(-1))
	f.Fuzz(func(t *testing.T, b []byte, at int64) {
		fr, err := parseFrame(b, Offset(at))
		if err != nil {
			if len(b) > frameSize+maxPayload && errors.Is(err, errShort) {
				t.Fatalf("%d bytes are too few", len(b))
			}
			return
		}
		again := appendFrame(nil, Offset(at), fr.kind, fr.flags, fr.mono, fr.payload)
		if string(again) != string(b[:fr.size]) {
			t.Fatalf("decoded %+v from %x, encoded %x", fr, b[:fr.size], again)
		}
		if _, err := parseFrame(b, Offset(at)+1); err == nil {
			t.Fatal("decodes at another place too")
		}
	})
}

func TestKindsHaveNames(t *testing.T) {
	for k := KindRx; k <= KindSeal; k++ {
		if strings.HasPrefix(k.String(), "kind") {
			t.Errorf("kind %d has no name", uint8(k))
		}
	}
	if got := fmt.Sprint(Kind(77)); got != "kind 77" {
		t.Errorf("unknown kind is %q", got)
	}
}
