package link

import (
	"context"
	"fmt"
	"sync"
)

// credit counts how many rx bytes a peer still takes.
type credit struct {
	mu      sync.Mutex
	left    int
	changed chan struct{} // closed and replaced by add
}

func newCredit() *credit { return &credit{left: window, changed: make(chan struct{})} }

// take waits until the peer takes n bytes, which must be at most window/4, and
// counts them as sent.
func (c *credit) take(ctx context.Context, n int) error {
	for {
		c.mu.Lock()
		if c.left >= n {
			c.left -= n
			c.mu.Unlock()
			return nil
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// add gives n bytes of credit back. More than was ever taken is the peer's
// mistake.
func (c *credit) add(n uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int64(n) > int64(window-c.left) {
		return fmt.Errorf("link: credit for %d bytes, but only %d were sent", n, window-c.left)
	}
	c.left += int(n)
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}
