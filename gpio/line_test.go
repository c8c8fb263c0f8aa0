package gpio_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio/gpioreg"

	"hil-runner/gpio"
	"hil-runner/gpio/gpiotest"
)

// register makes a fake pin known to gpioreg until the test ends.
func register(t *testing.T, name string) *gpiotest.Pin {
	t.Helper()
	pin := &gpiotest.Pin{PinName: name}
	if err := gpioreg.Register(pin); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gpioreg.Unregister(name); err != nil {
			t.Error(err)
		}
	})
	return pin
}

func TestPinLine(t *testing.T) {
	gpiotest.TestLine(t, func(t *testing.T, spec gpio.LineSpec) (gpio.Line, gpiotest.Probe) {
		spec.Address = "virt3-" + string(spec.Role)
		pin := register(t, spec.Address)
		line, err := gpio.Open(spec)
		if err != nil {
			t.Fatal(err)
		}
		return line, pin.State
	})
}

func TestSocketLine(t *testing.T) {
	gpiotest.TestLine(t, func(t *testing.T, spec gpio.LineSpec) (gpio.Line, gpiotest.Probe) {
		server := gpiotest.NewServer(t)
		spec.Address = fmt.Sprintf("sock:%s#%s", server.Path, spec.Role)
		line, err := gpio.Open(spec)
		if err != nil {
			t.Fatal(err)
		}
		return line, func() gpiotest.State { return server.State(string(spec.Role)) }
	})
}

// TestResetIsOpenDrain looks at all that ever happened to a reset pin, with a
// pin that drives low before it drives high and that reading spoils.
func TestResetIsOpenDrain(t *testing.T) {
	for _, noBias := range []bool{false, true} {
		pin := &gpiotest.Pin{PinName: "reset", NoBias: noBias}
		line, err := gpio.Pin(gpio.LineSpec{Role: gpio.Reset, Address: "reset"}, pin)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := errors.Join(line.Assert(t.Context()), line.Release(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		_ = line.String()
		pin.CheckNeverHigh(t)
		want := []gpiotest.State{"float", "low", "float", "low", "float", "low", "float"}
		if got := pin.History(); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// TestOpeningUndoesAnAssertedReset is what a new owner does for a dead one.
func TestOpeningUndoesAnAssertedReset(t *testing.T) {
	pin := register(t, "stale")
	if err := pin.Out(false); err != nil {
		t.Fatal(err)
	}
	if _, err := gpio.Open(gpio.LineSpec{Role: gpio.Reset, Address: "stale"}); err != nil {
		t.Fatal(err)
	}
	if got := pin.State(); got != gpiotest.Float {
		t.Errorf("the line is %s", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	register(t, "virt0-reset")
	register(t, "virt1-reset")
	register(t, "virt0-boot0")
	for _, c := range []struct {
		spec gpio.LineSpec
		want error
		text string
	}{
		{gpio.LineSpec{Role: "rest", Address: "virt0-reset"}, gpio.ErrRole, `"rest"`},
		{gpio.LineSpec{Address: "virt0-reset"}, gpio.ErrRole, `""`},
		{gpio.LineSpec{Role: gpio.Reset}, gpio.ErrAddress, "empty"},
		{gpio.LineSpec{Role: gpio.Reset, Address: "virt0-rest"}, gpio.ErrUnknownLine, `did you mean "virt0-reset", "virt1-reset"`},
		{gpio.LineSpec{Role: gpio.Reset, Address: "pinctrl-nowhere/17"}, gpio.ErrUnknownLine, `"pinctrl-nowhere"`},
		{gpio.LineSpec{Role: gpio.Reset, Address: "chip/x"}, gpio.ErrUnknownLine, `"chip/x"`},
		{gpio.LineSpec{Role: gpio.Reset, Address: strings.Repeat("x", 5000)}, gpio.ErrUnknownLine, "known"},
		{gpio.LineSpec{Role: gpio.Reset, Address: "sock:/run/x"}, gpio.ErrAddress, "PATH#line"},
		{gpio.LineSpec{Role: gpio.Reset, Address: "sock:#reset"}, gpio.ErrAddress, "PATH#line"},
		{gpio.LineSpec{Role: gpio.Reset, Address: "sock:/run/x#"}, gpio.ErrAddress, "PATH#line"},
		{gpio.LineSpec{Role: gpio.Reset, Address: "sock:/run/x#rest"}, gpio.ErrUnknownLine, `did you mean "reset"`},
		{gpio.LineSpec{Role: gpio.Reset, Address: "sock:/" + strings.Repeat("x", 120) + "#reset"}, gpio.ErrAddress, "107"},
	} {
		_, err := gpio.Open(c.spec)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+.80v: got %v, want %v with %q", c.spec, err, c.want, c.text)
		}
	}
	if _, err := gpio.Pin(gpio.LineSpec{Role: gpio.Reset}, nil); !errors.Is(err, gpio.ErrUnknownLine) {
		t.Errorf("got %v", err)
	}
}

func TestPinErrors(t *testing.T) {
	pin := register(t, "busy")
	line, err := gpio.Open(gpio.LineSpec{Role: gpio.Boot0, Address: "busy"})
	if err != nil {
		t.Fatal(err)
	}
	for cause, hint := range map[error]string{syscall.EBUSY: "another process", syscall.ENODEV: "removed", syscall.EACCES: "group gpio"} {
		pin.Fail(os.NewSyscallError("line_request", cause))
		err := line.Assert(t.Context())
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), hint) || !strings.Contains(err.Error(), "boot0 line busy") {
			t.Errorf("got %v, want %v with %q", err, cause, hint)
		}
		if _, err := gpio.Open(gpio.LineSpec{Role: gpio.Reset, Address: "busy"}); !errors.Is(err, cause) {
			t.Errorf("opening a reset that cannot be made an input: %v", err)
		}
	}
}

func TestSocketErrors(t *testing.T) {
	server := gpiotest.NewServer(t)
	line, err := gpio.Open(gpio.LineSpec{Role: gpio.Reset, Address: "sock:" + server.Path + "#reset"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		answer string
		want   error
		text   string
	}{
		{"ok", nil, ""},
		{"ok low", nil, ""},
		{"okay", gpio.ErrRefused, "okay"},
		{"error: the module is gone", gpio.ErrRefused, "the module is gone"},
		{"error: \x1b]0;title\x07", gpio.ErrRefused, `\x1b]0;title\a`},
		{"", io.ErrUnexpectedEOF, "closed"},
		{strings.Repeat("x", 5000), nil, "4096"},
	} {
		server.Answer(func(string) (string, bool) { return c.answer, true })
		err := line.Assert(t.Context())
		if c.want == nil && c.text == "" {
			if err != nil {
				t.Errorf("answer %.20q: %v", c.answer, err)
			}
			continue
		}
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("answer %.20q: got %v, want %v with %q", c.answer, err, c.want, c.text)
		}
	}
	none, err := gpio.Open(gpio.LineSpec{Role: gpio.Reset, Address: "sock:" + server.Path + "x#reset"})
	if err != nil {
		t.Fatal(err)
	}
	if err := none.Assert(t.Context()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "up?") {
		t.Errorf("got %v", err)
	}
}

// TestSocketComesBack restarts the lab behind a line.
func TestSocketComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	line, err := gpio.Open(gpio.LineSpec{Role: gpio.Power, Address: "sock:" + path + "#power"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan string, 1)
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				answered <- err.Error()
				return
			}
			defer conn.Close()
			buf := make([]byte, 64)
			n, _ := conn.Read(buf)
			io.WriteString(conn, "ok\n")
			answered <- string(buf[:n])
		}()
		if err := line.Assert(t.Context()); err != nil {
			t.Error(err)
		}
		if got := <-answered; got != "line power high\n" {
			t.Errorf("got %q", got)
		}
		listener.Close()
		if err := line.Release(t.Context()); err == nil {
			t.Error("nobody listened, and it went well")
		}
	}
}

func TestSocketThatIsSilent(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "control"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	line, err := gpio.Open(gpio.LineSpec{Role: gpio.Reset, Address: "sock:" + listener.Addr().String() + "#reset"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := line.Assert(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestHost(t *testing.T) {
	var before, after syscall.Stat_t
	if err := syscall.Fstat(0, &before); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := gpio.Host(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Fstat(0, &after); err != nil || after.Ino != before.Ino || after.Dev != before.Dev {
		t.Errorf("standard input changed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := gpio.Host(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestRecordingLine(t *testing.T) {
	line := &gpiotest.Line{Name: "reset"}
	var seen []bool
	line.OnChange(func(asserted bool) { seen = append(seen, asserted) })
	if err := errors.Join(line.Assert(t.Context()), line.Release(t.Context()), line.Assert(t.Context())); err != nil {
		t.Fatal(err)
	}
	line.Fail(io.ErrClosedPipe)
	if err := line.Release(t.Context()); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	if got := line.Calls(); !slices.Equal(got, []string{"assert", "release", "assert"}) || !line.Asserted() || !slices.Equal(seen, []bool{true, false, true}) {
		t.Errorf("got %v, %v", got, seen)
	}
}

func FuzzOpen(f *testing.F) {
	for _, address := range []string{"", "sock:", "sock:/run/x#reset", "/0", "chip/-1", "chip/99999999999999999999", "a/b/c"} {
		f.Add("reset", address)
	}
	f.Fuzz(func(t *testing.T, role, address string) {
		line, err := gpio.Open(gpio.LineSpec{Role: gpio.Role(role), Address: address})
		if (line == nil) == (err == nil) {
			t.Errorf("got %v, %v", line, err)
		}
	})
}
