package spwf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Port is the console of one module. Read returns at least one byte, or
// os.ErrDeadlineExceeded once the deadline has passed. SetReadDeadline may be
// called while a Read is under way and then acts on it, as net.Conn's does.
//
// A Port that also has SetWriteDeadline gets the limit of the call for its
// writes, and one that is a SecretWriter is told which bytes are credentials.
type Port interface {
	io.Reader
	io.Writer
	SetReadDeadline(t time.Time) error
}

// SecretWriter is a Port that records what it sends and wants to know which
// of it is secret.
type SecretWriter interface {
	WriteSecret(p []byte) (int, error)
}

type writeDeadliner interface {
	SetWriteDeadline(t time.Time) error
}

// past is a deadline that ends a Read at once.
var past = time.Unix(1, 0)

// reader waits for bytes without a goroutine of its own: the context's end
// moves the port's deadline into the past.
type reader struct {
	port  Port
	ctx   context.Context
	stop  func() bool
	fired chan struct{}
	empty int
}

// watch binds reading to ctx until release is called.
func watch(ctx context.Context, port Port) *reader {
	r := &reader{port: port, ctx: ctx}
	if ctx.Done() != nil {
		r.fired = make(chan struct{})
		r.stop = context.AfterFunc(ctx, func() {
			defer close(r.fired)
			_ = port.SetReadDeadline(past)
		})
	}
	return r
}

// release waits for a callback that has begun, so that it cannot cut the read
// of a later call.
func (r *reader) release() {
	if r.stop != nil && !r.stop() {
		<-r.fired
	}
}

// errSilent says that nothing came until the time given to read.
var errSilent = errors.New("nothing came")

// read fills buf, or returns errSilent at until, or the cause of ctx's end.
func (r *reader) read(buf []byte, until time.Time) (int, error) {
	for {
		if err := r.port.SetReadDeadline(until); err != nil {
			return 0, fmt.Errorf("console: set read deadline: %w", err)
		}
		if r.ctx.Err() != nil {
			return 0, context.Cause(r.ctx)
		}
		n, err := r.port.Read(buf)
		switch {
		case n > 0:
			r.empty = 0
			return n, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.ctx.Err() != nil {
				return 0, context.Cause(r.ctx)
			}
			if !time.Now().Before(until) {
				return 0, errSilent
			}
		case err != nil:
			return 0, fmt.Errorf("console: %w", err)
		default:
			if r.empty++; r.empty > 100 {
				return 0, fmt.Errorf("console: %w", io.ErrNoProgress)
			}
		}
	}
}
