package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hil-runner/farm/virtlab"
	"hil-runner/reports"
)

// This file starts hil-runner as other processes do, and a virtual lab in a
// process of its own, so that owners and workers can be killed while the
// modules live on.

// within bounds everything that a test waits for.
const within = 60 * time.Second

// process is a hil-runner that was started by a test.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err *growing
	in       io.WriteCloser
	done     chan struct{}
}

// growing collects what a process writes and may be read meanwhile.
type growing struct {
	mu   sync.Mutex
	text strings.Builder
}

func (g *growing) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

func (g *growing) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

// start starts hil-runner in dir, with temp for temporary files. It is killed at the end of the test if it
// still runs.
func start(t *testing.T, dir, temp string, args ...string) *process {
	t.Helper()
	p := prepare(t, dir, temp, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	p.begin()
	return p
}

func prepare(t *testing.T, dir, temp string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(self, args...), out: &growing{}, err: &growing{}, done: make(chan struct{})}
	p.cmd.Args[0] = "hil-runner"
	p.cmd.Dir = dir
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + temp}
	for name, value := range cleanEnv(dir) {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	return p
}

// shortTemp is a folder for temporary files with a name that leaves room for
// the path of a socket, which has 108 bytes.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hil-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (p *process) begin() {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		// The status is in ProcessState.
		_ = p.cmd.Wait()
		close(p.done)
	}()
	p.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
}

// signal sends one.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !p.ended() {
		p.t.Fatalf("signal %v: %v", s, err)
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// status waits for the end and gives the exit status.
func (p *process) status() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		p.t.Fatalf("still running after %v\nstdout:\n%s\nstderr:\n%s", within, p.out, p.err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// wants waits for the end and wants this status.
func (p *process) wants(status int) {
	p.t.Helper()
	if got := p.status(); got != status {
		p.t.Errorf("hil-runner %s: status %d, want %d\nstdout:\n%s\nstderr:\n%s",
			strings.Join(p.cmd.Args[1:], " "), got, status, p.out, p.err)
	}
}

// until waits for something to be true of a running process. It is false when
// the process ended before.
func (p *process) until(what string, ask func() bool) bool {
	p.t.Helper()
	err := poll(within, func() error {
		if ask() || p.ended() {
			return nil
		}
		return fmt.Errorf("not %s", what)
	})
	if err != nil {
		p.t.Fatalf("%v\nstdout:\n%s\nstderr:\n%s", err, p.out, p.err)
	}
	return ask()
}

// rig is a virtual lab in a process of its own.
type rig struct {
	t      *testing.T
	dir    string // where its processes run
	temp   string // their temporary files
	file   string // the lab file
	boards []upBoard
	up     *process
	// before is the newest run folder at the time when the last run began.
	before  string
	counted map[string]*tally
}

// labUpWith starts a lab with these flags.
func labUpWith(t *testing.T, boards int, flags ...string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), temp: shortTemp(t)}
	r.file = filepath.Join(r.dir, "lab.yaml")
	args := append([]string{"lab", "up", "--boards", strconv.Itoa(boards), "-o", "json", "--write-lab", r.file}, flags...)
	r.up = prepare(t, r.dir, r.temp, args...)
	r.up.cmd.Stderr = r.up.err
	out, err := r.up.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.up.begin()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("lab up: %v\n%s", err, r.up.err)
	}
	if err := json.Unmarshal(line, &r.boards); err != nil {
		t.Fatalf("lab up said %q: %v", line, err)
	}
	return r
}

// run starts a run on all boards of the lab.
func (r *rig) run(flags ...string) *process {
	r.t.Helper()
	r.before = r.newest()
	args := append([]string{"run", "--lab", r.file, "--boards", strconv.Itoa(len(r.boards))}, flags...)
	return start(r.t, r.dir, r.temp, args...)
}

// verb carries one verb out to its end.
func (r *rig) verb(status int, args ...string) *process {
	r.t.Helper()
	p := start(r.t, r.dir, r.temp, append(args, "--lab", r.file)...)
	if err := p.in.Close(); err != nil {
		r.t.Fatal(err)
	}
	p.wants(status)
	return p
}

// runFolder is the folder of the run that was begun last, empty before it is
// there.
func (r *rig) runFolder() string {
	if folder := r.newest(); folder != r.before {
		return folder
	}
	return ""
}

func (r *rig) newest() string {
	found, err := filepath.Glob(filepath.Join(r.dir, "runs", "2*"))
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

// journal is the raw journal of a board in the newest run.
func (r *rig) journal(board string) string {
	return filepath.Join(r.runFolder(), "boards", board, "journal")
}

// recorded counts how often a text is in the raw journal by now. It reads only
// what came since it was last asked.
func (r *rig) recorded(board, text string) int {
	segments, err := filepath.Glob(filepath.Join(r.journal(board), "*.journal"))
	if err != nil {
		return 0
	}
	n := 0
	for _, path := range segments {
		if r.counted == nil {
			r.counted = make(map[string]*tally)
		}
		c := r.counted[path+" "+text]
		if c == nil {
			c = &tally{}
			r.counted[path+" "+text] = c
		}
		c.read(path, text)
		n += c.n
	}
	return n
}

// tally counts a text in a file that grows.
type tally struct {
	at   int64
	tail string
	n    int
}

func (c *tally) read(path, text string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	more, err := io.ReadAll(io.NewSectionReader(f, c.at, 1<<30))
	if err != nil || len(more) == 0 {
		return
	}
	c.at += int64(len(more))
	all := c.tail + string(more)
	c.n += strings.Count(all, text)
	c.tail = all[max(0, len(all)-len(text)+1):]
}

// report reads the newest run's report strictly.
func (r *rig) report() *reports.Run {
	r.t.Helper()
	run, err := reports.LoadRun(r.runFolder())
	if err != nil {
		r.t.Fatal(err)
	}
	return run
}

// stats asks a module about itself.
func (r *rig) stats(board string) virtlab.Stats {
	r.t.Helper()
	var stats virtlab.Stats
	if err := json.Unmarshal([]byte(r.control(board, "stats")), &stats); err != nil {
		r.t.Fatal(err)
	}
	return stats
}

// control sends a line to a module's control socket and gives what is after ok.
func (r *rig) control(board, line string) string {
	r.t.Helper()
	for _, b := range r.boards {
		if b.ID != board {
			continue
		}
		conn, err := net.Dial("unix", b.Control)
		if err != nil {
			r.t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintln(conn, line); err != nil {
			r.t.Fatal(err)
		}
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(answer, "ok") {
			r.t.Fatalf("board %s: %s: %q, %v", board, line, answer, err)
		}
		return strings.TrimPrefix(strings.TrimSpace(answer), "ok")
	}
	r.t.Fatalf("no board %s", board)
	return ""
}

// parked wants a board's lines to be as a free board's are: supplied, reset
// let go, and, as a pulse of reset shows, BOOT0 low. The firmware may be half
// written.
func (r *rig) parked(board string) {
	r.t.Helper()
	if s := r.stats(board).State; s == virtlab.StateOff || s == virtlab.StateReset {
		r.t.Errorf("board %s is left in state %s", board, s)
	}
	r.control(board, "line reset low")
	r.control(board, "line reset float")
	if s := r.stats(board).State; s == virtlab.StateROM {
		r.t.Errorf("board %s: BOOT0 was left high", board)
	}
}

// workers gives the workers of a run by board. A worker's temporary folder is
// named after its board.
func workers(owner int) map[string]int {
	found := make(map[string]int)
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", owner))
	if err != nil {
		return nil
	}
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for _, child := range strings.Fields(string(children)) {
			env, err := os.ReadFile("/proc/" + child + "/environ")
			pid, convErr := strconv.Atoi(child)
			if err != nil || convErr != nil {
				continue
			}
			for _, v := range strings.Split(string(env), "\x00") {
				if strings.HasPrefix(v, "TMPDIR=") {
					if _, board, ok := strings.Cut(filepath.Base(v), "worker-"); ok {
						found[board] = pid
					}
				}
			}
		}
	}
	return found
}
