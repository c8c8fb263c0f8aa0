package virtlab

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// alarm calls a function at exact times. The runtime's own timers are good for
// a millisecond, which is eighty bytes at 921600 baud; a kernel timer behind
// the poller is good for some microseconds and needs no thread.
type alarm struct {
	fd   int
	file *os.File
	base time.Time // a moment by the runtime's clock ...
	mono int64     // ... and the same by CLOCK_MONOTONIC, in ns
	at   time.Time // what is set
	rung atomic.Bool
	done chan struct{}
}

func newAlarm(ring func()) (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("kernel timer: %w", err)
	}
	// In this order the alarm is late by what lies between, never early.
	base := time.Now()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("monotonic clock: %w", err)
	}
	a := &alarm{fd: fd, base: base, mono: ts.Nano(), done: make(chan struct{})}
	a.file = os.NewFile(uintptr(fd), "timer")
	go a.run(ring)
	return a, nil
}

func (a *alarm) run(ring func()) {
	defer close(a.done)
	var expirations [8]byte
	for {
		if _, err := a.file.Read(expirations[:]); err != nil {
			return
		}
		a.rung.Store(true)
		ring()
	}
}

// set makes the alarm ring at a time, or not at all when it is zero. Only the
// module's loop calls it.
func (a *alarm) set(at time.Time) {
	if rung := a.rung.Swap(false); at.Equal(a.at) && !rung {
		return
	}
	a.at = at
	var spec unix.ItimerSpec
	if !at.IsZero() {
		spec.Value = unix.NsecToTimespec(max(a.mono+int64(at.Sub(a.base)), 1))
	}
	_ = unix.TimerfdSettime(a.fd, unix.TFD_TIMER_ABSTIME, &spec, nil)
}

func (a *alarm) close() {
	_ = a.file.Close()
	<-a.done
}
