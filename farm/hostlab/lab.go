// Package hostlab owns the devices of this host: it opens each board's UART
// and lines, keeps its journal and its watch running whether or not anybody
// holds the board, and gives a bench to whoever shows a lease.
package hostlab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"hil-runner/console"
	"hil-runner/farm"
	"hil-runner/firmware"
)

// Device is one board as it hangs on this host.
type Device struct {
	farm.Wiring
	// FlashBaud is the speed of the boot ROM's auto-baud; 0 means 115200.
	FlashBaud int
	// Address is where this host serves endpoints for the board; empty when
	// it serves none.
	Address string
	// JournalDir is this board's own folder for the journal.
	JournalDir string
}

// Config is one host's share of a lab.
type Config struct {
	Devices []Device
	// StateDir keeps passports and who was using a board; it must outlive
	// the process.
	StateDir string
	// Fence knows the highest token of every board.
	Fence *farm.Fence
	// Image gives the checked image that a flashing asks for; nil on a host
	// that flashes nothing.
	Image func(req farm.FlashRequest) (firmware.Image, error)
}

// Lab is the open devices of this host. It may be used by several goroutines.
type Lab struct {
	boards []farm.Board
	owners map[string]*owner
	loop   *console.Loop
}

var _ farm.Lab = (*Lab)(nil)

// Open takes every board's devices, brings the boards into their idle state,
// and starts recording and watching. A board that cannot be opened does not
// keep the others from being used: its error comes back at Lab.Open.
func Open(ctx context.Context, cfg Config) (*Lab, error) {
	loop, err := console.NewLoop()
	if err != nil {
		return nil, &farm.InfraError{Code: "poll", Detail: "read the ports of this host", Err: err}
	}
	lab := &Lab{owners: make(map[string]*owner), loop: loop}
	for _, d := range cfg.Devices {
		if lab.owners[d.Board.ID] != nil {
			return nil, errors.Join(&farm.UsageError{Text: fmt.Sprintf("board %s is there twice", d.Board.ID)}, loop.Close())
		}
		lab.boards = append(lab.boards, d.Board)
		lab.owners[d.Board.ID] = newOwner(cfg, d, loop)
	}
	var opening sync.WaitGroup
	for _, o := range lab.owners {
		opening.Go(func() { o.start(ctx) })
	}
	opening.Wait()
	if ctx.Err() != nil {
		return nil, errors.Join(context.Cause(ctx), lab.Close())
	}
	return lab, nil
}

// Boards lists the boards of this host.
func (l *Lab) Boards() []farm.Board { return slices.Clone(l.boards) }

// Open gives the bench of a board to the holder of a lease. Every write,
// reset, power and flash through it is refused once a higher token was seen.
// Benches of lower tokens end here: when Open returns, nothing that they
// began is still under way.
func (l *Lab) Open(ctx context.Context, id string, lease farm.Lease) (*farm.Bench, error) {
	o, err := l.owner(id)
	if err != nil {
		return nil, err
	}
	if lease.Board() != id {
		return nil, fmt.Errorf("board %s: the lease is for board %s: %w", id, lease.Board(), farm.ErrLeaseLost)
	}
	return o.bench(ctx, lease.Token())
}

func (l *Lab) owner(id string) (*owner, error) {
	o := l.owners[id]
	if o == nil {
		return nil, &farm.UsageError{Text: fmt.Sprintf("board %s is not on this host", id)}
	}
	return o, o.err
}

// Close parks the boards, ends the recording and releases the devices.
func (l *Lab) Close() error {
	errs := make([]error, len(l.boards))
	var closing sync.WaitGroup
	for i, b := range l.boards {
		closing.Go(func() { errs[i] = l.owners[b.ID].close() })
	}
	closing.Wait()
	return errors.Join(append(errs, l.loop.Close())...)
}

// Park brings a board into its declared idle state. It may be called with or
// without an open bench, and again.
func (l *Lab) Park(ctx context.Context, id string) error {
	o, err := l.owner(id)
	if err != nil {
		return err
	}
	return o.park(ctx)
}
