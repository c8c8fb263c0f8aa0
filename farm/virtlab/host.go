package virtlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"hil-runner/farm/virtlab/app"
)

// life is one run of the application, from a reset to the next, and what the
// silicon gives to it. When it is over its calls do nothing.
type life struct {
	c        *Core
	ctx      context.Context
	cancel   context.CancelFunc
	software *app.App
	pins     [16]bool
	over     bool // it has asked for its own end
}

func newLife(c *Core) *life {
	l := &life{c: c}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.pins[7] = true // pulled up: no mini access point
	return l
}

func (l *life) alive() bool { return l.c.life == l && !l.over }

// Now is the time since power came on.
func (l *life) Now() time.Duration {
	d := l.c.now - l.c.powered
	if l.c.opt.Speed > 0 {
		return time.Duration(float64(d) * l.c.opt.Speed)
	}
	return d
}

// Print sends bytes on the UART.
func (l *life) Print(p []byte) {
	if !l.alive() {
		return
	}
	if n, ok := indication(p); ok && l.c.faults.intercept(l, n, p) {
		return
	}
	l.c.say(l.c.now, p, appBits)
}

// indication reads the number of "\r\n+WIND:<n>:".
func indication(p []byte) (int, bool) {
	rest, ok := bytes.CutPrefix(p, []byte("\r\n+WIND:"))
	if !ok {
		return 0, false
	}
	digits, _, ok := bytes.Cut(rest[:min(len(rest), 4)], []byte(":"))
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(string(digits))
	return n, err == nil
}

// After calls f once d of module time has passed.
func (l *life) After(d time.Duration, f func()) (stop func()) {
	if !l.alive() {
		return func() {}
	}
	t := l.c.schedule(d, func() {
		if l.alive() {
			f()
		}
	})
	return func() { l.c.timers.stop(t) }
}

// Go runs work beside the loop.
func (l *life) Go(work func(ctx context.Context) (done func())) {
	if !l.alive() {
		return
	}
	c := l.c
	c.work.Go(func() {
		done := work(l.ctx)
		c.post(func() {
			if done != nil && l.alive() {
				done()
			}
		})
	})
}

// Area gives a non-volatile area.
func (l *life) Area(a app.Area) app.Store { return store{l: l, area: a} }

// Reset restarts the module from inside.
func (l *life) Reset(app.ResetReason) {
	if !l.alive() {
		return
	}
	l.over = true
	l.cancel()
	l.c.restart = true
}

// SetBaud changes the speed of the UART.
func (l *life) SetBaud(baud int) {
	if l.alive() && baud > 0 {
		l.c.line.baud = baud
	}
}

// Net is the virtual radio.
func (l *life) Net() app.Net { return l.c.radio }

// Rand is the module's random source.
func (l *life) Rand() io.Reader { return l.c.random }

// GPIO is the level of a GPIO pin; pin 0 is the line that the host drives.
func (l *life) GPIO(n int) bool {
	if n == 0 {
		return l.c.levels[LineGPIO0] == High
	}
	return n > 0 && n < len(l.pins) && l.pins[n]
}

// SetGPIO drives a GPIO pin.
func (l *life) SetGPIO(n int, high bool) {
	if l.alive() && n > 0 && n < len(l.pins) {
		l.pins[n] = high
	}
}

// errNoExternal is what a store in external flash answers on a module without.
var errNoExternal = errors.New("module has no external flash")

// store is a non-volatile area of the module.
type store struct {
	l    *life
	area app.Area
}

// Load gives the stored bytes, nil when there are none.
func (s store) Load() []byte {
	c := s.l.c
	if p, ok := areas[s.area]; ok {
		return loadRecord(c.flash, p)
	}
	return bytes.Clone(c.external[s.area])
}

// Save erases the area and writes p.
func (s store) Save(p []byte) error {
	if !s.l.alive() {
		return errors.New("module is restarting")
	}
	c := s.l.c
	if place, ok := areas[s.area]; ok {
		return saveRecord(c.flash, place, p)
	}
	if len(p) == 0 {
		delete(c.external, s.area)
		return nil
	}
	if !s.l.software.Profile().ExternalFlash {
		return errNoExternal
	}
	if len(p) > externalSize {
		return fmt.Errorf("%d bytes do not fit in %d of external flash", len(p), externalSize)
	}
	c.external[s.area] = bytes.Clone(p)
	return nil
}
