package virtlab

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ptyDoor is a UART as a pseudo terminal. It keeps the host's side open as
// well, so that hosts may come and go without the module noticing.
type ptyDoor struct {
	master *os.File
	fd     int // of master
	slave  int
	name   string
	alarm  *alarm // nil when waits need not be exact

	mu      sync.Mutex
	kicked  bool
	kicking chan struct{}

	visits atomic.Pointer[visits] // nil until somebody watches
	watch  int32                  // of visits, as is old
	old    bool                   // nothing was printed since the last open
}

// openPTY makes a pseudo terminal in raw mode at the given speed. exact asks
// for waits that end to the microsecond instead of the millisecond.
func openPTY(baud int, exact bool) (*ptyDoor, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/ptmx: %w (is devpts mounted?)", err)
	}
	d := &ptyDoor{fd: fd, slave: -1, kicking: make(chan struct{}, 1)}
	// The poller takes the descriptor because it does not block: deadlines work.
	d.master = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := d.prepare(baud); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if exact {
		if d.alarm, err = newAlarm(d.kick); err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	return d, nil
}

func (d *ptyDoor) prepare(baud int) error {
	if err := unix.IoctlSetPointerInt(d.fd, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlock pseudo terminal: %w", err)
	}
	n, err := unix.IoctlGetInt(d.fd, unix.TIOCGPTN)
	if err != nil {
		return fmt.Errorf("number of pseudo terminal: %w", err)
	}
	d.name = "/dev/pts/" + strconv.Itoa(n)
	if d.slave, err = unix.Open(d.name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open %s: %w", d.name, err)
	}
	t, err := unix.IoctlGetTermios(d.fd, unix.TCGETS2)
	if err != nil {
		return fmt.Errorf("read settings of %s: %w", d.name, err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.BOTHER
	t.Ispeed, t.Ospeed = uint32(baud), uint32(baud)
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(d.fd, unix.TCSETS2, t); err != nil {
		return fmt.Errorf("set %s raw: %w", d.name, err)
	}
	return nil
}

// baud is the speed that the host has set, custom ones included.
func (d *ptyDoor) baud() int {
	t, err := unix.IoctlGetTermios(d.fd, unix.TCGETS2)
	if err != nil {
		return 0
	}
	return int(t.Ospeed)
}

func (d *ptyDoor) read(p []byte, until time.Time) (int, error) {
	if d.alarm != nil {
		d.alarm.set(until)
		until = time.Time{}
	}
	d.mu.Lock()
	if d.kicked {
		d.rest()
		d.mu.Unlock()
		return 0, nil
	}
	if len(p) > 0 {
		_ = d.master.SetReadDeadline(until)
	}
	d.mu.Unlock()
	if len(p) == 0 {
		d.wait(until)
		return 0, nil
	}
	n, err := d.master.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		d.mu.Lock()
		d.rest()
		d.mu.Unlock()
		err = nil
	}
	return n, err
}

// rest takes a kick back; mu is held.
func (d *ptyDoor) rest() {
	d.kicked = false
	select {
	case <-d.kicking:
	default:
	}
}

// wait is read without reading.
func (d *ptyDoor) wait(until time.Time) {
	await(d.kicking, until)
	d.mu.Lock()
	d.kicked = false
	d.mu.Unlock()
}

func (d *ptyDoor) kick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kicked = true
	select {
	case d.kicking <- struct{}{}:
	default:
	}
	_ = d.master.SetReadDeadline(time.Unix(1, 0))
}

// write hands over what the terminal takes now.
func (d *ptyDoor) write(p []byte) (int, error) {
	d.visits.Load().printing(d)
	sent := 0
	for sent < len(p) {
		n, err := unix.Write(d.fd, p[sent:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return sent, nil
		case err != nil:
			return sent, fmt.Errorf("write to %s: %w", d.name, err)
		case n <= 0:
			return sent, nil
		}
		sent += n
	}
	return sent, nil
}

// forget is a reset of the module: see visits.
func (d *ptyDoor) forget() { d.visits.Load().reset(d) }

// close takes the terminal away, which a host sees as an unplugged adapter.
// No other method runs any more.
func (d *ptyDoor) close() error {
	if d.alarm != nil {
		d.alarm.close()
	}
	if d.slave >= 0 {
		_ = unix.Close(d.slave)
	}
	return d.master.Close()
}
