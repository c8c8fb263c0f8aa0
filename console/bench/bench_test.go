package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hil-runner/console/consoletest"
	"hil-runner/recorder"
)

// roleEnv makes the test binary play a part of a measurement instead, so that
// its CPU time is its own process's.
const roleEnv = "HIL_BENCH_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := play(role, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func wanted(t *testing.T) {
	t.Helper()
	if os.Getenv("HIL_BENCH") == "" {
		t.Skip("a measurement; run with HIL_BENCH=1")
	}
}

// runs is how often each side of a comparison is measured.
func runs(t *testing.T, most int) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("HIL_BENCH"))
	if err != nil || n < 2 {
		return most
	}
	return n
}

// series is one column of a table.
type series struct {
	name   string
	unit   string
	values []float64
}

func (s *series) add(v float64) { s.values = append(s.values, v) }

func (s *series) at(q float64) float64 {
	v := slices.Sorted(slices.Values(s.values))
	return v[int(q*float64(len(v)-1)+0.5)]
}

func (s *series) median() float64 { return s.at(0.5) }

func (s *series) String() string {
	return fmt.Sprintf("%-42s n=%d  min %.3f  median %.3f  max %.3f %s", s.name, len(s.values), s.at(0), s.median(), s.at(1), s.unit)
}

func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

// pairs gives the ratio of values that were measured one after the other.
func pairs(name string, a, b *series) *series {
	out := &series{name: name}
	for i := range min(len(a.values), len(b.values)) {
		out.add(a.values[i] / b.values[i])
	}
	return out
}

// noise makes n bytes of lines as a talkative module prints them, 85 bytes
// each.
func noise(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%010d wlan: rx beacon bssid 02:11:22:33:44:55 rssi -%02d ch %02d seq %05d ......\r\n", i, i%90, i%13, i%65536)
	}
	return b.Bytes()[:n]
}

// child is a process that captures, with the lines that it prints.
type child struct {
	t   *testing.T
	cmd *exec.Cmd
	out io.ReadCloser
	in  io.WriteCloser
}

// role starts this binary in a role.
func role(t *testing.T, name string, args ...string) *child {
	t.Helper()
	c := exec.Command("/proc/self/exe", args...)
	c.Env = append(os.Environ(), roleEnv+"="+name)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ch := &child{t: t, cmd: c, out: out, in: in}
	t.Cleanup(func() {
		if c.ProcessState == nil {
			c.Process.Kill()
			c.Wait()
		}
	})
	return ch
}

// says waits for a line of the child and returns what follows want.
func (c *child) says(want string) string {
	c.t.Helper()
	var line []byte
	for one := make([]byte, 1); ; {
		if _, err := c.out.Read(one); err != nil {
			c.t.Fatalf("waiting for %q: %v", want, err)
		}
		if one[0] == '\n' {
			break
		}
		line = append(line, one[0])
	}
	rest, ok := strings.CutPrefix(string(line), want)
	if !ok {
		c.t.Fatalf("child says %q, want %q", line, want)
	}
	return strings.TrimSpace(rest)
}

// cpu ends the child and returns its CPU seconds.
func (c *child) cpu() float64 {
	c.t.Helper()
	c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatal(err)
	}
	return seconds(c.cmd.ProcessState)
}

func seconds(s *os.ProcessState) float64 { return (s.UserTime() + s.SystemTime()).Seconds() }

// feed writes data to the PTY as fast as the other side takes it.
func feed(t *testing.T, p *consoletest.PTY, data []byte) {
	t.Helper()
	p.SetWriteDeadline(time.Now().Add(time.Minute))
	if _, err := p.Write(data); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition of another process.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// rxBytes counts what a journal has of a board, after a check of its chain.
func rxBytes(t *testing.T, dir string) int {
	t.Helper()
	if rep, err := recorder.Verify(dir); err != nil || !rep.Closed {
		t.Fatalf("journal: %+v, %v", rep, err)
	}
	r, err := recorder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind == recorder.KindRx {
			n += len(rec.Data)
		}
	}
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return info.Size()
}

// catCPU captures data with cat and returns its CPU seconds.
func catCPU(t *testing.T, data []byte) float64 {
	t.Helper()
	pty := consoletest.NewPTY(t)
	path := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cat := exec.Command("cat", pty.Path)
	cat.Stdout = file
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	feed(t, pty, data)
	eventually(t, "cat", func() bool { return sizeOf(path) >= int64(len(data)) })
	pty.Unplug()
	var exit *exec.ExitError
	if err := cat.Wait(); err != nil && !errors.As(err, &exit) { // EIO of the closed PTY
		t.Fatal(err)
	}
	return seconds(cat.ProcessState)
}

func captureCPU(t *testing.T, data []byte, expect string) float64 {
	t.Helper()
	pty := consoletest.NewPTY(t)
	c := role(t, "capture", t.TempDir(), strconv.Itoa(len(data)), expect, pty.Path)
	c.says("ready")
	feed(t, pty, data)
	c.says("done")
	return c.cpu()
}

// C1: capture CPU per 100 MiB, beside cat.
func TestC1CaptureAgainstCat(t *testing.T) {
	wanted(t)
	data := noise(100 << 20)
	cat := &series{name: "C1 cat tty > file", unit: "CPU s per 100 MiB"}
	ours := &series{name: "C1 console + journal (CRC, SHA-256, fsync)", unit: "CPU s per 100 MiB"}
	for range runs(t, 5) {
		cat.add(catCPU(t, data))
		ours.add(captureCPU(t, data, ""))
	}
	t.Logf("load %s\n%v\n%v\n%v\nratio of medians %.2f (goal at most 1.20)", load(), cat, ours, pairs("C1 ratio, pairwise", ours, cat), ours.median()/cat.median())
}
