package console

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Port is an open UART. Its methods may be called from several goroutines.
type Port struct {
	path   string
	fd     int
	sink   Sink
	handle *handle
	loop   *Loop
	own    bool // the loop is ours
	opt    Options

	pace

	unread chan struct{} // closed when the loop has let go
	done   chan struct{} // closed when the port is no good any more
	ended  chan struct{} // closed when the writer has ended
	offs   []func()

	ahead     [aheadSize]byte // for the writer's reads
	queue     chan *request
	stalled   atomic.Bool // the kernel took no bytes when last tried
	wantRoom  atomic.Bool
	room      chan struct{}
	lastWrite atomic.Int64 // on the loop's clock, nanoseconds

	mu  sync.Mutex
	err error

	ioctl sync.Mutex // held by those who use fd beside loop and writer
	close func() error
}

// Open opens the port at path, takes it for this process, sets its mode and
// begins to read. Every byte goes to sink, both ways. Errors name the path;
// ErrBusy names the holder when the kernel tells, ErrUnplugged is a device that
// is gone.
func Open(path string, m Mode, sink Sink, opt Options) (*Port, error) {
	if opt.WedgeAfter <= 0 {
		opt.WedgeAfter = 5 * time.Second
	}
	fd, err := claim(path)
	if err != nil {
		return nil, err
	}
	h, err := openHandle(path, m)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	// A PTY outlives its owner, and with it the library's exclusive mode,
	// which would then keep everybody but root away for good. Our lock is
	// enough there.
	if isPTY(fd) {
		_ = unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
	}
	p := &Port{
		path:   path,
		fd:     fd,
		sink:   sink,
		handle: h,
		loop:   opt.Loop,
		opt:    opt,
		unread: make(chan struct{}),
		done:   make(chan struct{}),
		ended:  make(chan struct{}),
		queue:  make(chan *request),
		room:   make(chan struct{}, 1),
	}
	p.close = sync.OnceValue(p.shut)
	if err := p.start(); err != nil {
		return nil, errors.Join(err, h.close(), unix.Close(fd))
	}
	return p, nil
}

func (p *Port) start() error {
	if p.loop == nil {
		l, err := NewLoop()
		if err != nil {
			return err
		}
		p.loop, p.own = l, true
	}
	if s, ok := p.sink.(hurrySink); ok {
		p.offs = append(p.offs, s.OnWait(p.Hurry))
	}
	if err := p.loop.add(p); err != nil {
		p.unlisten()
		return err
	}
	// Nothing was written yet: no byte counts as an answer.
	p.lastWrite.Store(int64(-answerTime))
	go p.write()
	return nil
}

func (p *Port) unlisten() {
	for _, off := range p.offs {
		off()
	}
}

// isPTY says whether the device is the slave of a PTY (Unix98 majors 136-143).
func isPTY(fd int) bool {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false
	}
	major := unix.Major(st.Rdev)
	return major >= 136 && major <= 143
}

// Path is the path that the port was opened by.
func (p *Port) Path() string { return p.path }

// Done is closed when the port is no good any more: unplugged, its sink failed,
// or closed. Err then says why.
func (p *Port) Done() <-chan struct{} { return p.done }

// Err is nil while the port works.
func (p *Port) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *Port) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// fail ends the port's work; the first error counts.
func (p *Port) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		close(p.done)
	}
}

// SetMode changes baud and parity at once. Bytes that the kernel still holds
// are sent in the new mode: Drain first.
func (p *Port) SetMode(m Mode) error {
	if err := p.Err(); err != nil {
		return err
	}
	err := p.handle.setMode(m)
	if errors.Is(err, ErrUnplugged) {
		p.fail(err)
	}
	return err
}

// Close ends the port and waits for all that it started. Bytes in the kernel
// get half a second to go out, unless the port is wedged. It must not be called
// from the sink.
func (p *Port) Close() error { return p.close() }

func (p *Port) shut() error {
	wedged := p.stalled.Load()
	p.unlisten()
	p.fail(fmt.Errorf("port %s: %w", p.path, ErrClosed))
	<-p.ended
	p.loop.remove(p)
	var err error
	if p.own {
		err = p.loop.Close()
	}
	// What the board said until now is recorded too.
	_, rerr := p.read(p.ahead[:])
	if rerr != nil && !errors.Is(rerr, ErrUnplugged) {
		err = errors.Join(err, rerr)
	}
	p.letOut(wedged)

	p.ioctl.Lock()
	defer p.ioctl.Unlock()
	fd := p.fd
	p.fd = -1
	// The library's descriptor first: the last close of a device may wait for
	// bytes, and ours has none left. Nobody uses either after this.
	err = errors.Join(err, p.handle.close())
	if cerr := unix.Close(fd); cerr != nil && !gone(cerr) {
		err = errors.Join(err, fmt.Errorf("close %s: %w", p.path, cerr))
	}
	return err
}
