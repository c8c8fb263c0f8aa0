package spwf

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// BaudPort is a Port whose speed can be set.
type BaudPort interface {
	Port
	SetBaud(baud int) error
}

// Bauds lists the speeds of console1_speed that FindBaud tries, in its order.
func Bauds() []int { return []int{115200, 9600, 19200, 38400, 57600, 230400, 460800, 921600} }

// ErrNoBaud says that the module was not heard at any speed.
var ErrNoBaud = errors.New("no banner at any speed")

// BaudError is a search that found no speed.
type BaudError struct {
	Board string
	Tried []BaudTry
}

// BaudTry is one speed and how many bytes came at it.
type BaudTry struct {
	Baud, Bytes int
}

// Error lists the speeds. Bytes at some of them mean that the module lives.
func (e *BaudError) Error() string {
	parts := make([]string, len(e.Tried))
	heard := 0
	for n, t := range e.Tried {
		parts[n] = fmt.Sprintf("%d: %d bytes", t.Baud, t.Bytes)
		heard += t.Bytes
	}
	s := where(e.Board, "find the speed") + ErrNoBaud.Error() + " (" + strings.Join(parts, ", ") + ")"
	if heard == 0 {
		return s + "; the module says nothing: check power, BOOT0, RESETn and console1_hwfc, or restore factory settings by GPIO0"
	}
	return s + "; the module sends something: restore factory settings by GPIO0 high at its start"
}

// Is makes every BaudError match ErrNoBaud.
func (e *BaudError) Is(target error) bool { return target == ErrNoBaud }

// FindBaud sets one speed after the other, resets the module, and looks for
// the banner, whose "Poweron" no other speed gives. It returns the first
// speed that fits and leaves the port at it. Options.Limits.Banner bounds the
// wait at each speed. reset only has to pulse the line: at a wrong speed it sees
// no banner and must not make that an error.
func FindBaud(ctx context.Context, port BaudPort, reset func(context.Context) error, opt Options) (int, error) {
	opt = opt.withDefaults()
	failed := &BaudError{Board: opt.Board}
	for _, baud := range Bauds() {
		if err := port.SetBaud(baud); err != nil {
			return 0, fmt.Errorf("%sset %d baud: %w", where(opt.Board, "find the speed"), baud, err)
		}
		if err := discardInput(ctx, port); err != nil {
			return 0, fmt.Errorf("%s%w", where(opt.Board, "find the speed"), err)
		}
		if err := reset(ctx); err != nil {
			return 0, fmt.Errorf("%sreset at %d baud: %w", where(opt.Board, "find the speed"), baud, err)
		}
		got, found, err := listen(ctx, port, opt.Limits.Banner)
		if err != nil {
			return 0, fmt.Errorf("%s%w", where(opt.Board, "find the speed"), err)
		}
		if found {
			return baud, nil
		}
		failed.Tried = append(failed.Tried, BaudTry{Baud: baud, Bytes: got})
	}
	return 0, failed
}

// discardInput throws away what was sent at an earlier speed.
func discardInput(ctx context.Context, port Port) error {
	r := watch(ctx, port)
	defer r.release()
	buf := make([]byte, 1024)
	for end := time.Now().Add(dirtyMax); time.Now().Before(end); {
		_, err := r.read(buf, time.Now().Add(dirtyQuiet))
		if errors.Is(err, errSilent) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// gibberish is how much a wrong speed gives before the next one is tried, if
// the module then falls silent.
const gibberish = 16

// listen looks for the banner. A module that sent something else and fell
// silent for a second ends it early.
func listen(ctx context.Context, port Port, within time.Duration) (got int, found bool, err error) {
	r := watch(ctx, port)
	defer r.release()
	var s Scanner
	legible := false
	buf := make([]byte, 1024)
	for end := time.Now().Add(within); ; {
		until := end
		if early := time.Now().Add(time.Second); got >= gibberish && !legible && early.Before(end) {
			until = early
		}
		n, err := r.read(buf, until)
		if errors.Is(err, errSilent) {
			return got, false, nil
		}
		if err != nil {
			return got, false, err
		}
		got += n
		s.Feed(buf[:n], func(ev Event) bool {
			legible = legible || ev.IsIndication
			found = found || ev.IsIndication && ev.Indication.ID == WindPoweron && strings.Contains(ev.Indication.Text, "Poweron")
			return !found
		})
		if found {
			return got, true, nil
		}
		if time.Now().After(end) {
			return got, false, nil
		}
	}
}
