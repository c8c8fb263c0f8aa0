package spwf

import (
	"context"
	"errors"
	"time"
)

// WaitBanner waits for WIND 1 and gives the build that it names. Call Forget
// before the reset that shall print it.
func (m *Module) WaitBanner(ctx context.Context) (Build, error) {
	q := &request{
		shown: "wait for the banner (+WIND:1)", limit: "banner", within: m.opt.Limits.Banner,
		hint: "check power, BOOT0 low, RX and TX, and the baud rate",
	}
	i, err := m.wait(ctx, q, false, []int{WindPoweron})
	if err != nil {
		return Build{}, err
	}
	return ParseBuild(i.Text), nil
}

// WaitConsole waits until the console takes commands (WIND 0, or 32 which
// comes later). A module whose indications are masked is asked with AT when
// the limit is over.
func (m *Module) WaitConsole(ctx context.Context) error {
	q := &request{shown: "wait for the console (+WIND:0)", limit: "console", within: m.opt.Limits.Console}
	i, err := m.wait(ctx, q, false, []int{WindConsole, WindHardware})
	var silent *TimeoutError
	switch {
	case err == nil:
		if i.ID == WindHardware {
			m.putBack(i)
		}
		return nil
	case errors.As(err, &silent) && silent.Limit == "console":
		if m.lines1(ctx, "AT", time.Second) == nil {
			return nil
		}
	}
	return err
}

// putBack keeps an indication for the next wait.
func (m *Module) putBack(i Indication) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = append([]Indication{i}, m.kept...)
}

func (m *Module) lines1(ctx context.Context, command string, within time.Duration) error {
	_, err := m.lines(ctx, &request{command: command, limit: "command", within: within})
	return err
}

// WaitHardware waits until the radio has started (WIND 32). Before that the
// module refuses network commands with ReasonHardware.
func (m *Module) WaitHardware(ctx context.Context) error {
	q := &request{shown: "wait for the radio (+WIND:32)", limit: "boot", within: m.opt.Limits.Boot}
	_, err := m.wait(ctx, q, false, []int{WindHardware})
	return err
}

// Boot follows a start from the banner to the radio and switches the local
// echo off on the way. It gives the build of the banner.
func (m *Module) Boot(ctx context.Context) (Build, error) {
	b, err := m.WaitBanner(ctx)
	if err != nil {
		return b, err
	}
	if err := m.WaitConsole(ctx); err != nil {
		return b, err
	}
	if err := m.EchoOff(ctx); err != nil {
		return b, err
	}
	return b, m.WaitHardware(ctx)
}

// Restart resets the module by AT+CFUN=1 and follows its start. The command
// has no OK; its answer is WIND 2 and then the banner.
func (m *Module) Restart(ctx context.Context) (Build, error) {
	if err := m.restart(ctx); err != nil {
		return Build{}, err
	}
	b, err := m.Boot(ctx)
	var silent *TimeoutError
	if errors.As(err, &silent) && silent.Limit == "banner" {
		silent.Hint = pinHint
	}
	return b, err
}

const pinHint = "a host pin that holds RESETn high makes the module hang after +WIND:2:Reset; RESETn must float"

// restart sends CFUN=1 and returns when WIND 2 or the banner was seen. The
// banner stays kept for WaitBanner.
func (m *Module) restart(ctx context.Context) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.unlock()
	q := &request{
		command: "AT+CFUN=1", limit: "banner", within: m.opt.Limits.Banner,
		hint: pinHint,
	}
	if err := m.drain(ctx); err != nil {
		return err
	}
	m.forget()
	if err := m.start(ctx, q); err != nil {
		return err
	}
	f := &lineFrame{scanner: &m.scanner, command: q.command, onWind: m.keep}
	if err := m.run(ctx, f, q); err != nil {
		return err
	}
	m.owed = 0
	switch {
	case f.fault != nil:
		return f.trouble.err(m.opt.Board, q.name())
	case f.reset != nil:
		return nil
	case f.ok:
		return nil // not seen on this module, and harmless: the banner decides
	}
	return m.judge(&f.verdict, f.got.buf, q)
}
