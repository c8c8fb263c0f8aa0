package console

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// claim opens the device and locks it for this process. The lock ends with the
// descriptor, so a killed owner leaves nothing behind.
func claim(path string) (int, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	switch {
	case err == nil:
	case errors.Is(err, unix.EBUSY):
		return -1, busy(path)
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV), errors.Is(err, unix.EIO):
		return -1, fmt.Errorf("open %s: %w: %w", path, ErrUnplugged, err)
	case errors.Is(err, unix.EACCES):
		return -1, fmt.Errorf("open %s: %w; add this user to the group of the device, often dialout", path, err)
	default:
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("open %s: not a serial port: %w", path, err)
	}
	_, err = retry(func() (int, error) { return 0, unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return -1, busy(path)
		}
		return -1, fmt.Errorf("lock %s: %w", path, err)
	}
	return fd, nil
}

func busy(path string) error {
	if who := holder(path); who != "" {
		return fmt.Errorf("open %s: %w by %s; end it or choose another port", path, ErrBusy, who)
	}
	return fmt.Errorf("open %s: %w; close the other program or choose another port", path, ErrBusy)
}

// holder names the process that has the lock on a file, as /proc/locks shows
// it: "1: FLOCK ADVISORY WRITE 4711 00:16:33 0 EOF" (proc_locks(5)).
func holder(path string) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return ""
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return ""
	}
	defer f.Close()
	want := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		field := strings.Fields(lines.Text())
		if len(field) < 6 || field[1] != "FLOCK" || field[5] != want {
			continue
		}
		pid, err := strconv.Atoi(field[4])
		switch {
		case err != nil || pid <= 0:
			return "a process that this one cannot see"
		case pid == os.Getpid():
			return "this process"
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil {
			return fmt.Sprintf("process %d", pid)
		}
		return fmt.Sprintf("process %d (%q)", pid, strings.TrimSpace(string(name)))
	}
	return ""
}

// retry repeats a call that a signal interrupted.
func retry[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if !errors.Is(err, unix.EINTR) {
			return v, err
		}
	}
}

// gone says whether an error of the port means that the device is no more.
func gone(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV)
}
