package bench

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hil-runner/console/consoletest"
)

const (
	consoles = 16
	rate     = 92_160 // bytes a second: 921600 baud, 8N1
	stretch  = 8 * time.Second
)

func paced(t *testing.T, ptys []*consoletest.PTY, length time.Duration) int {
	t.Helper()
	return pacedAt(t, ptys, rate, length)
}

// pacedAt writes to all PTYs at a rate, in pieces of a millisecond, and returns
// how many bytes each got.
func pacedAt(t *testing.T, ptys []*consoletest.PTY, rate int, length time.Duration) int {
	t.Helper()
	line := noise(1 << 20)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	start := time.Now()
	sent := 0
	for now := start; now.Sub(start) < length; now = time.Now() {
		<-tick.C
		due := int(now.Sub(start).Seconds() * float64(rate))
		from := sent % (len(line) - 64<<10)
		n := min(due-sent, 64<<10)
		for _, p := range ptys {
			if _, err := p.Write(line[from : from+n]); err != nil {
				t.Fatal(err)
			}
		}
		sent += n
	}
	return sent
}

// processCPU sums the CPU seconds of a process and its children, as the kernel
// counts them in ticks of 10 ms (proc_pid_stat(5)).
func processCPU(t *testing.T, pid int) float64 {
	t.Helper()
	total := 0.0
	for _, p := range append(children(pid), pid) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		for _, f := range fields[11:13] { // utime, stime
			n, err := strconv.ParseFloat(f, 64)
			if err != nil {
				t.Fatal(err)
			}
			total += n / 100
		}
	}
	return total
}

func children(pid int) (all []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range tasks {
		b, _ := os.ReadFile(path)
		for _, f := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				all = append(append(all, n), children(n)...)
			}
		}
	}
	return all
}

func openPTYs(t *testing.T, n int) (ptys []*consoletest.PTY, paths []string) {
	t.Helper()
	for range n {
		p := consoletest.NewPTY(t)
		p.SetDeadline(time.Now().Add(time.Minute))
		ptys = append(ptys, p)
		paths = append(paths, p.Path)
	}
	return ptys, paths
}

// ourConsoles captures the consoles for the stretch and returns CPU seconds.
func ourConsoles(t *testing.T) float64 {
	t.Helper()
	ptys, paths := openPTYs(t, consoles)
	dir := t.TempDir()
	c := role(t, "capture", append([]string{dir, "0", ""}, paths...)...)
	c.says("ready")
	before := processCPU(t, c.cmd.Process.Pid)
	sent := paced(t, ptys, stretch)
	used := processCPU(t, c.cmd.Process.Pid) - before
	c.cpu()
	for i := range consoles {
		if got := rxBytes(t, filepath.Join(dir, strconv.Itoa(i))); got != sent {
			t.Errorf("console %d: %d of %d bytes recorded", i, got, sent)
		}
	}
	return used
}

// conserverConsoles does the same with conserver, time stamps on each line.
func conserverConsoles(t *testing.T, program string) float64 {
	t.Helper()
	ptys, paths := openPTYs(t, consoles)
	dir := t.TempDir()
	var conf strings.Builder
	fmt.Fprintf(&conf, "config * { }\naccess * { trusted 127.0.0.1; }\ndefault all { rw *; logfile %s/&; timestamp \"1lab\"; master localhost; type device; baud 115200; parity none; }\n", dir)
	for i, path := range paths {
		fmt.Fprintf(&conf, "console c%d { include all; device %s; }\n", i, path)
	}
	file := filepath.Join(dir, "conserver.cf")
	if err := os.WriteFile(file, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(program, "-C", file, "-M", "127.0.0.1", "-p", port, "-L", out.Name())
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Process.Signal(os.Kill)
		for _, pid := range children(cmd.Process.Pid) {
			if p, err := os.FindProcess(pid); err == nil {
				p.Kill()
			}
		}
		cmd.Wait()
	}()
	// It has a port open when what is written arrives in the log.
	for i, p := range ptys {
		path := filepath.Join(dir, fmt.Sprintf("c%d", i))
		eventually(t, "conserver to open a console: "+out.Name(), func() bool {
			p.Write([]byte("hello\r\n"))
			b, _ := os.ReadFile(path)
			return strings.Contains(string(b), "hello")
		})
	}
	before := processCPU(t, cmd.Process.Pid)
	sent := paced(t, ptys, stretch)
	used := processCPU(t, cmd.Process.Pid) - before
	eventually(t, "conserver to write all", func() bool { return sizeOf(filepath.Join(dir, "c0")) > int64(sent) })
	return used
}

// C2: consoles per core at 92 kB/s, beside conserver.
func TestC2ConsolesPerCore(t *testing.T) {
	wanted(t)
	program, err := exec.LookPath("conserver")
	if err != nil {
		program = "/usr/sbin/conserver"
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("HIL_REQUIRE_TOOLS") == "1" {
			t.Fatal("conserver is not installed (Debian: conserver-server)")
		}
		t.Skip("conserver is not installed (Debian: conserver-server)")
	}
	peer := &series{name: "C2 conserver, timestamp 1lab", unit: "consoles per core"}
	ours := &series{name: "C2 console + journal", unit: "consoles per core"}
	for range runs(t, 3) {
		peer.add(consoles * stretch.Seconds() / conserverConsoles(t, program))
		ours.add(consoles * stretch.Seconds() / ourConsoles(t))
	}
	t.Logf("load %s\n%v\n%v\n%v\nratio of medians %.2f (goal at least 1.50)", load(), peer, ours, pairs("C2 ratio, pairwise", ours, peer), ours.median()/peer.median())
}
