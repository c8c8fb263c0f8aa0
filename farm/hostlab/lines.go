package hostlab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hil-runner/farm"
	"hil-runner/gpio"
	"hil-runner/recorder"
)

// minimumOff is how long a supply stays off, so that the module's capacitors
// are empty.
const minimumOff = 200 * time.Millisecond

// lineState is what the owner last did to the lines.
type lineState struct {
	powered bool      // the supply was switched on and not off since
	offAt   time.Time // when the supply was switched off
	rom     bool      // BOOT0 selects the boot ROM
	away    bool      // the board is held in reset or off
}

// drive operates one line; a board without it needs nothing done. Once begun
// it is carried through: a request that was given up half-way could still take
// effect later, after its opposite.
func (o *owner) drive(ctx context.Context, role gpio.Role, assert bool) error {
	line := o.lines[role]
	if line == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx) // a line has a limit of its own
	doing, act := "release", line.Release
	if assert {
		doing, act = "assert", line.Assert
	}
	if err := act(ctx); err != nil {
		return &farm.InfraError{Code: "line", Detail: fmt.Sprintf("board %s: %s %s", o.id(), doing, role), Err: err}
	}
	return nil
}

// selectROM sets what the next reset starts. It is on the journal before.
func (o *owner) selectROM(ctx context.Context, rom bool) error {
	if o.lines[gpio.Boot0] != nil && o.state.rom != rom {
		if _, err := o.event(recorder.KindBoot, "boot0", map[string]any{"rom": rom}); err != nil && rom {
			return err // leaving the boot ROM goes on, whatever the journal says
		}
	}
	if err := o.drive(ctx, gpio.Boot0, rom); err != nil {
		return err
	}
	o.state.rom = rom
	return nil
}

// setPower switches the supply. It stays off for minimumOff at least.
func (o *owner) setPower(ctx context.Context, on bool) error {
	if o.lines[gpio.Power] == nil {
		return nil
	}
	if on && !o.state.powered {
		if err := pause(ctx, time.Until(o.state.offAt.Add(minimumOff))); err != nil {
			return err
		}
	}
	if on != o.state.powered {
		// Cutting the supply goes on, whatever the journal says.
		if _, err := o.event(recorder.KindPower, "power", map[string]any{"on": on}); err != nil && on {
			return err
		}
	}
	if on && !o.state.powered {
		o.watch.expect(o.journal.End())
	}
	if err := o.drive(ctx, gpio.Power, on); err != nil {
		return err
	}
	if o.state.powered && !on {
		o.state.offAt = time.Now()
	}
	o.state.powered = on
	return nil
}

// idle brings a board that was just opened into its idle state. What a dead
// owner left is noted and undone: a module that it left in its boot ROM or
// with half a command open starts afresh.
func (o *owner) idle(ctx context.Context) error {
	left := o.session.leftBy
	if left != "" {
		if _, err := o.event(recorder.KindNote, "left_unparked", map[string]any{"owner": left}); err != nil {
			return err
		}
	}
	inROM := o.doubtPassport(ctx)
	// Until it was set, a line is what the last owner made of it.
	o.state.rom = o.state.rom || inROM || left != ""
	err := o.idleLines(ctx)
	if err != nil {
		return err
	}
	if left == "" && !inROM || o.state.away {
		return nil
	}
	after := o.journal.End()
	if o.lines[gpio.Reset] == nil {
		if err := o.cyclePower(ctx); err != nil || o.lines[gpio.Power] == nil {
			return err
		}
	} else if after, err = o.pulse(ctx, 0); err != nil {
		return err
	}
	if p := o.readPassport(); p == nil || p.Interrupted == nil {
		o.awaitStart(ctx, after) // else there is nothing that could start
	}
	return nil
}

// readyLines releases what keeps a module from running: user flash selected,
// supply on, reset released.
func (o *owner) readyLines(ctx context.Context) error {
	err := errors.Join(o.selectROM(ctx, false), o.drive(ctx, gpio.GPIO0, false))
	if o.state.away {
		// A module whose reset comes back here starts: no surprise.
		o.watch.expect(o.journal.End())
	}
	err = errors.Join(err, o.setPower(ctx, true), o.drive(ctx, gpio.Reset, false))
	o.state.away = o.state.away && err != nil
	return err
}

// idleLines brings the lines into the state that the lab file declares for a
// board that nobody uses.
func (o *owner) idleLines(ctx context.Context) error {
	held := o.dev.Idle == farm.IdleHeld && o.lines[gpio.Reset] != nil
	off := o.dev.Idle == farm.IdleOff && o.lines[gpio.Power] != nil
	if !held && !off {
		return o.readyLines(ctx)
	}
	err := errors.Join(o.selectROM(ctx, false), o.drive(ctx, gpio.GPIO0, false))
	if held {
		// Reset first: a module whose supply comes back must not start.
		err = errors.Join(err, o.drive(ctx, gpio.Reset, true), o.setPower(ctx, true))
	} else {
		err = errors.Join(err, o.setPower(ctx, false), o.drive(ctx, gpio.Reset, false))
	}
	o.state.away = true
	return err
}

// park brings the board into its idle state and says so in the journal.
func (o *owner) park(ctx context.Context) error {
	if err := o.take(ctx); err != nil {
		return err
	}
	defer o.give()
	err := o.idleLines(ctx)
	attrs := map[string]any{"ok": err == nil, "idle": o.dev.Idle}
	if err != nil {
		attrs["error"] = err.Error()
	}
	_, eventErr := o.event(recorder.KindControl, "parked", attrs)
	if o.alive.Err() != nil {
		eventErr = nil // what ended the port has been told already
	}
	return errors.Join(err, eventErr)
}

// pulse drives reset low for hold and releases it, whatever happens between.
// after is where in the journal the module's new start begins.
func (o *owner) pulse(ctx context.Context, hold time.Duration) (after recorder.Offset, err error) {
	line := o.lines[gpio.Reset]
	if line == nil {
		return 0, &farm.InfraError{Code: "no_reset_line", Detail: fmt.Sprintf("board %s has no reset line in the lab file", o.id())}
	}
	if hold <= 0 {
		hold = o.dev.Board.Limits.Pulse
	}
	// From here on the watch reads without delay, so that what the module said
	// before the pulse is on the journal before the pulse's end.
	o.watch.expect(o.journal.End())
	if _, err := o.event(recorder.KindReset, "reset", map[string]any{"hold_ns": hold, "line": line.String()}); err != nil {
		return 0, err
	}
	err = o.drive(ctx, gpio.Reset, true)
	if err == nil {
		err = pause(ctx, hold)
	}
	after = o.journal.End()
	o.watch.expect(after)
	// Released even if ctx ended: a reset that stays asserted is a dead board.
	err = errors.Join(err, o.drive(context.WithoutCancel(ctx), gpio.Reset, false))
	if ctx.Err() != nil {
		return after, context.Cause(ctx)
	}
	if err != nil {
		return after, err
	}
	return after, pause(ctx, o.dev.Board.Limits.Settle)
}

// cyclePower is the escalation between two tries; a board without a power
// line gets a reset, one without both gets nothing.
func (o *owner) cyclePower(ctx context.Context) error {
	switch {
	case o.lines[gpio.Power] != nil:
		off := o.setPower(ctx, false)
		return errors.Join(off, o.setPower(context.WithoutCancel(ctx), true))
	case o.lines[gpio.Reset] != nil:
		_, err := o.pulse(ctx, 0)
		return err
	}
	return nil
}

// pause holds a line for a time that the hardware asks for.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
