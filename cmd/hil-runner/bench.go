package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hil-runner/farm"
	"hil-runner/reports"
	"hil-runner/spwf"
)

// benchRequest is what a verb wants of one board.
type benchRequest struct {
	board, reason string
	image         chosenImage
}

// withBench opens a board, calls f with its bench, and parks it.
func (p *program) withBench(ctx context.Context, l *lab, req benchRequest, f func(ctx context.Context, b *farm.Bench) error) (err error) {
	chosen, err := farm.Select(l.boards(), []string{req.board}, nil, 0)
	if err != nil {
		return err
	}
	if err := req.image.suits(chosen); err != nil {
		return err
	}
	opened := p.whileSlow("opening board %s", req.board)
	open, err := l.open(ctx, openRequest{boards: chosen, image: req.image.image})
	opened()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, open.Close()) }()
	leases, err := open.locker.Acquire(ctx, farm.Request{Boards: []string{req.board}, Owner: farm.Owner(), Class: "engineer", Reason: req.reason})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leases[0].Release(context.WithoutCancel(ctx))) }()
	bench, err := open.Open(ctx, req.board, leases[0])
	if err != nil {
		return l.whoHas(req.board, err)
	}
	return f(ctx, bench)
}

// noLine is a verb that a board has no line for.
func noLine(board, lines string) error {
	return &farm.UsageError{Text: fmt.Sprintf("board %s has no %s in the lab file", board, lines), Hint: "add it under lines:"}
}

// aliveWithin is how long a module that runs may take to answer AT.
const aliveWithin = time.Second

// flashBoard flashes a bench. When the boot ROM was silent it finds out whether
// the reset line is to blame: a module that answers AT and shows no banner
// after a pulse was never reset.
func flashBoard(ctx context.Context, b *farm.Bench, req farm.FlashRequest, progress func(stage string, done, total int)) (reports.Flash, error) {
	res, err := b.Flash.Flash(ctx, req, progress)
	infra, ok := errors.AsType[*farm.InfraError](err)
	if !ok || infra.Code != "flash_sync" || b.Reset == nil || ctx.Err() != nil {
		return res, err
	}
	m := spwf.New(b.UART, spwf.Options{Board: b.Board.ID, Limits: spwf.Limits{Command: aliveWithin}})
	asking, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	if m.Sync(asking) != nil {
		return res, err // nobody there
	}
	if resetErr := b.Reset.Reset(ctx, 0); !errors.Is(resetErr, farm.ErrResetIneffective) {
		return res, err
	}
	return res, &farm.InfraError{Code: "reset_ineffective", Detail: fmt.Sprintf(
		"board %s on %s: the module answers AT, and a reset brings neither its boot ROM nor a banner; check the reset line",
		b.Board.ID, b.Board.Port)}
}

// resetBoard pulses reset and says what a person is waiting for.
func (p *program) resetBoard(ctx context.Context, b *farm.Bench, hold time.Duration) error {
	if b.Reset == nil {
		return noLine(b.Board.ID, "reset line")
	}
	defer p.whileSlow("waiting for the banner of board %s (limit banner: %v)", b.Board.ID, b.Board.Limits.Banner)()
	return b.Reset.Reset(ctx, hold)
}
