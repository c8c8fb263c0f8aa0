package console

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller is an epoll(7) whose own descriptor the Go runtime watches.
type poller struct {
	fd      int
	file    *os.File
	conn    syscall.RawConn
	limited bool // file has a deadline
	buf     [64]unix.EpollEvent
	n       int
}

// newPoller returns a poller that watches bell all the time.
func newPoller(bell int) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	// The runtime takes descriptors that do not block.
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(bell)}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, bell, &e); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if p.conn, err = p.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	if err := p.file.SetReadDeadline(time.Time{}); err != nil {
		return nil, errors.Join(fmt.Errorf("the runtime does not watch an epoll: %w", err), p.file.Close())
	}
	return p, nil
}

// add makes fd known, with nothing to wait for.
func (p *poller) add(fd int) error {
	e := unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(fd)}
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &e)
}

// arm waits for events of fd once.
func (p *poller) arm(fd int, events uint32) error {
	e := unix.EpollEvent{Events: events | unix.EPOLLONESHOT, Fd: int32(fd)}
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &e)
}

// remove forgets fd. It can fail only when fd is not known.
func (p *poller) remove(fd int) {
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil)
}

// wait waits for events; a negative limit is for ever, 0 not at all.
func (p *poller) wait(limit time.Duration) error {
	p.n = 0
	if limit == 0 {
		_, err := p.take()
		return err
	}
	if limit > 0 || p.limited {
		var at time.Time
		if p.limited = limit > 0; p.limited {
			at = time.Now().Add(limit)
		}
		if err := p.file.SetReadDeadline(at); err != nil {
			return err
		}
	}
	var taken error
	err := p.conn.Read(func(uintptr) bool {
		var some bool
		some, taken = p.take()
		return some || taken != nil
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return errors.Join(err, taken)
}

// take takes what has happened.
func (p *poller) take() (some bool, err error) {
	n, err := retry(func() (int, error) { return unix.EpollWait(p.fd, p.buf[:], 0) })
	if err != nil {
		return false, err
	}
	p.n = n
	return n > 0, nil
}

// events are those of the last wait.
func (p *poller) events() []unix.EpollEvent { return p.buf[:p.n] }

func (p *poller) close() error { return p.file.Close() }
