package farm

import (
	"context"
	"fmt"
	"time"
)

// localLease is a lease of a LocalLocker; its fields after lost are guarded
// by the locker.
type localLease struct {
	locker  *LocalLocker
	board   string
	token   uint64
	req     Request
	since   time.Time
	lost    chan struct{}
	expires time.Time
	timer   *time.Timer
}

func (e *localLease) Board() string         { return e.board }
func (e *localLease) Token() uint64         { return e.token }
func (e *localLease) Lost() <-chan struct{} { return e.lost }

func (e *localLease) Renew(_ context.Context, ttl time.Duration) error {
	e.locker.mu.Lock()
	defer e.locker.mu.Unlock()
	if e.locker.held[e.board] != e {
		return fmt.Errorf("renewing board %s, token %d: %w", e.board, e.token, ErrLeaseLost)
	}
	e.lasts(ttl)
	return nil
}

func (e *localLease) Release(context.Context) error {
	e.locker.mu.Lock()
	defer e.locker.mu.Unlock()
	e.locker.end(e, false)
	e.locker.serve()
	return nil
}

// lasts sets the lease's end; ttl 0 or less lasts until released. The caller
// holds mu.
func (e *localLease) lasts(ttl time.Duration) {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	e.expires = time.Time{}
	if ttl <= 0 {
		return
	}
	end := time.Now().Add(ttl)
	e.expires = end
	e.timer = time.AfterFunc(ttl, func() {
		e.locker.mu.Lock()
		defer e.locker.mu.Unlock()
		// A renewal may have moved the end while this call was on its way.
		if e.expires.Equal(end) {
			e.locker.end(e, true)
			e.locker.serve()
		}
	})
}

func (e *localLease) hold() Hold {
	return Hold{Board: e.board, Owner: e.req.Owner, Class: e.req.Class, Reason: e.req.Reason,
		Since: e.since, Expires: e.expires, Token: e.token}
}

// String says who holds the board, since when and until when.
func (h Hold) String() string {
	s := fmt.Sprintf("board %s is held by %s since %s", h.Board, h.Owner, h.Since.Format(time.TimeOnly))
	if h.Reason != "" {
		s += " (" + h.Reason + ")"
	}
	if !h.Expires.IsZero() {
		s += fmt.Sprintf(", expires in %s at %s", time.Until(h.Expires).Round(time.Second), h.Expires.Format(time.TimeOnly))
	}
	return s
}
