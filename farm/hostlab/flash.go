package hostlab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hil-runner/farm"
	"hil-runner/firmware"
	"hil-runner/recorder"
	"hil-runner/reports"
)

// flasher puts firmware onto the module through its boot ROM.
type flasher struct{ h *hand }

// flashAttempts is one try and one more after a power cycle.
const flashAttempts = 2

// Flash flashes the image, starts the module and compares the build that it
// reports with the catalogue's. A failed flash is an InfraError with the code
// flash_<stage>; a verified flash whose module reports another build is a
// FirmwareError with the code version_mismatch. Whatever happens, the module is
// not left in its boot ROM. Bytes of the flashing are not for Read.
func (f flasher) Flash(ctx context.Context, req farm.FlashRequest, progress func(string, int, int)) (reports.Flash, error) {
	if err := f.h.check(); err != nil {
		return reports.Flash{}, err
	}
	o := f.h.o
	img, err := o.cfg.Image(req)
	if err != nil {
		return reports.Flash{}, err
	}
	board := o.dev.Board
	j := &flashJob{o: o, img: img, req: req, progress: progress,
		out: reports.Flash{Release: img.Release, Build: img.Build, SHA256: img.Hash(), Signature: img.Signature}}
	if img.Model != "" && board.Model != "" && img.Model != board.Model {
		return j.out, &farm.UsageError{Text: fmt.Sprintf("image %s is for %s, board %s is a %s", img.Release, img.Model, o.id(), board.Model)}
	}
	err = f.h.operate(ctx, func(ctx context.Context) error {
		limit := board.Limits.Flash
		ctx, cancel := context.WithTimeoutCause(ctx, limit, &farm.LimitError{Limit: "flash", After: limit.String(), Doing: o.where() + ": flash"})
		defer cancel()
		err := j.run(ctx)
		f.h.skipTo(j.after)
		return err
	})
	return j.out, err
}

// flashJob is one image on its way onto one module.
type flashJob struct {
	o        *owner
	img      firmware.Image
	req      farm.FlashRequest
	progress func(stage string, done, total int)
	store    *firmware.Passports
	passport *firmware.Passport
	out      reports.Flash
	// after is where the module's last start begins.
	after recorder.Offset
}

// run flashes, a second time if the first failed in a way that another try may
// change.
func (j *flashJob) run(ctx context.Context) error {
	var err error
	if j.store, err = j.o.passports(); err != nil {
		return stateError(err)
	}
	defer j.store.Close()
	if err := j.loadPassport(); err != nil {
		return err
	}
	started := time.Now()
	for j.out.Attempts = 1; ; j.out.Attempts++ {
		if err = j.attempt(ctx); err == nil {
			break
		}
		_, cause := farm.CauseOf(err)
		j.out.Causes = append(j.out.Causes, cause)
		if ctx.Err() != nil || j.out.Attempts == flashAttempts || !retriable(err) {
			break
		}
		if cycle := j.o.cyclePower(ctx); cycle != nil {
			err = errors.Join(err, cycle)
			break
		}
	}
	j.out.Duration = time.Since(started)
	return j.note(err)
}

// loadPassport reads what is known of the module.
func (j *flashJob) loadPassport() (err error) {
	j.passport, err = j.store.Load(j.o.id())
	if j.passport == nil {
		return stateError(err)
	}
	if err != nil {
		// What the passport said is lost; flashing is not.
		j.o.note(recorder.KindNote, "passport_void", map[string]any{"reason": err.Error()})
	}
	return nil
}

// retriable is false for what another try cannot change.
func retriable(err error) bool {
	var infra *farm.InfraError
	return errors.As(err, &infra) && strings.HasPrefix(infra.Code, "flash_")
}

// note puts the end of the flashing onto the journal.
func (j *flashJob) note(err error) error {
	attrs := map[string]any{"ok": err == nil, "result": j.out}
	if err != nil {
		attrs["error"] = err.Error()
	}
	_, eventErr := j.o.event(recorder.KindFlash, "flash_ended", attrs)
	if err != nil {
		return err // a journal that fails too has told so by ending the port
	}
	return eventErr
}

// flashError names board and stage. When the port went away, a limit fired or
// somebody ended the flashing, that is the cause, and what the flasher says of
// it only tells how far it had come.
func (j *flashJob) flashError(ctx context.Context, err error) error {
	o := j.o
	if err == nil {
		return nil
	}
	if o.alive.Err() != nil {
		return fmt.Errorf("%w: while flashing: %v", context.Cause(o.alive), err)
	}
	at, known := errors.AsType[*firmware.Error](err)
	cause := context.Cause(ctx)
	if cause != nil && !errors.As(cause, new(*farm.LimitError)) {
		return fmt.Errorf("%s: the flashing was interrupted: %w (%v)", o.where(), cause, err)
	}
	code := "flash_enter" // a limit may fire before the first byte
	switch {
	case known:
		code = "flash_" + string(at.Stage)
	case cause != nil:
	case j.out.WireBytes == 0:
		// Refused before the first byte: the image is not for this board.
		return &farm.UsageError{Text: fmt.Sprintf("board %s: %v", o.id(), err)}
	default:
		return stateError(err) // flashed, but the passport could not be kept
	}
	if cause != nil {
		err = fmt.Errorf("%w (%v)", cause, err)
	}
	return &farm.InfraError{Code: code, Detail: o.where(), Err: err}
}
