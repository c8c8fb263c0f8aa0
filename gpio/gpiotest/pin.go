// Package gpiotest has fakes for the lines of a module, and the suite that
// every implementation of gpio.Line must pass.
package gpiotest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

// State is what a host does to a line, or what somebody asked of a pin.
type State string

// What a Pin records. Read is recorded since reading an output is forbidden.
const (
	Untouched State = "untouched"
	Low       State = "low"
	High      State = "high"
	Float     State = "float"
	Read      State = "read"
)

// Pin is a pin of a host that records its electrical history. It has the bad
// manners of a gpioioctl line: the first Out after being an input drives low
// before it drives what was asked for, and Read turns an output into an input.
// It is safe for concurrent use.
type Pin struct {
	// PinName is what Name and String give.
	PinName string
	// NoBias makes In refuse every pull but PullNoChange.
	NoBias bool

	mu      sync.Mutex
	history []State
	err     error
}

var _ gpio.PinIO = (*Pin)(nil)

// Fail makes In and Out return err from now on; nil ends that.
func (p *Pin) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// State is what the pin does now.
func (p *Pin) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state()
}

func (p *Pin) state() State {
	for _, s := range slices.Backward(p.history) {
		if s != Read {
			return s
		}
	}
	return Untouched
}

// History is all that the pin ever did, repeated states included.
func (p *Pin) History() []State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.history)
}

// CheckNeverHigh fails the test if the pin was ever driven high or read.
func (p *Pin) CheckNeverHigh(t testing.TB) {
	t.Helper()
	if h := p.History(); slices.Contains(h, High) || slices.Contains(h, Read) {
		t.Errorf("pin %s was driven high or read: %v", p.PinName, h)
	}
}

// Out drives the pin.
func (p *Pin) Out(l gpio.Level) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	if s := p.state(); s != Low && s != High {
		p.history = append(p.history, Low)
		if l == gpio.Low {
			return nil
		}
	}
	state := Low
	if l == gpio.High {
		state = High
	}
	p.history = append(p.history, state)
	return nil
}

// In makes the pin an input.
func (p *Pin) In(pull gpio.Pull, edge gpio.Edge) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.err != nil:
		return p.err
	case edge != gpio.NoEdge:
		return fmt.Errorf("pin %s: edges are not wanted here", p.PinName)
	case p.NoBias && pull != gpio.PullNoChange:
		return errors.New("pull resistors are not supported")
	case pull == gpio.PullDown:
		return fmt.Errorf("pin %s: a pull-down would hold the module in reset", p.PinName)
	}
	p.history = append(p.history, Float)
	return nil
}

// Read gives what is read, and spoils an output as gpioioctl does.
func (p *Pin) Read() gpio.Level {
	p.mu.Lock()
	defer p.mu.Unlock()
	output := p.state()
	p.history = append(p.history, Read)
	if output == Low || output == High {
		p.history = append(p.history, Float)
	}
	return gpio.High
}

// WaitForEdge returns at once, as gpioioctl does for -1.
func (p *Pin) WaitForEdge(time.Duration) bool { return false }

// Pull is unknown.
func (p *Pin) Pull() gpio.Pull { return gpio.PullNoChange }

// DefaultPull is unknown.
func (p *Pin) DefaultPull() gpio.Pull { return gpio.PullNoChange }

// PWM is not supported.
func (p *Pin) PWM(gpio.Duty, physic.Frequency) error { return errors.New("no PWM") }

// Name gives PinName.
func (p *Pin) Name() string { return p.PinName }

// String gives PinName.
func (p *Pin) String() string { return p.PinName }

// Number is unknown.
func (p *Pin) Number() int { return -1 }

// Function reads the pin, as gpioioctl's does.
func (p *Pin) Function() string { return strings.ToUpper(fmt.Sprint(p.Read())) }

// Halt does nothing.
func (p *Pin) Halt() error { return nil }
