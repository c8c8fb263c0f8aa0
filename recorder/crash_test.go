package recorder_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hil-runner/recorder"
)

// snapshot copies the files of a journal as a power cut would leave them.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("segments of %s: %q, %v", dir, paths, err)
	}
	slices.Sort(paths)
	return paths
}

// written makes a journal of several segments, ended by a sync.
func written(t testing.TB, records int) (*recorder.Journal, string) {
	t.Helper()
	dir := t.TempDir()
	j, err := recorder.Create(dir, recorder.Options{Board: "b1", SegmentBytes: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	for i := range records {
		if _, err := j.Append(recorder.KindRx, fmt.Appendf(nil, "line %d\r\n", i), false); err != nil {
			t.Fatal(err)
		}
		if i%50 == 49 {
			if err := j.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	return j, dir
}

func TestReopenAfterACrash(t *testing.T) {
	j, live := written(t, 10)
	dir := snapshot(t, live)
	handedOut := add(t, j, recorder.KindRx, "never reached the disk")

	again := open(t, dir, recorder.Options{Board: "b1"})
	at := add(t, again, recorder.KindRx, "new life")
	if at <= handedOut {
		t.Fatalf("offset %d names another record than before the crash, %d", at, handedOut)
	}
	again.Close()
	got := readAll(t, dir)
	if len(got) != 12 || got[9] != "rx:line 9\r\n" || !strings.Contains(got[10], "without closing") || got[11] != "rx:new life" {
		t.Errorf("read %q", got)
	}
	// A reader that holds the lost record's offset goes on with what is new.
	c := again.Cursor(handedOut)
	if rec, err := c.Next(within(t)); err != nil || rec.Kind != recorder.KindNote {
		t.Errorf("cursor read %q, %v", rec.Data, err)
	}
	rep, err := recorder.Verify(dir)
	if err != nil || rep.Lost != 1 || !rep.Closed || rep.Segments != 2 {
		t.Errorf("verify: %+v, %v", rep, err)
	}
}

func TestReopenAfterAnOrderlyEndAddsNoNote(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		j := open(t, dir, recorder.Options{})
		add(t, j, recorder.KindRx, fmt.Sprint(i))
		j.Close()
	}
	if got := readAll(t, dir); !slices.Equal(got, []string{"rx:0", "rx:1", "rx:2"}) {
		t.Errorf("read %q", got)
	}
	rep, err := recorder.Verify(dir)
	if err != nil || rep.Lost != 0 || rep.Segments != 3 || !rep.Closed {
		t.Errorf("verify: %+v, %v", rep, err)
	}
}

// A journal cut at any byte opens, has all whole records before the cut, and
// says what was cut.
func TestTornTailIsCutAtEveryByte(t *testing.T) {
	_, dir := written(t, 20)
	path := segments(t, dir)[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := readAll(t, dir)
	full := 0
	for size := len(whole) - 1; size >= 0; size -= 29 {
		torn := t.TempDir()
		name := filepath.Join(torn, filepath.Base(path))
		if err := os.WriteFile(name, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := recorder.Create(torn, recorder.Options{})
		if err != nil {
			t.Fatalf("cut at %d: %v", size, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		got := readAll(t, torn)
		note := len(got) - 1
		if note < 0 || !strings.Contains(got[note], "the last writer") || !slices.Equal(got[:note], all[:note]) {
			t.Fatalf("cut at %d: read %q", size, got)
		}
		if rep, err := recorder.Verify(torn); err != nil || !rep.Closed || rep.Torn != 0 {
			t.Fatalf("cut at %d: %+v, %v", size, rep, err)
		}
		full = max(full, note)
	}
	if full < 19 {
		t.Errorf("at most %d records came back", full)
	}
}

func TestGarbageAfterTheLastRecordIsCut(t *testing.T) {
	_, dir := written(t, 20)
	dir = snapshot(t, dir)
	path := segments(t, dir)[0]
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Write(make([]byte, 5000)) // what a file system leaves after a power cut
	f.Close()
	if rep, err := recorder.Verify(dir); err != nil || rep.Torn != 5000 || rep.Closed {
		t.Errorf("before: %+v, %v", rep, err)
	}
	open(t, dir, recorder.Options{}).Close()
	got := readAll(t, dir)
	if len(got) != 21 || !strings.Contains(got[20], "5000 torn bytes cut") {
		t.Errorf("read %q", got)
	}
}

// One changed bit anywhere in a finished journal is found, and the reader
// gives no changed record.
func TestEveryBitFlipIsDetected(t *testing.T) {
	j, dir := written(t, 200)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	good := map[string]bool{}
	for _, r := range readAll(t, dir) {
		good[r] = true
	}
	paths := segments(t, dir)
	if len(paths) < 2 {
		t.Fatalf("%d segments", len(paths))
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			if i > 600 && i%5 != 0 && i < len(data)-200 {
				continue
			}
			if _, err := f.WriteAt([]byte{data[i] ^ 1<<(i%8)}, int64(i)); err != nil {
				t.Fatal(err)
			}
			var damage *recorder.CorruptError
			rep, err := recorder.Verify(dir)
			if !errors.As(err, &damage) && (err != nil || rep.Closed) {
				t.Fatalf("%s byte %d: not found: %+v, %v", filepath.Base(path), i, rep, err)
			}
			checkRecords(t, dir, good)
			if _, err := f.WriteAt(data[i:i+1], int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
	}
	if rep, err := recorder.Verify(dir); err != nil || !rep.Closed {
		t.Errorf("undamaged: %+v, %v", rep, err)
	}
}

func checkRecords(t *testing.T, dir string, good map[string]bool) {
	t.Helper()
	r, err := recorder.Open(dir)
	if err != nil {
		return
	}
	defer r.Close()
	for {
		rec, err := r.Next()
		if err != nil {
			return
		}
		if !good[fmt.Sprintf("%v:%s", rec.Kind, rec.Data)] {
			t.Fatalf("read a changed record %v %q", rec.Kind, rec.Data)
		}
	}
}

func TestMissingSegmentIsDetected(t *testing.T) {
	j, dir := written(t, 500)
	j.Close()
	paths := segments(t, dir)
	if len(paths) < 3 {
		t.Fatalf("%d segments", len(paths))
	}
	for _, i := range []int{0, 1} {
		broken := snapshot(t, dir)
		os.Remove(filepath.Join(broken, filepath.Base(paths[i])))
		var damage *recorder.CorruptError
		if _, err := recorder.Verify(broken); !errors.As(err, &damage) {
			t.Errorf("without segment %d: %v", i, err)
		}
	}
	// Without the last one the journal has no end.
	os.Remove(paths[len(paths)-1])
	if rep, err := recorder.Verify(dir); err != nil || rep.Closed {
		t.Errorf("without the last: %+v, %v", rep, err)
	}
}

// Damage before a seal is evidence: re-opening leaves it alone and goes on.
func TestReopenKeepsDamage(t *testing.T) {
	j, dir := written(t, 30)
	j.Close()
	path := segments(t, dir)[0]
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[200] ^= 4
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir, recorder.Options{})
	add(t, again, recorder.KindRx, "goes on")
	c := again.Cursor(0)
	var notes, damaged int
	for {
		rec, err := c.Next(within(t))
		var damage *recorder.CorruptError
		if errors.As(err, &damage) {
			damaged++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(rec.Data), "damage found") {
			notes++
		}
		if string(rec.Data) == "goes on" {
			break
		}
	}
	if damaged != 1 || notes != 1 {
		t.Errorf("%d errors, %d notes", damaged, notes)
	}
	now, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(now, data) {
		t.Errorf("the damaged file was changed, %v", err)
	}
}

func TestOpenOfNothing(t *testing.T) {
	if _, err := recorder.Open(t.TempDir()); err == nil {
		t.Error("an empty folder is a journal")
	}
	if _, err := recorder.Verify(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
}

// The reader of a live journal sees what was synced.
func TestOpenBesideTheWriter(t *testing.T) {
	j, dir := written(t, 100)
	if got := readAll(t, dir); len(got) != 100 {
		t.Errorf("read %d records", len(got))
	}
	rep, err := recorder.Verify(dir)
	if err != nil || rep.Closed || rep.Records != 100 {
		t.Errorf("verify: %+v, %v", rep, err)
	}
	j.Close()
}

// No bytes make the reader panic, loop, or use memory without bound.
func FuzzOpen(f *testing.F) {
	_, dir := written(f, 5)
	whole, err := os.ReadFile(segments(f, dir)[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:100])
	f.Add(append(bytes.Clone(whole), whole...))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000000.journal"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		recorder.Verify(dir)
		r, err := recorder.Open(dir)
		if err != nil {
			return
		}
		defer r.Close()
		total := 0
		for {
			rec, err := r.Next()
			if err != nil {
				var damage *recorder.CorruptError
				if !errors.Is(err, io.EOF) && !errors.As(err, &damage) {
					t.Fatal(err)
				}
				return
			}
			if total += 20 + len(rec.Data); total > len(data) {
				t.Fatalf("%d bytes of records in %d bytes", total, len(data))
			}
		}
	})
}
