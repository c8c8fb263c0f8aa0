package firmware

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// send writes one protocol step in one call.
func (r *rom) send(p []byte) error {
	n, err := r.port.Write(p)
	r.sent += max(n, 0)
	if err != nil {
		return fmt.Errorf("write to the port: %w", err)
	}
	if n != len(p) {
		return fmt.Errorf("write to the port: %w", io.ErrShortWrite)
	}
	return nil
}

// ack takes the answer to a step of sent bytes. reply is the answer when it was
// another one than ACK.
func (r *rom) ack(ctx context.Context, sent int, patience time.Duration) (reply byte, err error) {
	got, err := r.receive(ctx, 1, sent, patience)
	if err != nil {
		return 0, err
	}
	if err := checkAck(got[0]); err != nil {
		return got[0], err
	}
	return 0, nil
}

func checkAck(reply byte) error {
	switch reply {
	case romAck:
		return nil
	case romNack:
		return ErrNack
	}
	return ErrReply
}

// receive takes n bytes after a step of sent bytes, the first of which should
// be an ACK. When it is not, it ends early with what came: a refusal is one
// byte long. Each further byte may take as long as the first one. A cancelled
// ctx ends only a wait that lasts, so that between two blocks the ROM is left
// ready for a command.
func (r *rom) receive(ctx context.Context, n, sent int, patience time.Duration) ([]byte, error) {
	wait := patience + r.wireTime(sent+n)
	limit := time.Now().Add(wait)
	for got := 0; got < n; {
		deadline := limit
		if soon := time.Now().Add(slice); soon.Before(deadline) {
			deadline = soon
		}
		if err := r.port.SetReadDeadline(deadline); err != nil {
			return nil, fmt.Errorf("read from the port: %w", err)
		}
		k, err := r.port.Read(r.in[got:n])
		if k > 0 {
			r.received += k
			got += k
			limit = time.Now().Add(wait)
			if r.in[0] != romAck {
				return r.in[:got], nil
			}
			continue
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, fmt.Errorf("read from the port: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !time.Now().Before(limit) {
			return nil, fmt.Errorf("%w: %d of %d bytes came within %v", ErrSilent, got, n, wait.Round(time.Millisecond))
		}
	}
	return r.in[:n], nil
}
