package console

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Loop reads any number of ports in one goroutine.
//
// It waits in an epoll of its own that is itself watched by the Go runtime: the
// goroutine sleeps without holding a thread. A thread that sleeps in poll(2)
// keeps the runtime's watcher for long system calls awake, which then takes
// more CPU than the reading of sixteen consoles.
type Loop struct {
	bell  *bell
	poll  *poller
	start time.Time
	buf   []byte // for reads; the loop's alone
	done  chan struct{}

	mu     sync.Mutex
	ports  []*Port
	left   []*Port // removed, to be acknowledged
	closed bool
}

// NewLoop starts a loop. Close ends it.
func NewLoop() (*Loop, error) {
	b, err := newBell()
	if err != nil {
		return nil, fmt.Errorf("console loop: %w", err)
	}
	p, err := newPoller(b.fd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("console loop: %w", err), b.close())
	}
	l := &Loop{bell: b, poll: p, start: time.Now(), buf: make([]byte, burstSize), done: make(chan struct{})}
	go l.run()
	return l, nil
}

// Close ends the loop. Ports that still use it end with ErrClosed.
func (l *Loop) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		<-l.done
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	l.bell.ring()
	<-l.done
	return errors.Join(l.poll.close(), l.bell.close())
}

// clock is the time since the loop began.
func (l *Loop) clock() time.Duration { return time.Since(l.start) }

func (l *Loop) add(p *Port) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("console loop: %w", ErrClosed)
	}
	if err := l.poll.add(p.fd); err != nil {
		return fmt.Errorf("port %s: %w", p.path, err)
	}
	l.ports = append(slices.Clone(l.ports), p)
	l.bell.ring()
	return nil
}

// remove takes p out. When it returns the loop does not touch p any more.
func (l *Loop) remove(p *Port) {
	l.mu.Lock()
	i := slices.Index(l.ports, p)
	if i < 0 || l.closed {
		l.mu.Unlock()
		<-p.unread
		return
	}
	l.ports = slices.Delete(slices.Clone(l.ports), i, i+1)
	l.left = append(l.left, p)
	l.mu.Unlock()
	l.bell.ring()
	<-p.unread
}

// next returns the ports to serve; ok is false when the loop ends.
func (l *Loop) next() (ports []*Port, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.left {
		l.poll.remove(p.fd)
		close(p.unread)
	}
	l.left = nil
	if l.closed {
		for _, p := range l.ports {
			p.fail(fmt.Errorf("port %s: %w", p.path, ErrClosed))
			l.poll.remove(p.fd)
			close(p.unread)
		}
		l.ports = nil
		return nil, false
	}
	return l.ports, true
}

func (l *Loop) run() {
	defer close(l.done)
	for {
		ports, ok := l.next()
		if !ok {
			return
		}
		wait, err := l.arm(ports, time.Now())
		if err == nil {
			err = l.poll.wait(wait)
		}
		if err != nil {
			l.fail(ports, err)
			return
		}
		now := time.Now()
		for _, e := range l.poll.events() {
			if int(e.Fd) == l.bell.fd {
				l.bell.hush()
				continue
			}
			for _, p := range ports {
				if p.fd == int(e.Fd) {
					p.happened(e.Events)
				}
			}
		}
		for _, p := range ports {
			p.serve(now)
		}
	}
}

// arm says what to wait for, and how long at most; a negative time is for ever.
func (l *Loop) arm(ports []*Port, now time.Time) (wait time.Duration, err error) {
	wait = -1
	for _, p := range ports {
		events, pause := p.interest(now)
		if pause >= 0 && (wait < 0 || pause < wait) {
			wait = pause
		}
		if events == p.armed {
			continue
		}
		if err := l.poll.arm(p.fd, events); err != nil {
			return 0, err
		}
		p.armed = events
	}
	return wait, nil
}

// fail ends all ports. It happens only when the kernel has no memory.
func (l *Loop) fail(ports []*Port, err error) {
	for _, p := range ports {
		p.fail(fmt.Errorf("port %s: poll: %w", p.path, err))
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.next()
}

// bell is an eventfd: it wakes a poll.
type bell struct{ fd int }

func newBell() (*bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &bell{fd}, nil
}

// ring wakes the poll. It cannot fail: the counter never overflows, and a
// counter that is not zero rings already.
func (b *bell) ring() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = retry(func() (int, error) { return unix.Write(b.fd, one[:]) })
}

func (b *bell) hush() {
	var n [8]byte
	_, _ = retry(func() (int, error) { return unix.Read(b.fd, n[:]) })
}

func (b *bell) close() error { return unix.Close(b.fd) }
