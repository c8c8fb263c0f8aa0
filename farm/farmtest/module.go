// Package farmtest holds the conformance suites that every implementation of
// farm's interfaces runs, and fakes of them that live in memory.
package farmtest

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"
)

// DefaultBuild is what a fake module reports.
const DefaultBuild = "170111-665d284-SPWF01S"

// Module is a fake module in memory: it answers every line that begins with
// AT with OK and says its banner after a reset. It is safe for concurrent use
// and for testing/synctest.
type Module struct {
	mu      sync.Mutex
	faults  Faults
	build   string
	line    []byte
	out     []byte
	held    bool
	off     bool
	closed  error
	until   time.Time
	changed chan struct{}
	written bytes.Buffer
}

// Faults are what is wrong with a fake module.
type Faults struct {
	// Dead says nothing, whatever happens.
	Dead bool
	// StuckReset does not feel its reset line.
	StuckReset bool
}

// NewModule gives a module that has started.
func NewModule(f Faults) *Module {
	m := &Module{faults: f, build: DefaultBuild, changed: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.boot()
	return m
}

// Read gives what the module said, as farm.UART wants it.
func (m *Module) Read(p []byte) (int, error) {
	for {
		m.mu.Lock()
		n, err := m.take(p)
		changed, until := m.changed, m.until
		m.mu.Unlock()
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		if !waitChange(changed, until) {
			return 0, os.ErrDeadlineExceeded
		}
	}
}

func (m *Module) take(p []byte) (int, error) {
	if m.closed != nil {
		return 0, m.closed
	}
	if !m.until.IsZero() && !time.Now().Before(m.until) {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, m.out)
	m.out = m.out[n:]
	return n, nil
}

// waitChange gives false when the deadline came first.
func waitChange(changed <-chan struct{}, until time.Time) bool {
	if until.IsZero() {
		<-changed
		return true
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-changed:
		return true
	case <-timer.C:
		return false
	}
}

// Write sends bytes to the module.
func (m *Module) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed != nil {
		return 0, m.closed
	}
	m.written.Write(p)
	for _, b := range p {
		m.feed(b)
	}
	return len(p), nil
}

// SetReadDeadline ends reads at t; the zero time never does.
func (m *Module) SetReadDeadline(t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until = t
	m.wake()
	return nil
}

// Written gives everything that was sent to the module.
func (m *Module) Written() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.written.Bytes())
}

// Say makes the module say something unasked.
func (m *Module) Say(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.say(text)
}

// hold drives the reset line: true is low.
func (m *Module) hold(low bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.faults.StuckReset || m.off {
		return
	}
	started := m.held && !low
	m.held, m.line = low, nil
	if started {
		m.boot()
	}
}

// supply switches the module on or off.
func (m *Module) supply(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	started := m.off && on
	m.off, m.line = !on, nil
	if started && !m.held {
		m.boot()
	}
}

// end makes every call fail with err.
func (m *Module) end(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed == nil {
		m.closed = err
		m.wake()
	}
}

func (m *Module) feed(b byte) {
	if m.held || m.off {
		return
	}
	if b != '\r' {
		if b != '\n' && len(m.line) < 4096 {
			m.line = append(m.line, b)
		}
		return
	}
	if bytes.HasPrefix(bytes.ToUpper(m.line), []byte("AT")) {
		m.say(string(m.line) + "\r\r\nOK\r\n")
	}
	m.line = nil
}

func (m *Module) boot() {
	m.say("\r\n+WIND:1:Poweron (" + m.build + ")\r\n\r\n+WIND:0:Console active\r\n")
}

func (m *Module) say(text string) {
	if m.faults.Dead {
		return
	}
	m.out = append(m.out, text...)
	m.wake()
}

func (m *Module) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

var _ io.ReadWriter = (*Module)(nil)
