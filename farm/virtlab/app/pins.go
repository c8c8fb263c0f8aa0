package app

import (
	"fmt"
	"strings"
)

// gpioPins is the number of the module's GPIO pins.
const gpioPins = 16

// pin is how GPIOC has set one pin.
type pin struct {
	used, out bool
	irq       byte // 0, R, F or B
}

// pinConfigure is GPIOC=n,in|out[,0|R|F|B].
func (a *App) pinConfigure(g arguments) {
	n, ok := g.number(0, 0, gpioPins-1)
	irq := strings.ToUpper(g.at(2))
	if !ok || !oneOf(g.at(1), "in", "out") || !oneOf(irq, "", "0", "R", "F", "B") {
		a.fail(a.p.Texts.Invalid)
		return
	}
	p := pin{used: true, out: oneOf(g.at(1), "out")}
	if irq != "" && irq != "0" && !p.out {
		p.irq = irq[0]
	}
	a.gpio[n] = p
	if p.out {
		a.host.SetGPIO(n, false)
	}
	a.ok()
}

// pinRead is GPIOR=n.
func (a *App) pinRead(g arguments) {
	n, ok := g.number(0, 0, gpioPins-1)
	if !ok || !a.gpio[n].used {
		a.fail(a.p.Texts.Invalid)
		return
	}
	direction := "in"
	if a.gpio[n].out {
		direction = "out"
	}
	a.info("GPIO %d = %d,%s", n, boolNumber(a.host.GPIO(n)), direction)
	a.ok()
}

// pinWrite is GPIOW=n,v.
func (a *App) pinWrite(g arguments) {
	n, ok := g.number(0, 0, gpioPins-1)
	v, good := g.number(1, 0, 1)
	if !ok || !good || !a.gpio[n].out {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.host.SetGPIO(n, v == 1)
	a.ok()
}

// GPIOChanged tells the firmware of an edge on one of its pins. It is for the
// host, on the loop.
func (a *App) GPIOChanged(n int, high bool) {
	if n < 0 || n >= gpioPins {
		return
	}
	p := a.gpio[n]
	if p.irq == 'B' || p.irq == 'R' && high || p.irq == 'F' && !high {
		a.wind(windGPIO, fmt.Sprintf("GPIO%d %d", n, boolNumber(high)))
	}
}

// pinsEnabled is gpio_enable: one bit for each pin in use.
func (a *App) pinsEnabled() int {
	mask := 0
	for i, p := range a.gpio {
		mask |= boolNumber(p.used) << i
	}
	return mask
}

// analogRead is ADC. The virtual module's pins are at half of the supply.
func (a *App) analogRead(g arguments) {
	n, ok := g.number(0, 0, gpioPins-1)
	if !ok {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.info("GPIO %d ADC value = 1250 mV", n)
	a.ok()
}

// analogWrite is DAC.
func (a *App) analogWrite(g arguments) {
	if _, ok := g.number(0, 0, 2500); !ok {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.ok()
}

// pulseWidth is PWM.
func (a *App) pulseWidth(g arguments) {
	_, ok := g.number(0, 0, 10000)
	if g.at(1) != "" && ok {
		_, ok = g.number(1, 0, 100)
	}
	if !ok {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.ok()
}
