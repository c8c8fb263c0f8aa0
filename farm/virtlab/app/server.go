package app

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// escapeHold is how long, in real time, the beginning of an escape sequence
// waits for its end before it is sent as data.
const escapeHold = 50 * time.Millisecond

// server is the socket server (SOCKD) with its clients.
type server struct {
	port    int
	ln      net.Listener
	stop    chan struct{}
	clients []*client
}

// client is one peer of the socket server.
type client struct {
	conn    net.Conn
	ip      string
	buf     []byte // received in command mode
	msgs    int
	paused  bool // no room: the next read waits for data mode
	reading bool
	stop    chan struct{}
	stopped bool
}

// end closes the server and its clients.
func (v *server) end() {
	close(v.stop)
	for _, c := range v.clients {
		c.end()
	}
}

func (c *client) end() {
	if !c.stopped {
		c.stopped = true
		close(c.stop)
	}
}

// socketServer is SOCKD.
func (a *App) socketServer(g arguments) {
	port, good := g.number(0, 0, 65535)
	proto := strings.ToLower(g.at(1))
	network := "tcp"
	if strings.HasPrefix(proto, "u") {
		network = "udp"
	}
	switch {
	case !good || !oneOf(proto, "", "t", "u", "tcp", "udp", "ind") || !oneOf(g.at(2), "", "ind"):
		a.fail(a.p.Texts.Invalid)
	case port == 0 && a.server == nil:
		a.fail(a.p.Texts.ServerNotRun)
	case port == 0:
		a.server.end()
		a.server = nil
		a.ok()
	case a.server != nil:
		a.fail(a.p.Texts.ServerUp)
	case a.radio.off:
		a.fail(a.p.Texts.RadioOff)
	default: // it waits for the network by itself
		a.listen(network, port)
	}
}

func (a *App) listen(network string, port int) {
	a.work(func(ctx context.Context) func() {
		ln, err := a.host.Net().Listen(ctx, network, ":"+strconv.Itoa(port))
		if err != nil {
			return func() { a.fail(a.p.Texts.SocketError) }
		}
		taken := keep(ctx, ln)
		return func() {
			taken()
			v := &server{port: port, ln: ln, stop: make(chan struct{})}
			a.server = v
			a.guard(v.stop, ln, nil)
			a.accept(v)
			a.ok()
		}
	})
}

// accept takes the next client.
func (a *App) accept(v *server) {
	a.work(func(ctx context.Context) func() {
		conn, err := v.ln.Accept()
		if err != nil {
			return nil
		}
		taken := keep(ctx, conn)
		return func() {
			taken()
			c := &client{conn: conn, ip: peerIP(conn), stop: make(chan struct{})}
			a.guard(c.stop, conn, nil)
			if a.server != v || !a.radio.up() || len(v.clients) >= a.p.Sockets.Clients {
				c.end()
			} else {
				v.clients = append(v.clients, c)
				a.wind(windClient, "Incoming Socket Client:"+c.ip)
				a.readClient(v, c)
				if a.p.Sockets.AutoData && a.console.data == nil && !a.quiet() {
					a.toData()
				}
			}
			if a.server == v {
				a.accept(v)
			}
		}
	})
}

func peerIP(conn net.Conn) string {
	addr := conn.RemoteAddr()
	if addr == nil {
		return ""
	}
	if host, _, err := net.SplitHostPort(addr.String()); err == nil {
		return host
	}
	return printable(addr.String())
}

// readClient takes what a client sends.
func (a *App) readClient(v *server, c *client) {
	if c.reading || c.paused || c.stopped {
		return
	}
	c.reading = true
	a.work(func(context.Context) func() {
		buf := make([]byte, readSize)
		n, err := c.conn.Read(buf)
		return func() { a.fromClient(v, c, buf[:n], err) }
	})
}

// fromClient prints or keeps what a client has sent.
func (a *App) fromClient(v *server, c *client, p []byte, err error) {
	c.reading = false
	if a.server != v || !slices.Contains(v.clients, c) {
		return
	}
	wait := time.Duration(0)
	switch {
	case len(p) == 0:
	case a.console.data != nil:
		a.print(p)
		wait = a.wireTime(len(p))
	case len(c.buf)+len(p) > a.p.Sockets.Buffer:
		c.paused = true
		a.wind(windDropping, fmt.Sprintf("Sockd Dropping Data:%d:%d", len(p), 20304-len(c.buf)))
	default:
		c.buf = append(c.buf, p...)
		c.msgs++
		a.wind(windServerPending, fmt.Sprintf("Sockd Pending Data:%d:%d:%d", c.msgs, len(p), len(c.buf)))
	}
	if err == nil {
		a.after(wait, func() { a.readClient(v, c) })
		return
	}
	a.clientGone(v, c)
}

// clientGone is WIND 62. With the last client data mode ends by itself.
func (a *App) clientGone(v *server, c *client) {
	c.end()
	v.clients = slices.DeleteFunc(v.clients, func(o *client) bool { return o == c })
	if len(v.clients) == 0 && a.console.data != nil {
		a.console.data = nil
		a.release()
	}
	a.wind(windClientGone, "Socket Client Gone:"+c.ip)
}

// wireTime is how long n bytes take on the UART, in module time.
func (a *App) wireTime(n int) time.Duration {
	baud := max(a.config.number("console1_speed"), 9600)
	return time.Duration(n) * 10 * time.Second / time.Duration(baud)
}

// dataMode is the console between WIND 60 and WIND 59: what is received goes
// to the socket server's clients, but for the escape sequence standing alone.
type dataMode struct {
	buf []byte // since the last silence
	gap int    // counts silences, so that an old timer is known
}

// enterData is AT+S. alone on a line. The answer is WIND 60.
func (a *App) enterData(arguments) {
	if a.server == nil || len(a.server.clients) == 0 {
		a.fail(a.p.Texts.NoDataMode)
		return
	}
	a.console.busy = false
	a.release()
	a.toData()
	a.consume()
}

// toData switches to data mode and prints what clients have sent so far.
func (a *App) toData() {
	a.wind(windDataMode, "Now in Data Mode")
	a.console.data = &dataMode{}
	for _, c := range a.server.clients {
		a.print(c.buf)
		c.buf, c.msgs, c.paused = nil, 0, false
		a.readClient(a.server, c)
	}
}

// takeData gathers bytes up to a silence.
func (a *App) takeData(p []byte) int {
	d := a.console.data
	n := min(len(p), chunk-len(d.buf))
	d.buf = append(d.buf, p[:n]...)
	d.gap++
	if len(d.buf) == chunk {
		a.flushData()
		return n
	}
	if n == len(p) {
		a.awaitGap(d)
	}
	return n
}

// awaitGap decides after a silence whether what came is the escape sequence.
func (a *App) awaitGap(d *dataMode) {
	gap := d.gap
	settled := func() bool { return a.console.data == d && d.gap == gap && len(d.buf) > 0 }
	a.after(a.p.Console.EscapeGap, func() {
		escape := []byte(a.config.get("escape_seq"))
		switch {
		case !settled():
		case bytes.Equal(d.buf, escape):
			a.console.data = nil
			a.wind(windCommandMode, "Back to Command Mode")
			a.release()
			a.consume()
		case bytes.HasPrefix(escape, d.buf):
			a.pause(escapeHold, func() {
				if settled() {
					a.flushData()
				}
			})
		default:
			a.flushData()
		}
	})
}

// flushData sends what was gathered to the clients; the console waits for it.
func (a *App) flushData() {
	d := a.console.data
	data := d.buf
	d.buf = nil
	if a.server == nil || len(data) == 0 {
		return
	}
	a.console.busy = true
	conns := make([]net.Conn, 0, len(a.server.clients))
	for _, c := range a.server.clients {
		conns = append(conns, c.conn)
	}
	limit := a.p.Limits.Write
	a.work(func(context.Context) func() {
		for _, conn := range conns {
			// A client that does not read shows itself at its reader.
			if conn.SetWriteDeadline(time.Now().Add(limit)) == nil {
				_, _ = conn.Write(data)
			}
		}
		return func() {
			a.console.busy = false
			a.release()
			a.consume()
		}
	})
}
