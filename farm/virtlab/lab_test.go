package virtlab_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"

	"hil-runner/farm/virtlab"
)

func openPort(t testing.TB, path string, baud int) serial.Port {
	t.Helper()
	p, err := serial.Open(path, &serial.Mode{BaudRate: baud})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if err := p.SetReadTimeout(200 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	return p
}

// expect reads from a port until a text or the limit.
func expect(t testing.TB, p serial.Port, text string, limit time.Duration) (string, bool) {
	t.Helper()
	end := time.Now().Add(limit)
	var got []byte
	buf := make([]byte, 4096)
	for time.Now().Before(end) && !bytes.Contains(got, []byte(text)) {
		n, err := p.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	return string(got), bytes.Contains(got, []byte(text))
}

func TestPTY(t *testing.T) {
	lab := newLab(t, virtlab.Config{Boards: 2, Prefix: "pty"})
	b := lab.Board("pty2")
	p := openPort(t, b.UARTPath, 115200)
	if got, ok := expect(t, p, "+WIND:32:", 5*time.Second); !ok {
		t.Fatalf("no start: %q", got)
	}
	// Hosts come and go, flush and change speeds: the module does not mind.
	for _, baud := range []int{9600, 921600, 250000, 115200} {
		other := openPort(t, b.UARTPath, baud)
		if err := errors.Join(other.ResetInputBuffer(), other.ResetOutputBuffer(), other.Close()); err != nil {
			t.Fatal(err)
		}
	}
	send(t, p, "AT\r")
	if got, ok := expect(t, p, "\r\nOK\r\n", 5*time.Second); !ok {
		t.Fatalf("AT: %q", got)
	}
	if err := p.SetMode(&serial.Mode{BaudRate: 38400}); err != nil {
		t.Fatal(err)
	}
	send(t, p, "AT\r")
	if got, ok := expect(t, p, "OK", 300*time.Millisecond); ok {
		t.Errorf("at the wrong speed: %q", got)
	}
	if s := stats(t, b); s.HostBaud != 38400 || s.Baud != 115200 || s.Garbled == 0 {
		t.Errorf("host at %d, module at %d, %d bytes garbled", s.HostBaud, s.Baud, s.Garbled)
	}
}

// A host that asked for exclusive use and was killed locks nobody out.
func TestExclusiveUseEndsWithItsUser(t *testing.T) {
	lab := newLab(t, virtlab.Config{Boards: 1, Prefix: "ex"})
	path := lab.Boards()[0].UARTPath
	locked := func(f *os.File) bool {
		t.Helper()
		n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGEXCL)
		if err != nil {
			t.Fatal(err)
		}
		return n != 0
	}
	watcher, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watcher.Close() }()
	user, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetInt(int(user.Fd()), unix.TIOCEXCL, 0); err != nil {
		t.Fatal(err)
	}
	if !locked(watcher) {
		t.Fatal("exclusive use has no effect")
	}
	_ = user.Close() // without TIOCNXCL, as a killed process does
	for end := time.Now().Add(5 * time.Second); locked(watcher); {
		if time.Now().After(end) {
			t.Fatal("the terminal stays locked")
		}
		runtime.Gosched()
	}
}

// What a module says when nobody has opened its terminal must neither block
// it nor grow without bound.
func TestPTYNobodyReads(t *testing.T) {
	lab := newLab(t, virtlab.Config{Boards: 1, Prefix: "mute"})
	b := lab.Boards()[0]
	for range 1000 {
		drive(t, b, virtlab.LineReset, virtlab.Low)
		drive(t, b, virtlab.LineReset, virtlab.Float)
	}
	if s := stats(t, b); s.State != virtlab.StateApp && s.State != virtlab.StateBoot {
		t.Errorf("module is %s", s.State)
	}
}

func TestPins(t *testing.T) {
	lab := newLab(t, virtlab.Config{Boards: 1, Prefix: "pin"})
	b := lab.Boards()[0]
	reset, boot0 := gpioreg.ByName("pin1-reset"), gpioreg.ByName("pin1-boot0")
	if reset == nil || boot0 == nil || gpioreg.ByName("pin1-gpio0") == nil || gpioreg.ByName("pin1-power") == nil {
		t.Fatal("not all pins are registered")
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(reset.In(gpio.PullUp, gpio.NoEdge))
	if reset.Read() != gpio.High || boot0.Read() != gpio.Low {
		t.Error("floating lines do not follow the module's resistors")
	}
	must(boot0.Out(gpio.High))
	must(reset.Out(gpio.Low))
	if s := stats(t, b); s.State != virtlab.StateReset || reset.Read() != gpio.Low {
		t.Errorf("with reset low the module is %s, the wire %s", s.State, reset.Read())
	}
	must(reset.In(gpio.PullNoChange, gpio.NoEdge))
	if s := stats(t, b); s.State != virtlab.StateROM {
		t.Errorf("with BOOT0 high the module is %s", s.State)
	}
	must(gpioreg.ByName("pin1-power").Out(gpio.Low))
	if s := stats(t, b); s.State != virtlab.StateOff {
		t.Errorf("without power the module is %s", s.State)
	}
	if err := reset.In(gpio.PullUp, gpio.BothEdges); err == nil {
		t.Error("edges are promised")
	}
}

func TestCloseTakesEverythingBack(t *testing.T) {
	dir := t.TempDir()
	lab, err := virtlab.New(virtlab.Config{Boards: 2, Prefix: "gone", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	b := lab.Boards()[0]
	port := openPort(t, b.UARTPath, 115200)
	if err := lab.Close(); err != nil {
		t.Fatal(err)
	}
	if err := lab.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if gpioreg.ByName("gone1-reset") != nil {
		t.Error("the pins are still registered")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
	// The host sees an unplugged adapter.
	buf := make([]byte, 4096)
	for range 100 {
		if _, err := port.Read(buf); err != nil {
			return
		}
	}
	t.Error("the host can still read")
}

func TestStalePathsAreReplacedAndOthersKept(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/pts/9999", filepath.Join(dir, "st1.uart")); err != nil {
		t.Fatal(err)
	}
	lab := newLab(t, virtlab.Config{Boards: 1, Prefix: "st", Dir: dir})
	openPort(t, lab.Boards()[0].UARTPath, 115200)

	if _, err := virtlab.New(virtlab.Config{Boards: 1, Prefix: "st", Dir: dir}); err == nil || !strings.Contains(err.Error(), "another lab") {
		t.Errorf("a second lab in the same directory: %v", err)
	}
	precious := filepath.Join(t.TempDir(), "pr1.uart")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := virtlab.New(virtlab.Config{Boards: 1, Prefix: "pr", Dir: filepath.Dir(precious)}); err == nil {
		t.Error("a file in the way is no problem")
	}
	if _, err := os.Stat(precious); errors.Is(err, fs.ErrNotExist) {
		t.Error("a file of somebody else was removed")
	}
	if _, err := virtlab.New(virtlab.Config{Boards: 1, Prefix: "long", Dir: filepath.Join(t.TempDir(), strings.Repeat("x", 100))}); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("a path too long for a socket: %v", err)
	}
}

// client speaks the control protocol.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func dial(t testing.TB, path string) *client {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, conn: conn, in: bufio.NewReader(conn)}
}

func (c *client) ask(request string) string {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.conn, request); err != nil {
		c.t.Fatal(err)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	answer, err := c.in.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSuffix(answer, "\n")
}

func TestControlSocket(t *testing.T) {
	lab := newLab(t, virtlab.Config{Boards: 1, Prefix: "ctl"})
	b := lab.Boards()[0]
	c := dial(t, b.ControlPath)
	for _, tt := range []struct{ request, want string }{
		{"addr", "ok 127.0.0.1"},
		{"line boot0 high", "ok"},
		{"line reset low", "ok"},
		{"state", "ok reset"},
		{"line reset float", "ok"},
		{"state", "ok rom"},
		{"line power low", "ok"},
		{"state", "ok off"},
		{"name api.amazon.com 127.0.0.1", "ok"},
		{"name api.amazon.com -", "ok"},
		{"name api.amazon.com nonsense", "error: "},
		{"line reset up", "error: "},
		{"line dtr low", "error: "},
		{"line reset", "error: "},
		{"fault hang command=1", "ok"},
		{"fault melt", "error: "},
		{"fault clear", "ok"},
		{"reboot", "error: "},
		{"", "error: "},
		{"addr please", "error: "},
	} {
		got := c.ask(tt.request)
		if got != tt.want && (!strings.HasSuffix(tt.want, ": ") || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("%q is answered %q, want %q", tt.request, got, tt.want)
		}
	}
	answer, ok := strings.CutPrefix(c.ask("stats"), "ok ")
	var s virtlab.Stats
	if err := json.Unmarshal([]byte(answer), &s); !ok || err != nil {
		t.Fatalf("stats: %q: %v", answer, err)
	}
	if s.Board != "ctl1" || s.State != virtlab.StateOff || s.Resets != 1 {
		t.Errorf("stats tell %+v", s)
	}
	// A second client at the same time, and one that talks nonsense at length.
	if got := dial(t, b.ControlPath).ask("addr"); got != "ok 127.0.0.1" {
		t.Errorf("second client: %q", got)
	}
	flood := dial(t, b.ControlPath)
	_, _ = flood.conn.Write(bytes.Repeat([]byte("x"), 10000))
	if got := c.ask("addr"); got != "ok 127.0.0.1" {
		t.Errorf("after a flood elsewhere: %q", got)
	}
}
