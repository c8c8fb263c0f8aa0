package link

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"hil-runner/farm"
	"hil-runner/recorder"
)

// pump forwards the journal, as far as the peer's credit goes. It gives nil
// when the peer takes nothing any more: whether it is gone shows elsewhere.
func (v *serving) pump(ctx context.Context) error {
	cursor := v.Journal.Cursor(v.From)
	defer cursor.Close()
	cursor.Urgent(true)
	for {
		rec, err := cursor.Next(ctx)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("link: board %s: the journal was closed: %w", v.Bench.Board.ID, farm.ErrClosed)
		}
		if err != nil {
			return fmt.Errorf("link: board %s: %w", v.Bench.Board.ID, err)
		}
		gone := false
		switch rec.Kind {
		case recorder.KindRx:
			gone, err = v.received(ctx, rec)
		case recorder.KindWatch:
			gone = v.incident(rec) != nil
		}
		if gone || err != nil {
			return err
		}
	}
}

// received forwards bytes of the board, in frames that the credit covers.
func (v *serving) received(ctx context.Context, rec recorder.Record) (gone bool, err error) {
	at := binary.BigEndian.AppendUint64(nil, uint64(rec.Offset))
	for p := rec.Data; len(p) > 0; {
		n := min(len(p), maxBytes)
		if err := v.credit.take(ctx, n); err != nil {
			return false, err
		}
		if err := v.out.send(frameRx, at, p[:n]); err != nil {
			return true, nil
		}
		p = p[n:]
	}
	return false, nil
}

// incident forwards what the watch saw, so that the peer ends its spec. What
// else is on the journal is not for the peer.
func (v *serving) incident(rec recorder.Record) error {
	ev, err := farm.ParseEvent(rec.Kind, rec.Data)
	in, ok := ev.(farm.IncidentSeen)
	if err != nil || !ok {
		return nil
	}
	if in.Offset == 0 {
		in.Offset = rec.Offset
	}
	body, err := encode(in)
	if err != nil {
		return nil
	}
	return v.out.send(frameWatch, body)
}

// secretWriter is a UART that can mark what it journals as credentials.
type secretWriter interface {
	WriteSecret(p []byte) (int, error)
}

// write is one request to send bytes to the board.
type write struct {
	ctx    context.Context
	id     uint32
	secret bool
	data   []byte
}

// write queues bytes for the board.
func (v *serving) write(ctx context.Context, id uint32, body []byte) error {
	if len(body) < 1 || len(body) > 1+maxBytes {
		return fmt.Errorf("link: write frame with %d bytes", len(body))
	}
	ctx, err := v.begin(ctx, id)
	if err != nil {
		return err
	}
	// There is room: no more calls are open than the channel holds.
	v.writes <- write{ctx: ctx, id: id, secret: body[0]&writeSecret != 0, data: append([]byte(nil), body[1:]...)}
	return nil
}

// writer sends the peer's bytes to the board in order. What the peer has given
// up meanwhile is not sent.
func (v *serving) writer(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-v.writes:
			err := w.ctx.Err()
			if err == nil {
				err = v.send(w)
			}
			v.answer(w.id, result{nil, err})
		}
	}
}

func (v *serving) send(w write) error {
	if s, ok := v.Bench.UART.(secretWriter); ok && w.secret {
		_, err := s.WriteSecret(w.data)
		return err
	}
	_, err := v.Bench.UART.Write(w.data)
	return err
}

// call starts a call.
func (v *serving) call(ctx context.Context, id uint32, body []byte) error {
	var c call
	if err := json.Unmarshal(body, &c); err != nil {
		return fmt.Errorf("link: call: %w", err)
	}
	ctx, err := v.begin(ctx, id)
	if err != nil {
		return err
	}
	if c.Op == opEvent {
		// In order and on this goroutine: events must not overtake each other.
		v.answer(id, v.event(ctx, c))
		return nil
	}
	v.work.Go(func() { v.answer(id, v.carryOut(ctx, id, c)) })
	return nil
}

// event puts a suite's event on the journal.
func (v *serving) event(ctx context.Context, c call) result {
	if !peerKind(c.Kind) {
		return result{nil, &farm.TestError{Code: "event_kind", Detail: fmt.Sprintf(
			"board %s: event %.80q: a worker may not record events of kind %v", v.Bench.Board.ID, c.Name, c.Kind)}}
	}
	off, err := v.Bench.Journal.Event(ctx, c.Kind, c.Name, c.Attrs)
	return result{off, err}
}

// carryOut does what a call asks for.
func (v *serving) carryOut(ctx context.Context, id uint32, c call) result {
	b := v.Bench
	switch {
	case c.Op == opReset && b.Reset != nil:
		return result{nil, b.Reset.Reset(ctx, time.Duration(c.HoldNS))}
	case c.Op == opPowerOn && b.Power != nil:
		return result{nil, b.Power.On(ctx)}
	case c.Op == opPowerOff && b.Power != nil:
		return result{nil, b.Power.Off(ctx)}
	case c.Op == opName && b.Net != nil:
		return result{nil, b.Net.SetName(ctx, c.Name, c.Addr)}
	case c.Op == opFlash && b.Flash != nil && c.Flash != nil:
		f, err := b.Flash.Flash(ctx, *c.Flash, func(stage string, done, total int) {
			if body, err := encode(progress{stage, done, total}); err == nil {
				_ = v.out.send(frameProgress, word(id), body)
			}
		})
		return result{f, err}
	}
	return result{nil, &farm.InfraError{Code: "no_such_part", Detail: fmt.Sprintf(
		"board %s cannot %.40q: the bench has no such part", b.Board.ID, c.Op)}}
}
