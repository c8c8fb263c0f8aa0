package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// readSize is how much one read takes from the network.
const readSize = 2048

// socket is one of the module's client sockets. Its fields belong to the
// loop; one goroutine at most reads from conn and one closes it.
type socket struct {
	id      int
	kind    byte // 't', 'u' or 's'
	conn    net.Conn
	ind     bool
	buf     []byte
	reading bool
	gone    bool // the peer has closed or the network failed
	faults  int  // of a UDP socket, in a row
	stop    chan struct{}
	stopped bool
	closed  func() // what to do when conn has been closed
}

// openSocket is SOCKON.
func (a *App) openSocket(g arguments) {
	port, good := g.number(1, 1, 65535)
	proto := strings.ToLower(g.at(2))
	switch {
	case !good || !oneOf(proto, "t", "u", "s", "tcp", "udp") || g.at(0) == "" || !oneOf(g.at(3), "", "ind"):
		a.fail(a.p.Texts.Invalid)
		return
	case !a.ready():
		return
	case !slices.Contains(a.sockets, nil):
		a.fail(a.p.Texts.TooManySockets)
		return
	}
	s := &socket{kind: proto[0], ind: g.at(3) != "", stop: make(chan struct{})}
	var secure *tlsSession
	if s.kind == 's' {
		var refused string
		if secure, refused = a.newSession(g.at(0)); refused != "" {
			a.fail(refused)
			return
		}
	}
	delay := a.p.Timing.Resolve + a.p.Timing.Connect
	if secure != nil {
		delay += a.p.Timing.TLS
	}
	a.after(delay, func() { a.dial(s, secure, g.at(0), port) })
}

// dial connects a socket and answers SOCKON.
func (a *App) dial(s *socket, secure *tlsSession, host string, port int) {
	network := "tcp"
	if s.kind == 'u' {
		network = "udp"
	}
	a.work(func(ctx context.Context) func() {
		conn, refused := a.connectTo(ctx, network, host, port)
		if conn != nil && secure != nil {
			conn, refused = secure.handshake(ctx, conn, a.p)
		}
		if conn == nil {
			return func() { a.fail(refused) }
		}
		taken := keep(ctx, conn)
		return func() {
			taken()
			s.conn = conn
			a.adopt(s)
			a.print(fmt.Appendf(nil, "\r\n ID: %02d\r\n", s.id))
			a.ok()
		}
	})
}

// connectTo resolves and dials. It runs beside the loop and gives a text when
// it fails.
func (a *App) connectTo(ctx context.Context, network, host string, port int) (net.Conn, string) {
	ip, err := a.resolve(ctx, host)
	if err != nil {
		return nil, a.p.Texts.Resolve
	}
	ctx, cancel := context.WithTimeout(ctx, a.p.Limits.Connect)
	defer cancel()
	conn, err := a.host.Net().Dial(ctx, network, net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		return nil, a.p.Texts.OpenSocket
	}
	return conn, ""
}

// resolve gives the address of a name; an address stands for itself.
func (a *App) resolve(ctx context.Context, name string) (string, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.String(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.p.Limits.Resolve)
	defer cancel()
	return a.host.Net().Resolve(ctx, name)
}

// adopt gives a connected socket the lowest free id and starts it.
func (a *App) adopt(s *socket) {
	s.id = slices.Index(a.sockets, nil)
	a.sockets[s.id] = s
	a.guard(s.stop, s.conn, func() {
		if s.closed != nil {
			s.closed()
		}
	})
	a.read(s)
}

// end closes the connection; the socket's reader ends with it.
func (s *socket) end() {
	if !s.stopped {
		s.stopped = true
		close(s.stop)
	}
}

// drop loses the connection; what was received stays.
func (s *socket) drop() { s.end() }

// read takes what the network has while there is room for it.
func (a *App) read(s *socket) {
	room := min(a.p.Sockets.Buffer-len(s.buf), readSize)
	if s.reading || s.gone || room <= 0 {
		return
	}
	s.reading = true
	conn := s.conn
	a.work(func(context.Context) func() {
		size := room
		if s.kind == 'u' {
			size = readSize // a datagram comes whole
		}
		buf := make([]byte, size)
		n, err := conn.Read(buf)
		return func() { a.received(s, buf[:n], err) }
	})
}

// received keeps what was read and tells about it.
func (a *App) received(s *socket, p []byte, err error) {
	s.reading = false
	if a.sockets[s.id] != s {
		return
	}
	p = p[:min(len(p), a.p.Sockets.Buffer-len(s.buf))]
	if len(p) > 0 {
		s.faults = 0
		s.buf = append(s.buf, p...)
		a.tellPending(s, len(p))
	}
	if err == nil {
		a.read(s)
		return
	}
	// A refused datagram is no end of a UDP socket.
	if s.faults++; s.kind == 'u' && s.faults < 8 && !errors.Is(err, net.ErrClosed) {
		a.read(s)
		return
	}
	s.gone = true
	if s.ind && s.kind != 'u' {
		a.wind(windClosed, fmt.Sprintf("Socket Closed:%d", s.id))
	}
}

// tellPending is WIND 55, for sockets opened with ind only.
func (a *App) tellPending(s *socket, fresh int) {
	if !s.ind || a.p.Bugs.NoPending {
		return
	}
	n := fresh
	if a.p.Sockets.CumulativePending {
		n = len(s.buf)
	}
	a.after(a.p.Bugs.LatePending, func() {
		a.windFor(windPending, s.id, fmt.Sprintf("Pending Data:%d:%d", s.id, n))
	})
}

// socket finds a command's socket.
func (a *App) socket(g arguments) *socket {
	id, ok := g.number(0, 0, len(a.sockets)-1)
	if !ok {
		return nil
	}
	return a.sockets[id]
}

// querySocket is SOCKQ.
func (a *App) querySocket(g arguments) {
	s := a.socket(g)
	if s == nil {
		a.fail(a.p.Texts.IllegalID)
		return
	}
	lead := ""
	if a.p.Sockets.QueryBreak {
		lead = "\r\n"
	}
	a.info("%s DATALEN: %d", lead, len(s.buf))
	a.ok()
}

// readSocket is SOCKR: the bytes without any preamble.
func (a *App) readSocket(g arguments) {
	s := a.socket(g)
	n, good := g.number(1, 0, 1<<31-1)
	switch {
	case s == nil:
		a.fail(a.p.Texts.IllegalID)
	case !good:
		a.fail(a.p.Texts.Invalid)
	case n > len(s.buf):
		a.fail(a.p.Texts.NotEnoughData)
	default:
		a.print(s.buf[:n])
		s.buf = s.buf[:copy(s.buf, s.buf[n:])]
		a.ok()
		a.read(s)
	}
}

// closeSocket is SOCKC. A socket with unread data does not close.
func (a *App) closeSocket(g arguments) {
	s := a.socket(g)
	switch {
	case s == nil:
		a.fail(a.p.Texts.IllegalID)
	case len(s.buf) > 0:
		a.fail(a.p.Texts.PendingData)
	default:
		a.sockets[s.id] = nil
		if s.stopped {
			a.ok()
			return
		}
		s.closed = a.ok
		s.end()
	}
}

// writeSocket is SOCKW. It takes as many bytes as it was told, whatever they
// are, and hands them to the network in pieces.
func (a *App) writeSocket(g arguments) {
	s := a.socket(g)
	n, good := g.number(1, 0, 1<<31-1)
	refused := ""
	switch {
	case !good:
		a.fail(a.p.Texts.Invalid)
		return
	case s == nil:
		refused = a.p.Texts.IllegalID
	case s.gone || s.stopped:
		refused = a.p.Texts.SocketError
	case a.p.Sockets.WriteLimit > 0 && n > a.p.Sockets.WriteLimit:
		refused = a.p.Texts.Invalid
	}
	if refused != "" && !a.p.Sockets.FailedWriteEats {
		a.fail(refused)
		return
	}
	stall := a.p.Bugs.WriteStall > 0 && n > a.p.Bugs.WriteStall
	a.await(n, func(p []byte, last bool) {
		next := func() {
			switch {
			case !last:
				a.more()
			case stall:
			case refused != "":
				a.fail(refused)
			default:
				a.ok()
			}
		}
		if refused != "" || len(p) == 0 {
			next()
			return
		}
		a.send(s, p, func(err error) {
			if err != nil {
				refused = a.p.Texts.WriteFailed
			}
			next()
		})
	})
}

// send writes to a socket's connection beside the loop.
func (a *App) send(s *socket, p []byte, done func(error)) {
	conn, limit := s.conn, a.p.Limits.Write
	a.work(func(context.Context) func() {
		err := conn.SetWriteDeadline(time.Now().Add(limit))
		if err == nil {
			_, err = conn.Write(p)
		}
		return func() { done(err) }
	})
}
