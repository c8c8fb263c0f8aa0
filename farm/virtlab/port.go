package virtlab

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// pipeRoom is how many bytes wait in one direction of a UART in memory.
const pipeRoom = 64 << 10

// Port is the host's end of a UART in memory. One reader and one writer may
// use it at a time. It works with the clock of testing/synctest.
type Port struct {
	toHost, toModule *pipe
	speed            atomic.Int64
}

func newPort() *Port { return &Port{toHost: newPipe(), toModule: newPipe()} }

// Read gives what the module has sent, at least one byte. It fails with
// os.ErrDeadlineExceeded after the deadline and with io.EOF when the module
// is closed.
func (p *Port) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return p.toHost.read(b, nil)
}

// Write sends to the module. It waits while the module takes nothing.
func (p *Port) Write(b []byte) (int, error) { return p.toModule.write(b) }

// SetReadDeadline bounds present and coming calls of Read; zero is no bound.
func (p *Port) SetReadDeadline(t time.Time) error {
	p.toHost.setDeadline(t)
	return nil
}

// SetBaud is the speed of the host's UART; 0, as at the start, always fits.
func (p *Port) SetBaud(baud int) { p.speed.Store(int64(baud)) }

// pipe is one direction: a bounded buffer whose readers can be woken.
type pipe struct {
	mu       sync.Mutex
	buf      []byte
	closed   bool
	kicked   bool
	deadline time.Time
	changed  chan struct{} // closed and replaced when anything changes
}

func newPipe() *pipe { return &pipe{changed: make(chan struct{})} }

// notify wakes everybody; mu is held.
func (p *pipe) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pipe) setDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	p.notify()
}

func (p *pipe) kick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kicked = true
	p.notify()
}

func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		p.notify()
	}
}

// read waits for bytes. The host (until nil) goes by the deadline, the module
// by until and kicks, for which nothing read is not an error.
func (p *pipe) read(b []byte, until *time.Time) (int, error) {
	for {
		p.mu.Lock()
		changed, deadline := p.changed, p.deadline
		if until != nil {
			deadline = *until
		}
		switch {
		case until != nil && p.kicked:
			p.kicked = false
			p.mu.Unlock()
			return 0, nil
		case until == nil && !deadline.IsZero() && !time.Now().Before(deadline):
			p.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(p.buf) > 0 && len(b) > 0:
			n := copy(b, p.buf)
			p.buf = p.buf[:copy(p.buf, p.buf[n:])]
			p.notify()
			p.mu.Unlock()
			return n, nil
		case p.closed:
			p.mu.Unlock()
			return 0, io.EOF
		}
		p.mu.Unlock()
		if !await(changed, deadline) && until != nil {
			return 0, nil
		}
	}
}

// await waits for a change until a deadline and says which it was.
func await(changed <-chan struct{}, deadline time.Time) bool {
	if deadline.IsZero() {
		<-changed
		return true
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-changed:
		return true
	case <-t.C:
		return false
	}
}

// write waits for room until everything is in the buffer.
func (p *pipe) write(b []byte) (int, error) {
	sent := 0
	for {
		p.mu.Lock()
		n, err := p.put(b[sent:])
		sent += n
		changed := p.changed
		p.mu.Unlock()
		if err != nil || sent == len(b) {
			return sent, err
		}
		<-changed
	}
}

// put takes what fits; mu is held.
func (p *pipe) put(b []byte) (int, error) {
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	n := min(len(b), pipeRoom-len(p.buf))
	if n > 0 {
		p.buf = append(p.buf, b[:n]...)
		p.notify()
	}
	return n, nil
}

// memoryDoor is the module's end of a Port.
type memoryDoor struct{ port *Port }

func (d *memoryDoor) read(b []byte, until time.Time) (int, error) {
	return d.port.toModule.read(b, &until)
}

func (d *memoryDoor) write(b []byte) (int, error) {
	p := d.port.toHost
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.put(b)
}

func (d *memoryDoor) kick()     { d.port.toModule.kick() }
func (d *memoryDoor) baud() int { return int(d.port.speed.Load()) }

func (d *memoryDoor) forget() {}

func (d *memoryDoor) close() error {
	d.port.toHost.close()
	d.port.toModule.close()
	return nil
}
