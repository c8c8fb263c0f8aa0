package farm

import (
	"context"
	"time"
)

// Lab is the boards of one or more hosts.
type Lab interface {
	// Boards lists the boards, in the order of the lab file.
	Boards() []Board
	// Open gives the bench of a board to the holder of its lease. The bench
	// refuses everything with ErrLeaseLost once a newer token was seen. Close
	// parks the board.
	Open(ctx context.Context, board string, lease Lease) (*Bench, error)
}

// Locker gives out boards.
type Locker interface {
	// Acquire waits until all boards of the request are free and leases them
	// together, or none: then ErrBoardBusy (the error names the holders) or
	// the context's error.
	Acquire(ctx context.Context, req Request) ([]Lease, error)
	// Holds lists who has what, by board.
	Holds(ctx context.Context) ([]Hold, error)
}

// Lease is the right to use one board.
type Lease interface {
	// Board is the leased board's id.
	Board() string
	// Token is the fencing token: every later lease of the board has a
	// higher one.
	Token() uint64
	// Lost is closed when the lease ended other than by Release.
	Lost() <-chan struct{}
	// Renew makes the lease end ttl from now, ErrLeaseLost if it has ended.
	Renew(ctx context.Context, ttl time.Duration) error
	// Release gives the board back. It is safe to call it again.
	Release(ctx context.Context) error
}

// Request asks for boards, either by id or by tags.
type Request struct {
	// Boards are ids, all of which are wanted.
	Boards []string
	// Tags pick any Count boards that carry them all; see Select.
	Tags  map[string]string
	Count int
	// Wait bounds how long to wait for them: 0 does not wait, negative waits
	// as long as the context lives.
	Wait time.Duration
	// For is how long the lease lasts unless renewed; 0 lasts until released.
	For time.Duration
	// Owner is user@host.
	Owner string
	// Class is "engineer", "nightly" or "lab" (health checks, parking).
	Class string
	// Reason is shown to whoever finds the board held.
	Reason string
}

// Hold is one held board, for people.
type Hold struct {
	Board  string    `json:"board"`
	Owner  string    `json:"owner"`
	Class  string    `json:"class,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// Expires is zero for a hold that lasts until released.
	Expires time.Time `json:"expires,omitzero"`
	Token   uint64    `json:"token"`
}
