package gpio

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/host/v3/gpioioctl"
)

// Pin makes a line of a periph pin that the caller has already. spec.Address
// is used for messages only.
func Pin(spec LineSpec, p gpio.PinIO) (Line, error) {
	asserted, released, err := levels(spec)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, fmt.Errorf("%s line %s: %w: no pin", spec.Role, spec.Address, ErrUnknownLine)
	}
	l := &line{name: fmt.Sprintf("%s line %s", spec.Role, spec.Address), asserted: asserted, released: released}
	return onPin(l, spec, p)
}

// onPin gives l its pin. A line whose released state is an input is made an
// input before anything else can happen to it: an owner that died with reset
// asserted on a driver that keeps levels (sysfs) is undone here, and on
// gpioioctl the line has been requested without ever being an output.
func onPin(l *line, spec LineSpec, p gpio.PinIO) (Line, error) {
	l.door = pinDoor{p}
	if l.released == float {
		if err := input(p); err != nil {
			return nil, fmt.Errorf("%s: make it an input: %w%s", l.name, err, busyHint(err))
		}
	}
	return l, nil
}

// pinDoor drives a periph pin. It calls In and Out and nothing else:
//
//   - Never Read, Func or Function: on a gpioioctl line that is an output they
//     turn it into an input with pull-up, which releases a held reset.
//   - Never WaitForEdge: gpioioctl takes -1 and 0 the other way round than the
//     interface says, and a line removed from the host wakes nobody.
//   - Never Close of a gpioioctl chip: it closes file descriptor 0.
//   - The first Out(High) of a gpioioctl line drives it low first, for about a
//     millisecond. Reset is safe from that, since it is never driven high. A
//     line with ActiveLow that rests high is not: its first release pulses it.
//   - Chips are read once, when the process starts. A line whose chip went
//     away gives ENODEV until the process is started again.
type pinDoor struct{ pin gpio.PinIO }

func (d pinDoor) set(_ context.Context, l level) error {
	var err error
	switch l {
	case low:
		err = d.pin.Out(gpio.Low)
	case high:
		err = d.pin.Out(gpio.High)
	case float:
		err = input(d.pin)
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, busyHint(err))
	}
	return nil
}

// input lets the pin float, so that the module's own pull-up decides. Drivers
// that cannot set a bias refuse Float; for them the bias stays as it is.
func input(p gpio.PinIO) error {
	err := p.In(gpio.Float, gpio.NoEdge)
	if err == nil {
		return nil
	}
	if again := p.In(gpio.PullNoChange, gpio.NoEdge); again == nil {
		return nil
	}
	return err
}

// findPin resolves the address of a pin of this host.
func findPin(address string) (gpio.PinIO, error) {
	if p := gpioreg.ByName(address); p != nil {
		return p, nil
	}
	if i := strings.LastIndexByte(address, '/'); i > 0 {
		if offset, err := strconv.Atoi(address[i+1:]); err == nil {
			return findOffset(address[:i], offset)
		}
	}
	names := pinNames()
	return nil, fmt.Errorf("%w: %q%s", ErrUnknownLine, address, suggest(address, names))
}

// findOffset resolves "chip-label/offset". Unnamed lines of a chip are reached
// only this way, and a label survives a change of the chips' order.
func findOffset(chip string, offset int) (gpio.PinIO, error) {
	var found []*gpioioctl.GPIOChip
	var labels []string
	for _, c := range gpioioctl.Chips {
		labels = append(labels, c.Label())
		if c.Label() == chip || c.Name() == chip || c.Path() == chip {
			found = append(found, c)
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("%w: no gpiochip %q%s", ErrUnknownLine, chip, suggest(chip, labels))
	case len(found) > 1:
		return nil, fmt.Errorf("%w: %d gpiochips have the label %q; use the chip's name, such as %s/%d",
			ErrUnknownLine, len(found), chip, found[0].Name(), offset)
	}
	c := found[0]
	if offset < 0 || offset >= c.LineCount() {
		return nil, fmt.Errorf("%w: gpiochip %q has the lines 0 to %d, not %d", ErrUnknownLine, chip, c.LineCount()-1, offset)
	}
	l := c.ByNumber(offset)
	if l == nil {
		return nil, fmt.Errorf("%w: gpiochip %q has no line %d", ErrUnknownLine, chip, offset)
	}
	return l, nil
}

func pinNames() []string {
	var names []string
	for _, p := range gpioreg.All() {
		names = append(names, p.Name())
	}
	for _, p := range gpioreg.Aliases() {
		names = append(names, p.Name())
	}
	return names
}

// busyHint says what to do about the commonest errors of a gpiochip.
func busyHint(err error) string {
	switch {
	case errors.Is(err, errBusy):
		return " (another process, or an export in /sys/class/gpio, holds it)"
	case errors.Is(err, errGone):
		return " (its gpiochip was removed; start this process again)"
	case errors.Is(err, errForbidden):
		return " (no right to its gpiochip; is this user in the group gpio?)"
	}
	return ""
}
