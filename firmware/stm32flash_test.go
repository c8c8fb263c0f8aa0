package firmware_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"hil-runner/firmware"
)

// ptyROM serves a fakeROM on a PTY, unpaced, and counts the bytes.
type ptyROM struct {
	path           string
	mu             sync.Mutex
	sent, received int
}

// reset restarts the ROM and gives how many bytes there were since the last
// reset. No program may be using the PTY.
func (p *ptyROM) reset(rom *fakeROM) (sent, received int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent, received = p.sent, p.received
	p.sent, p.received = 0, 0
	rom.reset()
	return sent, received
}

func servePTY(t *testing.T, rom *fakeROM) *ptyROM {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var unlockErr, numberErr error
	if err := raw.Control(func(fd uintptr) {
		unlockErr = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		n, numberErr = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
	}); err != nil || unlockErr != nil || numberErr != nil {
		t.Fatal(err, unlockErr, numberErr)
	}
	p := &ptyROM{path: fmt.Sprintf("/dev/pts/%d", n)}
	// Held open, so that the master sees no hang-up between two programs.
	slave, err := os.OpenFile(p.path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	tio, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	tio.Iflag, tio.Oflag, tio.Lflag = 0, 0, 0
	if err := unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, tio); err != nil {
		t.Fatal(err)
	}
	var server sync.WaitGroup
	server.Go(func() { p.serve(master, rom) })
	t.Cleanup(func() { master.Close(); server.Wait(); slave.Close() })
	return p
}

func (p *ptyROM) serve(master *os.File, rom *fakeROM) {
	buf := make([]byte, 512)
	for {
		n, err := master.Read(buf)
		if err != nil {
			return
		}
		var out []byte
		p.mu.Lock()
		for _, b := range buf[:n] {
			reply, _ := rom.feed(b)
			out = append(out, reply...)
		}
		p.sent += n
		p.received += len(out)
		p.mu.Unlock()
		if _, err := master.Write(out); err != nil {
			return
		}
	}
}

func stm32flash(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("stm32flash")
	if err != nil {
		if os.Getenv("HIL_REQUIRE_TOOLS") == "1" {
			t.Fatal(err)
		}
		t.Skip("stm32flash is not installed: ", err)
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Fatalf("stm32flash %v: %v\n%s", args, err, out)
	}
}

// TestBesideStm32flash lets stm32flash read back what was written here, write
// an image that is then accepted here without a byte being erased, and shows
// that peerCost, on which TestCost stands, is what it really sends.
func TestBesideStm32flash(t *testing.T) {
	dir := t.TempDir()
	rom := newROM()
	ours := image(t, noise(1, 40961))
	flash(t, rom, ours, firmware.Options{})

	rom.reset()
	pty := servePTY(t, rom)
	back := filepath.Join(dir, "back.bin")
	stm32flash(t, "-m", "8n1", "-b", "115200", "-r", back, "-S", fmt.Sprintf("0x08002800:%d", len(ours.Data)), pty.path)
	got, err := os.ReadFile(back)
	if err != nil || !bytes.Equal(got, ours.Data) {
		t.Errorf("stm32flash read back something else: %d bytes, %v", len(got), err)
	}

	pty.reset(rom)
	theirs := image(t, noise(2, 64<<10))
	file := filepath.Join(dir, "fw.bin")
	write(t, file, theirs.Data)
	stm32flash(t, "-m", "8n1", "-b", "115200", "-w", file, "-v", "-S", "0x08002800", pty.path)
	sent, received := pty.reset(rom)
	wire, _ := peerCost(theirs.Data)
	t.Logf("stm32flash -w -v of %d bytes: %d bytes out, %d in", len(theirs.Data), sent, received)
	if sent+received != wire {
		t.Errorf("stm32flash has %d bytes on the wire, the model says %d", sent+received, wire)
	}

	result := flash(t, rom, theirs, firmware.Options{})
	if result.PagesErased != 0 || result.Strategy != firmware.Compare {
		t.Errorf("what stm32flash wrote was not accepted: %+v", result)
	}
	rom.reset()
	copy(rom.flash[appOffset:], bytes.Repeat([]byte{0xFF}, 64<<10))
	if result := flash(t, rom, theirs, firmware.Options{}); result.WireBytes > sent+received {
		t.Errorf("%d bytes on the wire, stm32flash had %d", result.WireBytes, sent+received)
	}
}
