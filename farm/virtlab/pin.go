package virtlab

import (
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/pin"
)

// Pin is the host's GPIO pin at one of a module's lines. It behaves like a pin
// that can drive low and high and float; as an input it shows the level of
// the wire. It has no edges and no PWM.
type Pin struct {
	module *Module
	line   Line
	name   string
}

var _ gpio.PinIO = (*Pin)(nil)
var _ pin.PinFunc = (*Pin)(nil)

// String is the pin's name.
func (p *Pin) String() string { return p.name }

// Name is the name in periph's registry: "<board>-<line>".
func (p *Pin) Name() string { return p.name }

// Number is -1: a virtual pin has no number.
func (p *Pin) Number() int { return -1 }

// Halt does nothing: a pin keeps its state.
func (p *Pin) Halt() error { return nil }

// Function is deprecated in periph; it is the string of Func.
func (p *Pin) Function() string { return string(p.Func()) }

// Func tells how the pin is set, without changing it.
func (p *Pin) Func() pin.Func {
	level, err := p.module.Level(p.line)
	switch {
	case err != nil:
		return pin.FuncNone
	case level == Low:
		return gpio.OUT_LOW
	case level == High:
		return gpio.OUT_HIGH
	}
	return gpio.IN
}

// SupportedFuncs are input and output.
func (p *Pin) SupportedFuncs() []pin.Func { return []pin.Func{gpio.IN, gpio.OUT} }

// SetFunc sets the pin to input or to output at a level.
func (p *Pin) SetFunc(f pin.Func) error {
	switch f {
	case gpio.IN:
		return p.In(gpio.PullNoChange, gpio.NoEdge)
	case gpio.OUT, gpio.OUT_LOW:
		return p.Out(gpio.Low)
	case gpio.OUT_HIGH:
		return p.Out(gpio.High)
	}
	return fmt.Errorf("pin %s: function %s is not supported", p.name, f)
}

// In lets the line float: the module's own resistor is stronger than any that
// a host's input has.
func (p *Pin) In(_ gpio.Pull, edge gpio.Edge) error {
	if edge != gpio.NoEdge {
		return fmt.Errorf("pin %s: edges are not supported", p.name)
	}
	return p.module.SetLine(p.line, Float)
}

// Read is the level of the wire.
func (p *Pin) Read() gpio.Level {
	level, err := p.module.Level(p.line)
	if err != nil {
		return gpio.Low
	}
	if level == Float {
		return p.DefaultPull() == gpio.PullUp
	}
	return level == High
}

// WaitForEdge returns false: a virtual pin has no edges.
func (p *Pin) WaitForEdge(time.Duration) bool { return false }

// Pull is what the host's input does to the line.
func (p *Pin) Pull() gpio.Pull { return gpio.Float }

// DefaultPull is the module's own resistor: up at RESETn and at the switch of
// its supply, down at BOOT0 and GPIO0.
func (p *Pin) DefaultPull() gpio.Pull {
	if p.line == LineReset || p.line == LinePower {
		return gpio.PullUp
	}
	return gpio.PullDown
}

// Out drives the line.
func (p *Pin) Out(l gpio.Level) error {
	if l == gpio.Low {
		return p.module.SetLine(p.line, Low)
	}
	return p.module.SetLine(p.line, High)
}

// PWM is not supported.
func (p *Pin) PWM(gpio.Duty, physic.Frequency) error {
	return fmt.Errorf("pin %s: PWM is not supported", p.name)
}

// registerPins puts a module's pins into periph's registry, all or none.
func registerPins(m *Module) ([]*Pin, error) {
	var pins []*Pin
	for l := range lineCount {
		p := &Pin{module: m, line: l, name: m.id + "-" + l.String()}
		if err := gpioreg.Register(p); err != nil {
			return nil, errors.Join(fmt.Errorf("board %s: %w (another lab of this process uses the name)", m.id, err), unregisterPins(pins))
		}
		pins = append(pins, p)
	}
	return pins, nil
}

func unregisterPins(pins []*Pin) error {
	var errs []error
	for _, p := range pins {
		errs = append(errs, gpioreg.Unregister(p.name))
	}
	return errors.Join(errs...)
}
