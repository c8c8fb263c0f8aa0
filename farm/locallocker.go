package farm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// LocalLocker leases the boards of one process. Requests are served in the
// order in which they came; one that must wait keeps later ones off the boards
// that it could use, so that nobody starves. It is safe for concurrent use.
type LocalLocker struct {
	boards []Board
	fence  *Fence

	mu     sync.Mutex
	closed bool
	held   map[string]*localLease
	queue  []*waiter
}

var _ Locker = (*LocalLocker)(nil)

// NewLocalLocker leases boards with tokens from fence.
func NewLocalLocker(boards []Board, fence *Fence) *LocalLocker {
	return &LocalLocker{boards: slices.Clone(boards), fence: fence, held: make(map[string]*localLease)}
}

// waiter is a request that has not been answered yet.
type waiter struct {
	req Request
	// fit are the boards that would do, want how many of them are wanted.
	fit    []Board
	want   int
	leases []Lease
	err    error
	ready  chan struct{}
}

// Acquire leases all boards of a request or none. A request that no set of
// the lab's boards can ever meet is a UsageError.
func (l *LocalLocker) Acquire(ctx context.Context, req Request) ([]Lease, error) {
	fit, err := Select(l.boards, req.Boards, req.Tags, 0)
	if err != nil {
		return nil, err
	}
	w := &waiter{req: req, fit: fit, want: len(fit), ready: make(chan struct{})}
	if len(req.Boards) == 0 && req.Count > 0 {
		w.want = req.Count
	}
	if w.want > len(fit) {
		return nil, &UsageError{Text: fmt.Sprintf("%d boards were asked for, %d would do", w.want, len(fit))}
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	l.mu.Lock()
	l.queue = append(l.queue, w)
	l.serve()
	l.mu.Unlock()
	return l.await(ctx, w)
}

func (l *LocalLocker) await(ctx context.Context, w *waiter) ([]Lease, error) {
	var late <-chan time.Time
	if w.req.Wait >= 0 {
		timer := time.NewTimer(w.req.Wait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-w.ready:
		return w.leases, w.err
	default:
	}
	select {
	case <-w.ready:
	case <-ctx.Done():
		l.giveUp(w, context.Cause(ctx))
	case <-late:
		l.giveUp(w, nil)
	}
	return w.leases, w.err
}

// giveUp takes a request back unless it was answered in the meantime. A nil
// reason means that the wait is over.
func (l *LocalLocker) giveUp(w *waiter, reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.queue, w)
	if i < 0 {
		return
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	if w.err = reason; reason == nil {
		w.err = l.busy(w)
	}
	l.serve()
}

// busy says who has the boards that a request wanted.
func (l *LocalLocker) busy(w *waiter) error {
	var holders []string
	for _, b := range w.fit {
		if lease := l.held[b.ID]; lease != nil {
			holders = append(holders, lease.hold().String())
		}
	}
	who := strings.Join(holders, "; ")
	if who == "" {
		who = "earlier requests wait for the same boards"
	}
	return fmt.Errorf("%w: waited %s; %s", ErrBoardBusy, w.req.Wait, who)
}

// serve answers what can be answered, oldest first. The caller holds mu.
func (l *LocalLocker) serve() {
	kept := make(map[string]bool)
	l.queue = slices.DeleteFunc(l.queue, func(w *waiter) bool {
		if l.closed {
			w.err = ErrClosed
			close(w.ready)
			return true
		}
		var free []Board
		for _, b := range w.fit {
			if l.held[b.ID] == nil && !kept[b.ID] {
				free = append(free, b)
			}
		}
		if len(free) < w.want {
			for _, b := range w.fit {
				kept[b.ID] = true
			}
			return false
		}
		w.leases, w.err = l.grant(w.req, free[:w.want])
		close(w.ready)
		return true
	})
}

func (l *LocalLocker) grant(req Request, boards []Board) ([]Lease, error) {
	leases := make([]Lease, 0, len(boards))
	for _, b := range boards {
		token, err := l.fence.Next(b.ID)
		if err != nil {
			for _, lease := range leases {
				l.end(lease.(*localLease), false)
			}
			return nil, &InfraError{Code: "lease_store", Detail: "board " + b.ID + " cannot be leased", Err: err}
		}
		lease := &localLease{locker: l, board: b.ID, token: token, req: req, since: time.Now(), lost: make(chan struct{})}
		l.held[b.ID] = lease
		lease.lasts(req.For)
		leases = append(leases, lease)
	}
	return leases, nil
}

// end frees a lease's board. The caller holds mu.
func (l *LocalLocker) end(lease *localLease, lost bool) {
	if l.held[lease.board] != lease {
		return
	}
	delete(l.held, lease.board)
	if lease.timer != nil {
		lease.timer.Stop()
	}
	if lost {
		close(lease.lost)
	}
}

// Holds lists the held boards in the order of the lab.
func (l *LocalLocker) Holds(context.Context) ([]Hold, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var holds []Hold
	for _, b := range l.boards {
		if lease := l.held[b.ID]; lease != nil {
			holds = append(holds, lease.hold())
		}
	}
	return holds, nil
}

// Close ends every lease as lost and every waiting request with ErrClosed.
func (l *LocalLocker) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, b := range l.boards {
		if lease := l.held[b.ID]; lease != nil {
			l.end(lease, true)
		}
	}
	l.serve()
	return nil
}
