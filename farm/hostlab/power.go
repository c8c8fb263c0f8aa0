package hostlab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"hil-runner/farm"
)

// power switches the supply.
type power struct{ h *hand }

// Off cuts the supply.
func (p power) Off(ctx context.Context) error {
	return p.h.operate(ctx, func(ctx context.Context) error { return p.h.o.setPower(ctx, false) })
}

// On gives the supply back, once it was off for as long as the module's
// capacitors need, and waits for the banner. A board that has its supply is
// left as it is.
func (p power) On(ctx context.Context) error {
	o := p.h.o
	return p.h.operate(ctx, func(ctx context.Context) error {
		was, after := o.state.powered, o.journal.End()
		if err := o.setPower(ctx, true); err != nil || was {
			return err
		}
		if err := o.awaitBanner(ctx, after, "power_ineffective", "power on"); err != nil {
			return err
		}
		o.comparePassport()
		return nil
	})
}

// names makes endpoints reachable by name.
type names struct{ h *hand }

// Address is where this host serves endpoints for the board.
func (n names) Address() string { return n.h.o.dev.Address }

// SetName writes the name table of a virtual radio.
func (n names) SetName(ctx context.Context, name, addr string) error {
	if err := n.h.fenced(); err != nil {
		return err
	}
	o := n.h.o
	if o.dev.Net == "" {
		return &farm.InfraError{Code: "no_names", Detail: fmt.Sprintf(
			"board %s: the lab has no name table for it; give the name in the lab's DNS", o.id())}
	}
	// A worker may not smuggle other requests onto the socket.
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7F }) {
		return &farm.TestError{Code: "name", Detail: fmt.Sprintf("board %s: %.80q is no host name", o.id(), name)}
	}
	if addr == "" {
		addr = "-"
	} else if _, err := netip.ParseAddr(addr); err != nil {
		return &farm.TestError{Code: "name", Detail: fmt.Sprintf("board %s: name %s", o.id(), name), Err: err}
	}
	path, _, _ := strings.Cut(strings.TrimPrefix(o.dev.Net, "sock:"), "#")
	if err := askSocket(ctx, path, "name "+name+" "+addr); err != nil {
		return &farm.InfraError{Code: "names", Detail: fmt.Sprintf("board %s: name %s", o.id(), name), Err: err}
	}
	return nil
}

// socketPatience bounds one request to a control socket.
const socketPatience = 5 * time.Second

// askSocket sends one line to a board's control socket and wants "ok".
func askSocket(ctx context.Context, path, request string) error {
	ctx, cancel := context.WithTimeout(ctx, socketPatience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("%w (is the lab that serves this socket up?)", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, request+"\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadString('\n')
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("control socket %s: %w", path, err)
	}
	if answer = strings.TrimSpace(answer); answer != "ok" && !strings.HasPrefix(answer, "ok ") {
		return fmt.Errorf("control socket %s: %q", path, answer)
	}
	return nil
}
