package console

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxRequest bounds what one turn of the writer holds in memory.
const maxRequest = 64 << 10

// request is one turn of the writer.
type request struct {
	data   []byte // our own copy
	secret bool
	quit   chan struct{} // closed by give
	done   chan error    // capacity 1

	mu    sync.Mutex
	given bool // up: no byte may be sent any more
	sent  int
}

// give gives the request up and tells how many bytes were sent.
func (r *request) give() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.given {
		r.given = true
		close(r.quit)
	}
	return r.sent
}

func (r *request) isGiven() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.given
}

// Write hands data to the kernel and returns how many bytes it took. Writes of
// several goroutines follow one another. Each is recorded before its first
// byte is sent. Write ends with ctx; when the port took no bytes meanwhile the
// error is ErrWedged too.
func (p *Port) Write(ctx context.Context, data []byte) (int, error) {
	return p.submit(ctx, data, false)
}

// WriteSecret is Write for data that holds credentials; it is recorded as such.
func (p *Port) WriteSecret(ctx context.Context, data []byte) (int, error) {
	return p.submit(ctx, data, true)
}

func (p *Port) submit(ctx context.Context, data []byte, secret bool) (int, error) {
	sent := 0
	for len(data) > 0 {
		n, err := p.turn(ctx, data[:min(len(data), maxRequest)], secret)
		sent += n
		if err != nil {
			return sent, err
		}
		data = data[n:]
	}
	return sent, nil
}

// turn has the writer do one request.
func (p *Port) turn(ctx context.Context, data []byte, secret bool) (int, error) {
	r := &request{data: append([]byte(nil), data...), secret: secret, quit: make(chan struct{}), done: make(chan error, 1)}
	select {
	case p.queue <- r:
	case <-p.done:
		return 0, p.Err()
	case <-ctx.Done():
		return 0, p.late(ctx, 0, len(data))
	}
	select {
	case err := <-r.done:
		return r.give(), err
	case <-ctx.Done():
	}
	n := r.give()
	select {
	case err := <-r.done: // just made it
		return n, err
	default:
	}
	if n == len(data) {
		return n, nil
	}
	return n, p.late(ctx, n, len(data))
}

func (p *Port) late(ctx context.Context, n, of int) error {
	err := fmt.Errorf("port %s: %d of %d bytes written: %w", p.path, n, of, context.Cause(ctx))
	if p.stalled.Load() {
		return fmt.Errorf("%w: %w; reset or power-cycle the board, then the adapter", ErrWedged, err)
	}
	return err
}

// write is the writer's goroutine.
func (p *Port) write() {
	defer close(p.ended)
	for {
		select {
		case <-p.done:
			return
		case r := <-p.queue:
			r.done <- p.send(r)
		}
	}
}

// send records and writes one request.
func (p *Port) send(r *request) error {
	if len(r.data) == 0 {
		return nil // Drain's turn
	}
	// What came before is recorded before.
	if _, err := p.read(p.ahead[:]); err != nil {
		p.fail(err)
		return err
	}
	if r.isGiven() {
		return nil
	}
	if err := p.record(r); err != nil {
		err = fmt.Errorf("port %s: record bytes to send: %w", p.path, err)
		p.fail(err)
		return err
	}
	p.lastWrite.Store(int64(p.loop.clock()))
	err := p.push(r)
	p.lastWrite.Store(int64(p.loop.clock()))
	if left := len(r.data) - r.give(); left > 0 {
		if s, ok := p.sink.(unsentSink); ok {
			err = errors.Join(err, s.Unsent(left))
		}
	}
	return err
}

func (p *Port) record(r *request) error {
	if s, ok := p.sink.(secretSink); ok && r.secret {
		return s.SendingSecret(r.data)
	}
	return p.sink.Sending(r.data)
}

// push writes until all is with the kernel, the request was given up, the port
// ends, or it took nothing for too long.
func (p *Port) push(r *request) error {
	for {
		full, err := p.pushSome(r)
		if err != nil || !full {
			return err
		}
		p.stalled.Store(true)
		if err := p.waitRoom(r); err != nil {
			return err
		}
	}
}

// pushSome writes what the kernel takes; full means it takes no more now.
func (p *Port) pushSome(r *request) (full bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.given && r.sent < len(r.data) {
		n, err := retry(func() (int, error) { return unix.Write(p.fd, r.data[r.sent:]) })
		switch {
		case errors.Is(err, unix.EAGAIN):
			return true, nil
		case gone(err):
			err = fmt.Errorf("port %s: %w", p.path, ErrUnplugged)
			p.fail(err)
			return false, err
		case err != nil:
			return false, fmt.Errorf("port %s: write: %w", p.path, err)
		}
		r.sent += n
		p.stalled.Store(false)
	}
	return false, nil
}

// waitRoom waits until the kernel takes bytes again.
func (p *Port) waitRoom(r *request) error {
	p.wantRoom.Store(true)
	p.loop.bell.ring()
	limit := time.NewTimer(p.opt.WedgeAfter)
	defer limit.Stop()
	select {
	case <-p.room:
		return nil
	case <-r.quit:
		return nil
	case <-p.done:
		return p.Err()
	case <-limit.C:
		return fmt.Errorf("port %s: %w for %v; reset or power-cycle the board, then the adapter", p.path, ErrWedged, p.opt.WedgeAfter)
	}
}

// Drain waits until all that was written is on the wire, as far as the kernel
// knows; an adapter may hold some bytes more.
func (p *Port) Drain(ctx context.Context) error {
	if _, err := p.turn(ctx, nil, false); err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		left, err := p.outQueue()
		if err != nil {
			return fmt.Errorf("port %s: drain: %w", p.path, unplugged(err))
		}
		if left == 0 {
			return p.emptyFIFO()
		}
		select {
		case <-tick.C:
		case <-p.done:
			return p.Err()
		case <-ctx.Done():
			return fmt.Errorf("port %s: drain: %d bytes left: %w", p.path, left, context.Cause(ctx))
		}
	}
}

func (p *Port) outQueue() (int, error) {
	p.ioctl.Lock()
	defer p.ioctl.Unlock()
	if p.fd < 0 {
		return 0, ErrClosed
	}
	return unix.IoctlGetInt(p.fd, unix.TIOCOUTQ)
}

// emptyFIFO waits for the UART's own few bytes, which the count leaves out.
func (p *Port) emptyFIFO() error {
	p.ioctl.Lock()
	defer p.ioctl.Unlock()
	if p.fd < 0 {
		return fmt.Errorf("port %s: drain: %w", p.path, ErrClosed)
	}
	_, err := retry(func() (int, error) { return 0, unix.IoctlSetInt(p.fd, unix.TCSBRK, 1) })
	if err != nil {
		return fmt.Errorf("port %s: drain: %w", p.path, unplugged(err))
	}
	return nil
}

// letOut gives the kernel's bytes some time and drops the rest, so that the
// close of the device does not wait for them.
func (p *Port) letOut(wedged bool) {
	deadline := time.Now().Add(500 * time.Millisecond)
	for {
		left, err := unix.IoctlGetInt(p.fd, unix.TIOCOUTQ)
		if err != nil || left == 0 {
			return
		}
		if wedged || time.Now().After(deadline) {
			_ = unix.IoctlSetInt(p.fd, unix.TCFLSH, unix.TCOFLUSH)
			return
		}
		pause := unix.NsecToTimespec(int64(time.Millisecond))
		_, _ = unix.Ppoll(nil, &pause, nil)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
