package hostlab

import (
	"context"
	"errors"
	"fmt"

	"hil-runner/console"
	"hil-runner/farm"
	"hil-runner/firmware"
	"hil-runner/recorder"
	"hil-runner/spwf"
)

// attempt flashes once and brings the module back up.
func (j *flashJob) attempt(ctx context.Context) error {
	if j.req.TrustPassport {
		if done, err := j.trusted(ctx); done || err != nil {
			return err
		}
	}
	flashed := j.throughROM(ctx)
	left := j.leaveROM(flashed != nil)
	if err := errors.Join(flashed, left); err != nil {
		return err
	}
	return j.started(ctx)
}

// trusted accepts the passport if a fresh banner agrees with it.
func (j *flashJob) trusted(ctx context.Context) (bool, error) {
	after, err := j.o.reset(ctx, 0)
	if ctx.Err() != nil || j.o.alive.Err() != nil {
		return false, err
	}
	if err != nil {
		return false, nil // a module that does not start is flashed
	}
	// The reset may have voided the passport on disk.
	if err := j.loadPassport(); err != nil {
		return false, err
	}
	reported := j.img.Build
	if spwf.ParseBuild(j.o.watch.build()).ID() != spwf.ParseBuild(reported).ID() || !j.passport.Proves(j.img, reported) {
		return false, nil
	}
	j.out.Strategy, j.after = string(firmware.ByPassport), after
	return true, nil
}

// throughROM starts the boot ROM and flashes.
func (j *flashJob) throughROM(ctx context.Context) error {
	o := j.o
	if _, err := o.event(recorder.KindFlash, "flash_begins", map[string]any{
		"release": j.img.Release, "build": j.img.Build, "sha256": j.img.Hash(), "attempt": j.out.Attempts}); err != nil {
		return err
	}
	o.watch.pause(true)
	if err := o.selectROM(ctx, true); err != nil {
		return j.enterError(ctx, err)
	}
	if _, err := o.pulse(ctx, 0); err != nil {
		return j.enterError(ctx, err)
	}
	if err := o.port.SetMode(console.Mode{Baud: o.dev.FlashBaud, Parity: console.Even}); err != nil {
		return o.uartError(err)
	}
	port := o.exchange()
	defer port.close()
	res, err := firmware.Flash(ctx, port, j.img, firmware.Options{
		Model: o.dev.Board.Model, Baud: o.dev.FlashBaud, Passport: j.passport, Progress: j.show})
	j.out.Strategy = string(res.Strategy)
	j.out.PagesErased += res.PagesErased
	j.out.BytesWritten += res.BytesWritten
	j.out.BytesRead += res.BytesRead
	j.out.WireBytes += res.WireBytes
	j.out.At115200 += res.At115200
	return j.flashError(ctx, err)
}

func (j *flashJob) enterError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return j.flashError(ctx, err)
	}
	return &farm.InfraError{Code: "flash_enter", Detail: fmt.Sprintf("board %s: start the boot ROM", j.o.id()), Err: err}
}

func (j *flashJob) show(stage firmware.Stage, done, total int) {
	if j.progress != nil {
		j.progress(string(stage), done, total)
	}
}

// leaveROM gives the UART back to the application, also when ctx has ended.
// After a failure the module is started here, for nobody else will.
func (j *flashJob) leaveROM(failed bool) error {
	o := j.o
	ctx, cancel := context.WithTimeout(context.Background(), parkLimit)
	defer cancel()
	err := o.selectROM(ctx, false)
	if o.alive.Err() == nil {
		err = errors.Join(err, o.uartError(o.port.SetMode(o.consoleMode())))
	}
	o.watch.pause(false)
	if failed {
		after, pulseErr := o.pulse(ctx, 0)
		j.after, err = after, errors.Join(err, pulseErr)
	}
	if err != nil {
		return &farm.InfraError{Code: "flash_leave", Detail: fmt.Sprintf("board %s: leave the boot ROM", o.id()), Err: err}
	}
	return nil
}

// started resets the module, compares its build and does the AT&F that a new
// firmware needs. The speed is the factory's after that.
func (j *flashJob) started(ctx context.Context) (err error) {
	o := j.o
	if j.after, err = o.reset(ctx, 0); err != nil {
		return err
	}
	reported := spwf.ParseBuild(o.watch.build())
	if want := spwf.ParseBuild(j.img.Build); j.img.Build != "" && reported.ID() != want.ID() {
		return &farm.FirmwareError{Code: "version_mismatch", Detail: fmt.Sprintf(
			"%s: %s was flashed and verified, its build is %s, and the module reports %q",
			o.where(), j.img.Release, j.img.Build, reported.Text)}
	}
	if err := j.factorySettings(ctx); err != nil {
		return &farm.InfraError{Code: "flash_settings", Detail: fmt.Sprintf("board %s: restore the factory settings after flashing", o.id()), Err: err}
	}
	if o.dev.Baud != farm.DefaultBaud {
		o.dev.Baud = farm.DefaultBaud
		if err := o.port.SetMode(o.consoleMode()); err != nil {
			return o.uartError(err)
		}
	}
	j.after, err = o.reset(ctx, 0)
	return err
}

// factorySettings does what every update of the firmware asks for.
func (j *flashJob) factorySettings(ctx context.Context) error {
	o := j.o
	port := o.exchange()
	defer port.close()
	m := spwf.New(port, spwf.Options{Board: o.id(), Limits: spwf.Limits{
		Command: o.dev.Board.Limits.Command, Banner: o.dev.Board.Limits.Banner}})
	if err := m.Sync(ctx); err != nil {
		return err
	}
	if err := m.FactoryReset(ctx); err != nil {
		return err
	}
	return m.Save(ctx)
}
