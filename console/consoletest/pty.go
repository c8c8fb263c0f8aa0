// Package consoletest gives tests a serial port without hardware: a PTY whose
// other end the test holds.
package consoletest

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// PTY is a pair of terminals. The test reads and writes the File, which has
// working deadlines; the code under test opens Path. While nobody has Path
// open, reads of the File give EIO.
type PTY struct {
	*os.File
	Path string
}

// NewPTY makes a raw PTY that is closed with the test.
func NewPTY(tb testing.TB) *PTY {
	tb.Helper()
	p, err := OpenPTY()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	return p
}

// OpenPTY makes a raw PTY. A new PTY is cooked: it echoes and rewrites line
// ends until somebody sets it, so it is set here, before anybody opens it.
func OpenPTY() (*PTY, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	f := os.NewFile(uintptr(fd), "/dev/ptmx")
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = setRaw(fd)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("set up PTY: %w", err)
	}
	return &PTY{File: f, Path: fmt.Sprintf("/dev/pts/%d", n)}, nil
}

func setRaw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// Unplug closes our end, which the other sees as a pulled cable.
func (p *PTY) Unplug() error { return p.Close() }

// Speed is the baud rate that the other end has set, as the kernel shows it.
func (p *PTY) Speed() (int, error) {
	raw, err := p.SyscallConn()
	if err != nil {
		return 0, err
	}
	var t *unix.Termios
	var ioctlErr error
	if err := raw.Control(func(fd uintptr) { t, ioctlErr = unix.IoctlGetTermios(int(fd), unix.TCGETS2) }); err != nil {
		return 0, err
	}
	if ioctlErr != nil {
		return 0, ioctlErr
	}
	return int(t.Ospeed), nil
}

// Carried counts the bytes that the other end could read at this moment.
func (p *PTY) Carried(tb testing.TB) int {
	tb.Helper()
	fd, err := unix.Open(p.Path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer unix.Close(fd)
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}
