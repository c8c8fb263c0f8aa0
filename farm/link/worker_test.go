package link_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hil-runner/farm/link"
	"hil-runner/recorder"
)

// childMode says what this executable does when a test starts it as a worker.
const childMode = "HIL_LINK_TEST_CHILD"

// child is a worker process; it never returns.
func child(mode string) {
	if mode == "grandchild" {
		select {}
	}
	if mode == "mute" {
		os.Exit(0)
	}
	conn, err := link.Inherited()
	if err != nil {
		fmt.Println("no link:", err)
		os.Exit(7)
	}
	id := "build-of-this-test"
	if mode == "stranger" {
		id = "another build"
	}
	s, err := link.Attach(conn, id, os.Getpid())
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(7)
	}
	fmt.Println("attached to", s.Hello.Board.ID, os.Environ())
	note := map[string]int{"pid": os.Getpid()}
	if mode == "parent" {
		c := exec.Command("/proc/self/exe")
		c.Env = []string{childMode + "=grandchild"}
		c.Stdout, c.Stderr = os.Stdout, os.Stderr // holds the output open
		if err := c.Start(); err != nil {
			os.Exit(8)
		}
		note["grandchild"] = c.Process.Pid
	}
	if _, err := s.Bench.Journal.Event(context.Background(), recorder.KindNote, "ready", note); err != nil {
		os.Exit(9)
	}
	switch mode {
	case "leaves":
		os.Exit(5)
	case "follows":
		<-s.Lost()
		os.Exit(6)
	}
	select {} // ignores everything
}

// worker is a running worker of a test.
type worker struct {
	*rig
	output syncBuffer
	done   chan error
	pid    int
	other  int // of the grandchild
}

// startWorker starts a worker and waits until it says that it is ready.
func startWorker(t *testing.T, ctx context.Context, mode string, grace time.Duration) *worker {
	t.Helper()
	w := &worker{rig: newOwner(t), done: make(chan error, 1)}
	from := w.j.End()
	start := link.Worker{Exe: "/proc/self/exe", Env: []string{childMode + "=" + mode}, Output: &w.output, Grace: grace}
	go func() { w.done <- start.Run(ctx, w.share) }()
	cursor := w.j.Cursor(from)
	defer cursor.Close()
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		rec, err := cursor.Next(limit)
		if err != nil {
			t.Fatalf("the worker was never ready: %v; it printed %q", err, w.output.String())
		}
		var ready struct {
			Event           string
			PID, Grandchild int
		}
		if json.Unmarshal(rec.Data, &ready) == nil && ready.Event == "ready" {
			w.pid, w.other = ready.PID, ready.Grandchild
			return w
		}
	}
}

// syncBuffer takes a worker's output.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// end waits for Run, which must take much less than the grace of the test.
func (w *worker) end(t *testing.T) error {
	t.Helper()
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	select {
	case err := <-w.done:
		return err
	case <-timer.C:
		t.Fatal("Run did not return")
		return nil
	}
}

// process is a handle on a process that stays right when its number is reused.
type process struct{ fd int }

func watchProcess(t *testing.T, pid int) process {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("process %d: %v", pid, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return process{fd}
}

// mustEnd waits for the end of a process that was killed.
func (p process) mustEnd(t *testing.T, what string) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 10_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 || err != nil {
			t.Errorf("%s is still there: %v", what, err)
		}
		return
	}
}

const longGrace = 10 * time.Minute

// A worker's exit status is no verdict: one that leaves with 5 has ended well.
func TestExitStatusIsNoVerdict(t *testing.T) {
	w := startWorker(t, t.Context(), "leaves", longGrace)
	if err := w.end(t); err != nil {
		t.Errorf("Run gave %v", err)
	}
	if out := w.output.String(); !strings.Contains(out, "attached to b1 ["+childMode+"=leaves]") {
		t.Errorf("the worker printed %q: its environment is not what was given", out)
	}
}

// kill -9 of a worker ends the run at once, with the whole group, though a
// grandchild holds the output open.
func TestKilledWorker(t *testing.T) {
	w := startWorker(t, t.Context(), "parent", longGrace)
	worker, other := watchProcess(t, w.pid), watchProcess(t, w.other)
	if err := unix.Kill(w.pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := w.end(t); err != nil {
		t.Errorf("Run gave %v", err)
	}
	worker.mustEnd(t, "the worker")
	other.mustEnd(t, "the worker's child")
}

func TestCancelledWorker(t *testing.T) {
	for mode, grace := range map[string]time.Duration{"follows": longGrace, "parent": 50 * time.Millisecond} {
		t.Run(mode, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			w := startWorker(t, ctx, mode, grace)
			all := map[string]process{"the worker": watchProcess(t, w.pid)}
			if w.other > 0 {
				all["the worker's child"] = watchProcess(t, w.other)
			}
			why := errors.New("the operator said so")
			cancel(why)
			if err := w.end(t); !errors.Is(err, why) {
				t.Errorf("Run gave %v", err)
			}
			for what, p := range all {
				p.mustEnd(t, what)
			}
		})
	}
}

func TestWorkerThatDoesNotAttach(t *testing.T) {
	for mode, want := range map[string]string{"mute": "left before it attached", "stranger": "left before it attached"} {
		r := newOwner(t)
		var out syncBuffer
		w := link.Worker{Exe: "/proc/self/exe", Env: []string{childMode + "=" + mode}, Output: &out, Grace: longGrace}
		if err := w.Run(t.Context(), r.share); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Run gave %v", mode, err)
		}
		if mode == "stranger" && !strings.Contains(out.String(), "another program") {
			t.Errorf("it printed %q", out.String())
		}
	}
	w := link.Worker{Exe: "/no/such/program"}
	if err := w.Run(t.Context(), newOwner(t).share); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("Run of nothing gave %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx, newOwner(t).share); !errors.Is(err, context.Canceled) {
		t.Errorf("Run after the end gave %v", err)
	}
}

// A process that nobody started as a worker says so and touches nothing.
func TestInheritedWithoutOwner(t *testing.T) {
	c := exec.Command("/proc/self/exe")
	c.Env = []string{childMode + "=leaves"}
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 || !strings.Contains(string(out), "not started by an owner") {
		t.Errorf("it ended with %v and said %q", err, out)
	}
}

func TestBuildID(t *testing.T) {
	a, err := link.BuildID()
	if err != nil || len(a) < 16 {
		t.Fatalf("%q, %v", a, err)
	}
	if b, _ := link.BuildID(); a != b {
		t.Errorf("%q, then %q", a, b)
	}
}
