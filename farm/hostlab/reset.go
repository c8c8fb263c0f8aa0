package hostlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"hil-runner/console"
	"hil-runner/farm"
	"hil-runner/gpio"
	"hil-runner/recorder"
	"hil-runner/spwf"
)

// Reset pulses RESETn and waits for a newer banner. A module that speaks but
// shows none may have another speed saved, which is then found.
func (h *hand) Reset(ctx context.Context, hold time.Duration) error {
	return h.operate(ctx, func(ctx context.Context) error {
		_, err := h.o.reset(ctx, hold)
		return err
	})
}

// reset carries a reset out; after is where the module's new start begins.
func (o *owner) reset(ctx context.Context, hold time.Duration) (after recorder.Offset, err error) {
	began := time.Now()
	defer func() { o.noteReset(began, err) }()
	if after, err = o.resetOnce(ctx, hold); err == nil {
		o.comparePassport()
	}
	if !errors.Is(err, farm.ErrResetIneffective) {
		return after, err
	}
	switch heard, legible := o.watch.heard(); {
	case heard == 0:
		return after, o.silent(ctx, err)
	case !legible:
		return o.otherSpeed(ctx, hold, err)
	}
	return after, err
}

// noteReset puts the reply of a reset onto the journal.
func (o *owner) noteReset(began time.Time, err error) {
	attrs := map[string]any{"ok": err == nil, "took_ms": time.Since(began).Milliseconds()}
	if err != nil {
		attrs["error"] = err.Error()
	} else {
		attrs["build"] = o.watch.build()
	}
	o.note(recorder.KindReset, "reset_ended", attrs)
}

// resetOnce pulses once and waits for the banner.
func (o *owner) resetOnce(ctx context.Context, hold time.Duration) (after recorder.Offset, err error) {
	if after, err = o.pulse(ctx, hold); err != nil {
		return after, err
	}
	return after, o.awaitBanner(ctx, after, "reset_ineffective", "reset by "+o.lines[gpio.Reset].String())
}

// awaitBanner waits for a banner newer than what was done at after.
func (o *owner) awaitBanner(ctx context.Context, after recorder.Offset, code, doing string) error {
	limit := o.dev.Board.Limits.Banner
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	gone := context.AfterFunc(o.alive, cancel)
	defer gone()
	if o.watch.bannerAfter(waiting, after) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if o.alive.Err() != nil {
		return context.Cause(o.alive)
	}
	heard, legible := o.watch.heard()
	next := "check the line, BOOT0 and the supply"
	switch {
	case legible:
		next = "the module speaks, but it did not start anew: check that the line reaches it"
	case heard > 0:
		next = "the module speaks, but not legibly: check console1_speed and the UART's ground"
	}
	err := &farm.InfraError{Code: code, Detail: fmt.Sprintf(
		"%s: no banner within %v (limit banner) after %s; %d bytes came; %s", o.where(), limit, doing, heard, next)}
	if !errors.Is(err, farm.ErrResetIneffective) {
		err.Err = farm.ErrResetIneffective
	}
	return err
}

// awaitStart lets a module that was just started come up, so that its banner is
// not taken for that of a later reset. One that does not come up is for its
// next user to find.
func (o *owner) awaitStart(ctx context.Context, after recorder.Offset) {
	ctx, cancel := context.WithTimeout(ctx, o.dev.Board.Limits.Banner)
	defer cancel()
	gone := context.AfterFunc(o.alive, cancel)
	defer gone()
	_ = o.watch.bannerAfter(ctx, after)
}

// silent looks closer at a module that said nothing after a reset: it may have
// started its boot ROM, because somebody else holds BOOT0, or have only half a
// firmware.
func (o *owner) silent(ctx context.Context, err error) error {
	if !o.romAnswers(ctx) {
		if p := o.readPassport(); p != nil && p.Interrupted != nil {
			err = fmt.Errorf("%w; its last flashing, at %s, did not come to its end: flash it again", err, p.Interrupted.When.Local().Format(time.DateTime))
		}
		return err
	}
	o.voidPassport("the module was in its boot ROM, which nobody of this program had asked for")
	return &farm.InfraError{Code: "reset_ineffective", Detail: fmt.Sprintf(
		"%s: the reset started the boot ROM: BOOT0 is high, though %s was released; see who else drives it",
		o.where(), o.lineName(gpio.Boot0)), Err: err}
}

func (o *owner) lineName(role gpio.Role) string {
	if line := o.lines[role]; line != nil {
		return line.String()
	}
	return "its line, which the lab file does not name,"
}

// The bytes of the boot ROM's auto-baud (AN3155 2): it answers the first 0x7F
// with ACK, and a second one, which is no command, with NACK.
const (
	romInit = 0x7F
	romAck  = 0x79
	romNack = 0x1F
	// romPatience is how long an answer may take, the adapter's own delay
	// included.
	romPatience = 150 * time.Millisecond
)

// romAnswers asks whether the boot ROM listens. An application takes the two
// bytes for noise, since no command begins with them.
func (o *owner) romAnswers(ctx context.Context) bool {
	o.watch.pause(true)
	defer o.watch.pause(false)
	if o.port.SetMode(console.Mode{Baud: o.dev.FlashBaud, Parity: console.Even}) != nil {
		return false // the port's end is told elsewhere
	}
	defer func() { _ = o.port.SetMode(o.consoleMode()) }()
	port := o.exchange()
	defer port.close()
	if !quiet(port) {
		return false
	}
	var reply [64]byte
	for range 2 {
		if _, err := port.Write([]byte{romInit}); err != nil || ctx.Err() != nil {
			return false
		}
		if port.SetReadDeadline(time.Now().Add(romPatience)) != nil {
			return false
		}
		if n, _ := port.Read(reply[:]); n > 0 {
			// Both answers at once, if the first was late; nothing else.
			return n <= 2 && len(bytes.Trim(reply[:n], string([]byte{romAck, romNack}))) == 0
		}
	}
	return false
}

// quietTime is a silence between two things that a module says, noisyTime how
// long it is waited for.
const (
	quietTime = 20 * time.Millisecond
	noisyTime = 300 * time.Millisecond
)

// quiet waits until what the module said before has been read. One that goes
// on talking is none that waits in its boot ROM.
func quiet(port *exchangePort) bool {
	var said [1024]byte
	for end := time.Now().Add(noisyTime); time.Now().Before(end); {
		if port.SetReadDeadline(time.Now().Add(quietTime)) != nil {
			return false
		}
		if n, err := port.Read(said[:]); n == 0 {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
	return false
}

// searchBanner bounds the wait for a banner at each speed that is tried: a
// module that has just spoken does not take long to start.
const searchBanner = 3 * time.Second

// otherSpeed looks for the speed at which the banner is legible, and keeps it.
func (o *owner) otherSpeed(ctx context.Context, hold time.Duration, cause error) (recorder.Offset, error) {
	port := o.exchange()
	defer port.close()
	baud, err := spwf.FindBaud(ctx, port,
		func(ctx context.Context) error {
			_, err := o.pulse(ctx, hold)
			return err
		},
		spwf.Options{Board: o.id(), Limits: spwf.Limits{Banner: min(o.dev.Board.Limits.Banner, searchBanner)}})
	if err != nil {
		return 0, errors.Join(cause, err, o.uartError(o.port.SetMode(o.consoleMode())))
	}
	o.note(recorder.KindNote, "baud_found", map[string]any{"baud": baud, "expected": o.dev.Baud})
	o.dev.Baud = baud // found by this owner; the lab file's is only where it starts
	return o.resetOnce(ctx, hold)
}
