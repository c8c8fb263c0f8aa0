package link

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"hil-runner/farm"
	"hil-runner/recorder"
	"hil-runner/reports"
)

type remoteReset struct{ s *Session }

func (r remoteReset) Reset(ctx context.Context, hold time.Duration) error {
	_, err := r.s.do(ctx, call{Op: opReset, HoldNS: int64(hold)}, nil)
	return err
}

type remotePower struct{ s *Session }

func (p remotePower) On(ctx context.Context) error {
	_, err := p.s.do(ctx, call{Op: opPowerOn}, nil)
	return err
}

func (p remotePower) Off(ctx context.Context) error {
	_, err := p.s.do(ctx, call{Op: opPowerOff}, nil)
	return err
}

type remoteFlash struct{ s *Session }

func (f remoteFlash) Flash(ctx context.Context, req farm.FlashRequest, show func(string, int, int)) (reports.Flash, error) {
	var out reports.Flash
	a, err := f.s.do(ctx, call{Op: opFlash, Flash: &req}, show)
	if len(a.Value) > 0 {
		if jsonErr := json.Unmarshal(a.Value, &out); jsonErr != nil && err == nil {
			err = fmt.Errorf("link: flash answer: %w", jsonErr)
		}
	}
	return out, err
}

type remoteNet struct{ s *Session }

func (n remoteNet) Address() string { return n.s.Hello.Address }

func (n remoteNet) SetName(ctx context.Context, name, addr string) error {
	_, err := n.s.do(ctx, call{Op: opName, Name: name, Addr: addr}, nil)
	return err
}

type remoteJournal struct{ s *Session }

func (j remoteJournal) Event(ctx context.Context, kind recorder.Kind, name string, attrs any) (recorder.Offset, error) {
	body, err := encode(attrs)
	if err != nil {
		return 0, err
	}
	a, err := j.s.do(ctx, call{Op: opEvent, Kind: kind, Name: name, Attrs: body}, nil)
	if err != nil {
		return 0, err
	}
	var off recorder.Offset
	if err := json.Unmarshal(a.Value, &off); err != nil {
		return 0, fmt.Errorf("link: event answer: %w", err)
	}
	return off, nil
}

// remoteUART is the module's console as the peer sees it. What has come but
// was not read is bounded by the credit that it gives.
type remoteUART struct {
	s *Session

	mu       sync.Mutex
	buf      []byte // what came and was not read
	offset   recorder.Offset
	consumed uint32 // read since the last credit
	deadline time.Time
	err      error
	changed  chan struct{} // closed and replaced whenever a waiting Read must look again
}

func newRemoteUART(s *Session) *remoteUART {
	return &remoteUART{s: s, offset: s.Hello.From, changed: make(chan struct{})}
}

// wake makes a waiting Read look again. The lock is held.
func (u *remoteUART) wake() {
	close(u.changed)
	u.changed = make(chan struct{})
}

// received keeps bytes for Read. An owner that sends more than it has credit
// for would cost memory without end.
func (u *remoteUART) received(at recorder.Offset, p []byte) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.buf)+int(u.consumed)+len(p) > window {
		return fmt.Errorf("link: the owner sent more than the %d bytes that it had credit for", window)
	}
	u.buf = append(u.buf, p...)
	u.offset = at
	u.wake()
	return nil
}

func (u *remoteUART) end(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.err = err
	u.wake()
}

// SetReadDeadline also wakes a Read that is waiting.
func (u *remoteUART) SetReadDeadline(t time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.deadline = t
	u.wake()
	return nil
}

// Offset is the journal offset of the newest record that came.
func (u *remoteUART) Offset() recorder.Offset {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.offset
}

// Read gives what has come, at least one byte; bytes that are there win over a
// deadline that has passed and over the end of the session.
func (u *remoteUART) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		u.mu.Lock()
		if len(u.buf) > 0 {
			n := copy(p, u.buf)
			if u.buf = u.buf[n:]; len(u.buf) == 0 {
				u.buf = nil
			}
			credit := u.took(uint32(n))
			u.mu.Unlock()
			if credit > 0 {
				// A failure shows as the end of the session at the next Read.
				_ = u.s.out.send(frameCredit, word(credit))
			}
			return n, nil
		}
		if u.err != nil {
			defer u.mu.Unlock()
			return 0, u.err
		}
		changed, deadline := u.changed, u.deadline
		u.mu.Unlock()
		if err := waitChange(changed, deadline); err != nil {
			return 0, err
		}
	}
}

// took counts n bytes as read and gives the credit to send, if it is worth a
// frame. The lock is held.
func (u *remoteUART) took(n uint32) uint32 {
	u.consumed += n
	if u.consumed < window/4 {
		return 0
	}
	credit := u.consumed
	u.consumed = 0
	return credit
}

// waitChange waits for changed or the deadline.
func waitChange(changed <-chan struct{}, deadline time.Time) error {
	if deadline.IsZero() {
		<-changed
		return nil
	}
	left := time.Until(deadline)
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-changed:
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}

// Write returns when the owner has handed the bytes to the kernel.
func (u *remoteUART) Write(p []byte) (int, error) { return u.write(p, 0) }

// WriteSecret is Write for bytes that are credentials: the journal marks them
// and nothing that is rendered from it shows them.
func (u *remoteUART) WriteSecret(p []byte) (int, error) { return u.write(p, writeSecret) }

func (u *remoteUART) write(p []byte, flags byte) (int, error) {
	sent := 0
	for len(p) > 0 {
		n := min(len(p), maxBytes)
		ctx, cancel := context.WithTimeout(context.Background(), u.writeLimit())
		_, err := u.s.ask(ctx, frameWrite, nil, []byte{flags}, p[:n])
		cancel()
		if err != nil {
			return sent, fmt.Errorf("board %s: write to %s: %w", u.s.Hello.Board.ID, u.s.Hello.Board.Port, err)
		}
		sent += n
		p = p[n:]
	}
	return sent, nil
}

// writeLimit is longer than the owner's own limit, whose error says more.
func (u *remoteUART) writeLimit() time.Duration {
	return cmp.Or(u.s.Hello.Board.Limits.Command, farm.DefaultLimits().Command) + time.Second
}
