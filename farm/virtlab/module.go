package virtlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"hil-runner/farm/virtlab/app"
	"hil-runner/farm/virtlab/chip"
)

// ErrClosed is what a module answers after Close.
var ErrClosed = errors.New("virtual module is closed")

// door is the module's side of its UART.
type door interface {
	// read waits for input until a time (zero: for ever) or a kick; nothing
	// read is not an error. With no room in p it only waits.
	read(p []byte, until time.Time) (int, error)
	// write hands over what fits now.
	write(p []byte) (int, error)
	// kick makes read return; it may be called from everywhere.
	kick()
	// baud is the host's speed, 0 when unknown.
	baud() int
	// forget is told of the falling edge of RESETn or of the power.
	forget()
	close() error
}

const (
	// readRoom is how much input is taken at once.
	readRoom = 16 << 10
	// stallTick is how often output is offered again to a host that does not
	// read, stallLimit when it is lost.
	stallTick  = time.Millisecond
	stallLimit = 2 * time.Second
)

// Module is a Core with a loop around it: one goroutine owns the state, all
// others ask it. Its methods are safe for concurrent use.
type Module struct {
	id    string
	core  *Core
	door  door
	port  *Port // nil when the UART is a pseudo terminal
	start time.Time
	stop  bool // set on the loop
	done  chan struct{}
	shut  func() error // closes the door, once

	out     []byte // printed, not yet taken
	stalled time.Time
	deaf    bool // nobody reads: output is lost at once
}

// NewModule starts a module whose UART is in memory: see Port. It is on and
// running when NewModule returns; Close ends it.
func NewModule(opt Options) (*Module, error) {
	p := newPort()
	m, err := startModule(opt, &memoryDoor{port: p})
	if err != nil {
		return nil, err
	}
	m.port = p
	return m, nil
}

func startModule(opt Options, d door) (*Module, error) {
	core, err := NewCore(opt)
	if err != nil {
		return nil, err
	}
	m := &Module{id: core.opt.ID, core: core, door: d, start: time.Now(), done: make(chan struct{})}
	m.shut = sync.OnceValue(d.close)
	core.post = m.post
	go m.run()
	return m, nil
}

// post gives work to the loop.
func (m *Module) post(f func()) {
	m.core.mailbox.put(f)
	m.door.kick()
}

// call runs f on the loop and waits for it.
func (m *Module) call(f func()) error {
	finished := make(chan struct{})
	m.post(func() {
		f()
		close(finished)
	})
	select {
	case <-finished:
		return nil
	case <-m.done:
		return fmt.Errorf("board %s: %w", m.id, ErrClosed)
	}
}

// run is the loop.
func (m *Module) run() {
	defer close(m.done)
	defer m.core.Close()
	buf := make([]byte, readRoom)
	for {
		m.tick()
		m.core.Do()
		if m.stop {
			return
		}
		m.tick()
		m.flush()
		room, until := m.plan()
		n, err := m.door.read(buf[:room], until)
		if err != nil {
			return
		}
		if n > 0 {
			m.tick()
			m.core.Receive(buf[:n])
		}
	}
}

func (m *Module) tick() {
	m.core.SetHostBaud(m.door.baud())
	m.core.Advance(time.Since(m.start))
}

// plan says how much input to take and when to wake up without any.
func (m *Module) plan() (room int, until time.Time) {
	room = readRoom
	at, ok := m.core.Next()
	if m.core.opt.Pace {
		room = min(max(int(ahead/span(1, appBits, max(m.core.line.baud, 300))), 1), readRoom)
		if wait := m.core.Backlog() - ahead; wait > 0 {
			room = 0
			if due := m.core.now + wait; !ok || due < at {
				at, ok = due, true
			}
		}
	}
	if ok {
		until = m.start.Add(at)
	}
	if len(m.out) > 0 {
		room = 0
		if due := time.Now().Add(stallTick); !ok || due.Before(until) {
			until = due
		}
	}
	return room, until
}

// flush hands output over. A host that reads slowly is waited for, a host
// that does not read at all loses bytes as on a real UART.
func (m *Module) flush() {
	m.out = m.core.AppendOutput(m.out)
	if len(m.out) == 0 {
		return
	}
	n, err := m.door.write(m.out)
	m.out = m.out[:copy(m.out, m.out[n:])]
	switch {
	case len(m.out) == 0:
		m.stalled, m.deaf = time.Time{}, false
	case m.deaf || err != nil || !m.stalled.IsZero() && time.Since(m.stalled) > stallLimit:
		m.core.stats.Lost += uint64(len(m.out))
		m.out, m.deaf, m.stalled = m.out[:0], true, time.Time{}
	case n > 0 || m.stalled.IsZero():
		m.stalled = time.Now()
	}
}

// ID is the board's name.
func (m *Module) ID() string { return m.id }

// Port is the host's end of a UART in memory, nil for a board of a Lab.
func (m *Module) Port() *Port { return m.port }

// Address is the IP address at which the host serves endpoints for the module.
func (m *Module) Address() string { return HostAddress }

// ModuleAddress is the IP address that the module connects from.
func (m *Module) ModuleAddress() string { return m.core.radio.Address() }

// SetLine does to a line what the host does. When it returns the module has
// seen it.
func (m *Module) SetLine(l Line, level Level) error {
	return m.call(func() {
		m.core.SetLine(l, level)
		if level == Low && (l == LineReset || l == LinePower) {
			m.door.forget()
		}
	})
}

// Level is what the host does to a line.
func (m *Module) Level(l Line) (Level, error) {
	var level Level
	err := m.call(func() { level = m.core.Level(l) })
	return level, err
}

// Reset pulses RESETn: low for hold, then released. It ends early, with the
// line released, when ctx does.
func (m *Module) Reset(ctx context.Context, hold time.Duration) error {
	if err := m.SetLine(LineReset, Low); err != nil {
		return err
	}
	t := time.NewTimer(hold)
	defer t.Stop()
	var cause error
	select {
	case <-t.C:
	case <-ctx.Done():
		cause = context.Cause(ctx)
	}
	return errors.Join(m.SetLine(LineReset, Float), cause)
}

// SetName makes name resolve to the IP address addr for this module; addr ""
// removes it.
func (m *Module) SetName(name, addr string) error { return m.core.radio.setName(name, addr) }

// Stats counts what has happened so far.
func (m *Module) Stats() (Stats, error) {
	var s Stats
	err := m.call(func() { s = m.core.Stats() })
	return s, err
}

// Inject adds a fault from now on.
func (m *Module) Inject(f Fault) error {
	var inner error
	if err := m.call(func() { inner = m.core.Inject(f) }); err != nil {
		return err
	}
	return inner
}

// Heal removes all faults.
func (m *Module) Heal() error { return m.call(m.core.Heal) }

// SetAccess changes the access point, as walking away from it does.
func (m *Module) SetAccess(ap app.AccessPoint) error {
	return m.call(func() { m.core.radio.setAccess(ap) })
}

// Flash lets f look at the flash, or set a hook, on the module's loop.
func (m *Module) Flash(f func(*chip.Flash)) error {
	return m.call(func() { f(m.core.flash) })
}

// Close switches the module off and waits for everything that it started.
func (m *Module) Close() error {
	m.post(func() { m.stop = true })
	<-m.done
	err := m.shut()
	if errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}
