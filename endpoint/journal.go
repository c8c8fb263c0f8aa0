package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// ErrClosed is what waiting on a closed server ends with.
var ErrClosed = errors.New("endpoint is closed")

// Bounds of a server's memory; what is older is forgotten.
const (
	maxEvents      = 1 << 16
	maxConnections = 1 << 13
	maxAlerts      = 16
	maxDetail      = 512
)

// journal is everything that one server saw. Many connections write to it.
type journal struct {
	now func() time.Time

	mu      sync.Mutex
	events  []Event
	conns   []*witness
	seq     int
	nconn   int
	closed  bool
	changed chan struct{} // closed and replaced at each change
}

func newJournal() *journal {
	return &journal{now: time.Now, changed: make(chan struct{})}
}

func (j *journal) open(addr net.Addr) *witness {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		host = addr.String()
	}
	n, _ := strconv.Atoi(port) // 0 when there is none
	w := &witness{j: j}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.nconn++
	w.c = Connection{ID: j.nconn, Remote: host, RemotePort: n, Accepted: j.now()}
	if len(j.conns) >= maxConnections {
		j.conns = slices.Delete(j.conns, 0, maxConnections/2)
	}
	j.conns = append(j.conns, w)
	w.add(Event{Kind: EventAccepted})
	return w
}

// wake tells everybody who waits. The caller holds j.mu.
func (j *journal) wake() {
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *journal) shut() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.wake()
}

func (j *journal) allEvents() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}

func (j *journal) connections() []Connection {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]Connection, 0, len(j.conns))
	for _, w := range j.conns {
		list = append(list, w.snapshot())
	}
	return list
}

// wait calls look, which is called with j.mu held, until it is content.
func (j *journal) wait(ctx context.Context, look func() bool) error {
	for {
		j.mu.Lock()
		found, closed, changed := look(), j.closed, j.changed
		last := "nobody connected"
		if n := len(j.conns); n > 0 {
			c := j.conns[n-1].snapshot()
			last = fmt.Sprintf("the last of %d was %s", j.nconn, c)
		}
		j.mu.Unlock()
		switch {
		case found:
			return nil
		case closed:
			return fmt.Errorf("endpoint: waited in vain; %s: %w", last, ErrClosed)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("endpoint: waited in vain; %s: %w", last, ctx.Err())
		case <-changed:
		}
	}
}
