package hostlab

import (
	"context"
	"errors"
	"os"
	"time"

	"hil-runner/console"
	"hil-runner/recorder"
)

// past is a deadline that ends a Read at once.
var past = time.Unix(1, 0)

// wake ends a Read that waits. Bytes that came before the port went away are
// still the hand's; those that come to another holder are not.
func (h *hand) wake() {
	h.mu.Lock()
	rx := h.rx
	if h.over.Err() == nil {
		_ = rx.SetReadDeadline(past) // fails only when it is closed
	}
	h.mu.Unlock()
	if h.over.Err() != nil {
		_ = rx.Close() // fails only when it is closed
	}
}

// SetReadDeadline bounds Read.
func (h *hand) SetReadDeadline(t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over.Err() != nil {
		return context.Cause(h.over)
	}
	if h.o.alive.Err() != nil {
		t = past
	}
	return h.rx.SetReadDeadline(t)
}

// Read gives the bytes of the module since the bench was opened, or since the
// start after its last flashing.
func (h *hand) Read(p []byte) (int, error) {
	for {
		h.mu.Lock()
		rx := h.rx
		h.mu.Unlock()
		n, err := rx.Read(p)
		switch {
		case n > 0 || err == nil:
			return n, nil
		case h.over.Err() != nil:
			return 0, context.Cause(h.over)
		case h.o.alive.Err() != nil:
			return 0, context.Cause(h.o.alive)
		case !errors.Is(err, os.ErrClosed):
			return 0, err
		}
		// The stream was replaced by one that begins later.
	}
}

// skipTo drops what came before an offset.
func (h *hand) skipTo(at recorder.Offset) {
	h.mu.Lock()
	old := h.rx
	h.rx = h.o.journal.Stream(at, recorder.KindRx)
	h.mu.Unlock()
	_ = old.Close() // fails only when it is closed
	if h.over.Err() != nil || h.o.alive.Err() != nil {
		h.wake()
	}
}

// Write journals and sends bytes to the module.
func (h *hand) Write(p []byte) (int, error) { return h.send(p, h.o.port.Write) }

// WriteSecret is Write for credentials.
func (h *hand) WriteSecret(p []byte) (int, error) { return h.send(p, h.o.port.WriteSecret) }

func (h *hand) send(p []byte, write func(context.Context, []byte) (int, error)) (int, error) {
	h.writing.RLock()
	defer h.writing.RUnlock()
	if err := h.check(); err != nil {
		return 0, err
	}
	ctx, done := h.bound(context.Background())
	defer done()
	ctx, cancel := context.WithTimeout(ctx, h.o.dev.Board.Limits.Command)
	defer cancel()
	n, err := write(ctx, p)
	if err != nil && h.over.Err() != nil {
		return n, context.Cause(h.over)
	}
	return n, h.o.uartError(err)
}

// exchange is the UART for one exchange of the owner itself, from now on. It
// is to be closed.
func (o *owner) exchange() *exchangePort {
	p := &exchangePort{o: o, rx: o.journal.Stream(o.journal.End(), recorder.KindRx)}
	p.off = context.AfterFunc(o.alive, func() { _ = p.rx.Close() })
	return p
}

// exchangePort is the UART as the owner itself uses it.
type exchangePort struct {
	o   *owner
	rx  *recorder.Stream
	off func() bool
}

func (p *exchangePort) close() {
	p.off()
	_ = p.rx.Close() // fails only when it is closed
}

// Read gives what came since the exchange began.
func (p *exchangePort) Read(b []byte) (int, error) {
	n, err := p.rx.Read(b)
	if err != nil && p.o.alive.Err() != nil {
		err = context.Cause(p.o.alive)
	}
	return n, err
}

// SetReadDeadline bounds Read. Read itself says when the port is gone.
func (p *exchangePort) SetReadDeadline(t time.Time) error {
	if err := p.rx.SetReadDeadline(t); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Write sends bytes within the limit of a command.
func (p *exchangePort) Write(b []byte) (int, error) {
	ctx, cancel := context.WithTimeout(p.o.alive, p.o.dev.Board.Limits.Command)
	defer cancel()
	n, err := p.o.port.Write(ctx, b)
	return n, p.o.uartError(err)
}

// SetBaud makes the port a spwf.BaudPort.
func (p *exchangePort) SetBaud(baud int) error {
	return p.o.uartError(p.o.port.SetMode(console.Mode{Baud: baud, Parity: console.None}))
}
