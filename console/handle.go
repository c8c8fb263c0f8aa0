package console

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// handle sets the mode of a port through go.bug.st/serial. It never reads or
// writes through it: there a write can block for ever and a closed handle
// reaches whichever file has its descriptor next.
type handle struct {
	path string

	mu   sync.Mutex
	port serial.Port // nil once closed
}

func openHandle(path string, m Mode) (*handle, error) {
	mode, err := m.serial()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	port, err := openCloseOnExec(path, mode)
	if err != nil {
		return nil, fmt.Errorf("open %s at %v: %w", path, m, unplugged(err))
	}
	return &handle{path: path, port: port}, nil
}

// openCloseOnExec opens the port and keeps its descriptors from child
// processes: the library opens them inheritable, and a worker that holds a
// port keeps the device busy after an unplug.
func openCloseOnExec(path string, mode *serial.Mode) (serial.Port, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	before := descriptors()
	port, err := serial.Open(path, mode)
	if err != nil {
		return nil, err
	}
	for fd := range descriptors() {
		if !before[fd] {
			unix.CloseOnExec(fd)
		}
	}
	return port, nil
}

func descriptors() map[int]bool {
	fds := map[int]bool{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fds
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			fds[fd] = true
		}
	}
	return fds
}

func (h *handle) setMode(m Mode) error {
	mode, err := m.serial()
	if err != nil {
		return fmt.Errorf("port %s: %w", h.path, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.port == nil {
		return fmt.Errorf("port %s: set %v: %w", h.path, m, ErrClosed)
	}
	if err := h.port.SetMode(mode); err != nil {
		return fmt.Errorf("port %s: set %v: %w", h.path, m, unplugged(err))
	}
	return nil
}

func (h *handle) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.port == nil {
		return nil
	}
	port := h.port
	h.port = nil
	if err := port.Close(); err != nil && !gone(err) {
		return fmt.Errorf("port %s: close: %w", h.path, err)
	}
	return nil
}

// unplugged maps what the library says of a vanished device.
func unplugged(err error) error {
	var port *serial.PortError
	if gone(err) || errors.Is(err, unix.ENOENT) ||
		errors.As(err, &port) && (port.Code() == serial.PortClosed || port.Code() == serial.PortNotFound) {
		return fmt.Errorf("%w: %w", ErrUnplugged, err)
	}
	if errors.As(err, &port) && port.Code() == serial.PortBusy {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}
