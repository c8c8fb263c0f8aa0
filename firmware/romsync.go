package firmware

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// sync makes the ROM measure the baud rate, and copes with one that has done
// so already.
func (r *rom) sync(ctx context.Context) error {
	if err := r.drain(); err != nil {
		return fail(StageSync, 0, 0, err)
	}
	var last byte
	for attempt := range syncAttempts {
		if err := r.send([]byte{romInit}); err != nil {
			return fail(StageSync, 0, 0, err)
		}
		got, err := r.receive(ctx, 1, 1, patienceSync)
		switch {
		case errors.Is(err, ErrSilent):
			continue
		case err != nil:
			return fail(StageSync, 0, 0, err)
		case got[0] == romAck && attempt > 0:
			return r.realign(ctx)
		case got[0] == romAck || got[0] == romNack:
			return nil
		}
		last = got[0]
	}
	err := ErrSilent
	if last != 0 {
		err = ErrReply
	}
	return fail(StageSync, 0, last,
		fmt.Errorf("%w: %d x 0x7F brought no ACK; was reset pulsed after BOOT0 went high, and is the port at 8E1?", err, syncAttempts))
}

// realign gets rid of a 0x7F too many: when the ACK of the first one came late,
// the ROM holds the second one as half a command. A byte that is nobody's
// complement brings a NACK then, or at the second time when none was held.
func (r *rom) realign(ctx context.Context) error {
	for range 2 {
		if err := r.send([]byte{0x00}); err != nil {
			return fail(StageSync, 0, 0, err)
		}
		got, err := r.receive(ctx, 1, 1, patienceCommand)
		switch {
		case errors.Is(err, ErrSilent):
			continue
		case err != nil:
			return fail(StageSync, 0, 0, err)
		case got[0] == romNack:
			return nil
		default:
			return fail(StageSync, 0, got[0], ErrReply)
		}
	}
	return fail(StageSync, 0, 0, ErrSilent)
}

// drain empties the line of what the application said before the reset.
func (r *rom) drain() error {
	end := time.Now().Add(settle)
	for time.Now().Before(end) {
		if err := r.port.SetReadDeadline(time.Now().Add(quiet)); err != nil {
			return err
		}
		_, err := r.port.Read(r.in[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// identify refuses every chip but the module's.
func (r *rom) identify(ctx context.Context) error {
	if err := r.send([]byte{romGetID, ^byte(romGetID)}); err != nil {
		return fail(StageIdentify, 0, 0, err)
	}
	// ACK, the count of id bytes less one, the id, ACK (AN3155, Get ID).
	got, err := r.receive(ctx, 5, 2, patienceCommand)
	if err != nil {
		return fail(StageIdentify, 0, 0, err)
	}
	if err := checkAck(got[0]); err != nil {
		return fail(StageIdentify, 0, got[0], err)
	}
	if got[1] != 1 || got[4] != romAck {
		return fail(StageIdentify, 0, got[1], fmt.Errorf("%w: product id % X", ErrReply, got[1:]))
	}
	if id := int(got[2])<<8 | int(got[3]); id != chipF1HighDensity {
		return fail(StageIdentify, 0, 0, fmt.Errorf("%w: product id 0x%03X, the module has 0x%03X", ErrChip, id, chipF1HighDensity))
	}
	return nil
}
