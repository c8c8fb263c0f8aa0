// Package gpio drives the four lines of a module: RESETn, BOOT0, GPIO0 and the
// switch of its supply. Polarity and the open-drain discipline of RESETn live
// here and nowhere else; callers only assert and release.
//
// A line is a periph pin of this host, or a line of a board that another
// process serves on a control socket.
package gpio

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Line is one line of a board. Its calls act at once, may be repeated, and are
// safe for concurrent use. ctx bounds the call; a cancelled ctx changes
// nothing. String names the line for messages and touches no hardware.
type Line interface {
	Assert(ctx context.Context) error
	Release(ctx context.Context) error
	String() string
}

// Role says which line of the module it is, and with it what asserted means.
//
//	role    asserted                      released                parked
//	reset   module held in reset: low     input, module runs      released
//	boot0   boot ROM at next reset: high  low, user flash         released
//	gpio0   high                          low                     released
//	power   supply on: high               supply off: low         asserted
//
// Opening a reset line makes it an input, so that whatever a dead owner left
// behind is released; opening any other line changes nothing electrically.
type Role string

const (
	// Reset is RESETn. It is open drain: asserted drives low, released is an
	// input. The module pulls its own RESETn low when AT+CFUN=1 restarts it,
	// and hangs if a host holds it high, so nothing here ever drives it high.
	Reset Role = "reset"
	// Boot0 chooses the boot ROM at the next reset (AN3155, AN2606).
	Boot0 Role = "boot0"
	// GPIO0 high at boot restores the factory state on some releases.
	GPIO0 Role = "gpio0"
	// Power is the supply. Asserted means supplied: releasing it cuts the
	// power, and so the parked state of this one line is asserted.
	Power Role = "power"
)

// Roles lists every Role.
func Roles() []Role { return []Role{Reset, Boot0, GPIO0, Power} }

// LineSpec says where a line is.
type LineSpec struct {
	Role Role
	// Address is a name known to gpioreg ("GPIO17", a line's own name, a
	// registered virtual pin), "chip-label/offset" for a line of a gpiochip,
	// or "sock:PATH#line" for a line of a control socket, line being reset,
	// boot0, gpio0 or power.
	Address string
	// ActiveLow inverts the role's usual polarity; nil means the usual one:
	// true for reset, false for the others. ActiveLow false on reset says
	// that a transistor between host and module inverts the line and is then
	// itself the open drain: asserted drives the host's pin high, released
	// drives it low.
	ActiveLow *bool
}

var (
	// ErrRole is an unknown role.
	ErrRole = errors.New("unknown role of a line")
	// ErrAddress is an address that no form of LineSpec.Address matches.
	ErrAddress = errors.New("malformed line address")
	// ErrUnknownLine is an address that is well formed and names nothing here.
	ErrUnknownLine = errors.New("no such line on this host")
	// ErrRefused is an answer of a control socket other than ok.
	ErrRefused = errors.New("control socket refused")
)

// Open finds the line. For pins of this host, call Host once before.
func Open(spec LineSpec) (Line, error) {
	asserted, released, err := levels(spec)
	if err != nil {
		return nil, err
	}
	if spec.Address == "" {
		return nil, fmt.Errorf("%s line: %w: it is empty; give a pin name, chip-label/offset or sock:PATH#line", spec.Role, ErrAddress)
	}
	name := fmt.Sprintf("%s line %s", spec.Role, spec.Address)
	l := &line{name: name, asserted: asserted, released: released}
	if rest, ok := strings.CutPrefix(spec.Address, "sock:"); ok {
		if l.door, err = openSocket(rest); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return l, nil
	}
	p, err := findPin(spec.Address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return onPin(l, spec, p)
}

// level is what a host does to a line.
type level string

const (
	low   level = "low"
	high  level = "high"
	float level = "float"
)

// levels gives the electrical meaning of asserted and released.
func levels(spec LineSpec) (asserted, released level, err error) {
	var activeLow bool
	switch spec.Role {
	case Reset:
		activeLow = true
	case Boot0, GPIO0, Power:
	default:
		return "", "", fmt.Errorf("%w: %q is none of %v", ErrRole, spec.Role, Roles())
	}
	if spec.ActiveLow != nil {
		activeLow = *spec.ActiveLow
	}
	switch {
	case spec.Role == Reset && activeLow:
		return low, float, nil
	case activeLow:
		return low, high, nil
	}
	return high, low, nil
}

// door reaches a line electrically.
type door interface {
	set(ctx context.Context, l level) error
}

// line puts the polarity before a door and lets one call through at a time.
type line struct {
	name               string
	asserted, released level
	mu                 sync.Mutex
	door               door
}

func (l *line) String() string { return l.name }

func (l *line) Assert(ctx context.Context) error { return l.set(ctx, "assert", l.asserted) }

func (l *line) Release(ctx context.Context) error { return l.set(ctx, "release", l.released) }

func (l *line) set(ctx context.Context, what string, to level) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %s: %w", l.name, what, err)
	}
	if err := l.door.set(ctx, to); err != nil {
		return fmt.Errorf("%s: %s (drive %s): %w", l.name, what, to, err)
	}
	return nil
}
