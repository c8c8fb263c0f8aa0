package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hil-runner/recorder"
	"hil-runner/reports"
)

// TestSecondOwner asks for a board that another process has: status 4, and
// who has it. Other boards are not touched by that.
func TestSecondOwner(t *testing.T) {
	t.Parallel()
	r := labUpWith(t, 2)
	held := start(t, r.dir, r.temp, "console", "vb1", "--lab", r.file)
	if _, err := held.in.Write([]byte("AT\r")); err != nil {
		t.Fatal(err)
	}
	if !held.until("answered", func() bool { return strings.Contains(held.out.String(), "OK") }) {
		t.Fatal(held.err.String())
	}
	holder := strconv.Itoa(held.cmd.Process.Pid)

	for _, args := range [][]string{{"at", "vb1", "AT"}, {"reset", "vb1"}, {"flash", "vb1", "3.4"}} {
		p := r.verb(4, args...)
		if said := p.err.String(); !strings.Contains(said, "vb1") || !strings.Contains(said, holder) {
			t.Errorf("%q: want board and holder %s: %s", args, holder, said)
		}
	}
	p := r.verb(4, "run", "-b", "vb1", "--suite", "smoke", "--firmware", "none")
	if !strings.Contains(p.out.String(), holder) {
		t.Errorf("want the holder %s in:\n%s", holder, p.out)
	}
	r.verb(0, "at", "vb2", "AT")
	r.verb(3, "run", "--boards", "2", "--suite", "smoke", "--firmware", "none")
	for _, b := range r.report().Boards {
		want := map[string]reports.Outcome{"vb1": reports.Skipped, "vb2": reports.Passed}[b.Board]
		for _, res := range b.Results {
			if res.Outcome != want {
				t.Errorf("%s %s: %s, want %s", b.Board, res.Case.ID, res.Outcome, want)
			}
		}
	}

	// The holder was not disturbed, and leaves with the signal's status.
	before := strings.Count(held.out.String(), "OK")
	if _, err := held.in.Write([]byte("AT\r")); err != nil {
		t.Fatal(err)
	}
	if !held.until("answered again", func() bool { return strings.Count(held.out.String(), "OK") > before }) {
		t.Fatal(held.err.String())
	}
	held.signal(syscall.SIGTERM)
	held.wants(130)
	r.verb(0, "at", "vb1", "AT")
}

// TestSecondSignal ends a run at once: the next owner parks the boards.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	faults := filepath.Join(t.TempDir(), "faults.yaml")
	if err := os.WriteFile(faults, []byte("faults:\n- {kind: dead}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := labUpWith(t, 1, "--faults", faults)
	p := start(t, r.dir, r.temp, "reset", "vb1", "--hold", "1h", "--lab", r.file)
	p.until("resetting", func() bool { return r.stats("vb1").Resets > 0 })
	p.signal(syscall.SIGINT)
	p.signal(syscall.SIGINT)
	began := time.Now()
	p.wants(130)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestReaderGoesAway is `hil-runner run | head -1` on both streams: the run
// goes on to its end and writes its report.
func TestReaderGoesAway(t *testing.T) {
	t.Parallel()
	r := labUpWith(t, 1)
	p := prepare(t, r.dir, r.temp, "run", "--lab", r.file, "-b", "vb1", "--suite", "smoke")
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.begin()
	// stdout is closed unread, stderr after its first line.
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(errs).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := errs.Close(); err != nil {
		t.Fatal(err)
	}
	p.wants(0)
	if run := r.report(); run.Verdict != "passed" || !run.Boards[0].Parked {
		t.Errorf("verdict %s, parked %v", run.Verdict, run.Boards[0].Parked)
	}
	r.parked("vb1")
}

// TestFullDisk runs into a full disk at different fill levels: a clear error
// with the path and what to do, status 3, no panic, and what had been recorded
// is sound.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a small file system can be mounted by root only")
	}
	r := labUpWith(t, 1)
	for i, kib := range []int{0, 24, 64, 300} {
		dir := filepath.Join(r.dir, "disk"+strconv.Itoa(kib))
		mountSmall(t, dir, max(kib, 16))
		if kib == 0 {
			fill(t, dir)
		}
		// Full at once, in the specs, and at two moments of the flashing.
		release := []string{"none", "none", "3.0.0", "3.0.0"}[i]
		p := start(t, r.dir, r.temp, "run", "--lab", r.file, "-b", "vb1", "--suite", "smoke", "--out", dir, "--firmware", release)
		p.wants(3)
		said := p.out.String() + p.err.String()
		if strings.Contains(said, "panic") || strings.Contains(said, "goroutine ") {
			t.Errorf("%d KiB: %s", kib, said)
		}
		if !strings.Contains(said, dir) || !strings.Contains(said, "--out") || !strings.Contains(said, "no space left") {
			t.Errorf("%d KiB: want the path, the cause and the next step in:\n%s", kib, said)
		}
		journals, err := filepath.Glob(filepath.Join(dir, "2*", "boards", "vb1", "journal"))
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range journals {
			if found, _ := filepath.Glob(filepath.Join(j, "*.journal")); len(found) == 0 {
				continue
			}
			if _, err := recorder.Verify(j); err != nil {
				t.Errorf("%d KiB: %v", kib, err)
			}
		}
		r.parked("vb1")
	}
	r.verb(0, "flash", "vb1", "3.0.0")
}

// mountSmall mounts a file system of so many KiB at dir.
func mountSmall(t *testing.T, dir string, kib int) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("hil-test", dir, "tmpfs", 0, "size="+strconv.Itoa(kib)+"k")
	if err != nil {
		t.Skipf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill takes all the room there is.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "full"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}
