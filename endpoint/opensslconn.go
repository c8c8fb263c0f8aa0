package endpoint

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// serve joins a client with a process of its own: wire to wire, and the
// process's application data to the application.
func (o *openSSL) serve(ctx context.Context, t *tap, w *witness) (CloseKind, error) {
	p, err := o.take(ctx)
	if err != nil {
		w.handshakeFailed(err.Error())
		return CloseServer, err
	}
	defer p.end()
	b := &bridge{t: t, w: w, p: p, cfg: o.cfg}
	stop := context.AfterFunc(ctx, b.abort)
	defer stop()
	// Silence before the end of the handshake is bounded as a whole, after it
	// from read to read.
	b.timer = time.AfterFunc(o.cfg.HandshakeTimeout, b.expire)
	defer b.timer.Stop()
	return b.run(ctx, o.app)
}

// bridge is one client's connection through one process.
type bridge struct {
	t     *tap
	w     *witness
	p     *sserver
	cfg   *Config
	timer *time.Timer

	mu      sync.Mutex
	expired bool
	summary opensslSummary
}

func (b *bridge) expire() {
	b.mu.Lock()
	b.expired = true
	b.mu.Unlock()
	b.abort()
}

// abort ends every read and write below. The process goes first: whoever sets
// a new deadline meanwhile still gets the end of its streams.
func (b *bridge) abort() {
	_ = b.p.cmd.Process.Kill() // it may have gone by itself
	past := time.Unix(1, 0)
	_ = b.t.SetDeadline(past)
	_ = b.p.conn.SetDeadline(past)
	_ = b.p.stdin.SetDeadline(past)
	_ = b.p.stdout.SetDeadline(past)
	_ = b.p.stderr.SetDeadline(past)
}

// leave waits for the client to go after the last answer: s_server cannot be
// told to say good-bye, and killing it would cut the answer off.
func (b *bridge) leave() {
	_ = b.p.stdout.SetReadDeadline(time.Now().Add(leaveLimit))
	_, _ = io.Copy(io.Discard, b.p.stdout)
	b.abort()
}

// leaveLimit is how long a client may take to close after the last answer.
const leaveLimit = 5 * time.Second

func (b *bridge) run(ctx context.Context, app application) (CloseKind, error) {
	var wg sync.WaitGroup
	wg.Go(func() { // client to process
		_, _ = io.Copy(b.p.conn, onlyReader{b.t})
		_ = b.p.conn.CloseWrite()
	})
	wg.Go(func() { // process to client
		_, _ = io.Copy(onlyWriter{b.t}, b.p.conn)
		// The process is done with the client: what the client still sends is
		// of no interest, so its end need not be waited for.
		_ = b.t.SetReadDeadline(time.Now().Add(time.Second))
		if half, ok := b.t.Conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	})
	wg.Go(func() { b.readSummary(b.p.stderr) })
	var appErr error
	wg.Go(func() {
		appErr = app.serve(&appConn{ctx: ctx, conn: &stdioConn{b: b}, w: b.w, cfg: b.cfg})
		switch {
		case errors.Is(appErr, errLimit):
			b.abort()
		case errors.Is(appErr, errServed):
			b.leave()
		case !errors.Is(appErr, io.EOF):
			b.abort() // nobody reads the process's output any more
		}
	})
	wg.Wait()
	return b.verdict(ctx, appErr)
}

// verdict says how it ended, from the wire and the process's own words.
func (b *bridge) verdict(ctx context.Context, appErr error) (CloseKind, error) {
	b.mu.Lock()
	expired, sum := b.expired, b.summary
	b.mu.Unlock()
	for _, code := range sum.alerts {
		b.w.alertReceived(Alert{Fatal: true, Code: code, Encrypted: true})
	}
	c := b.w.view()
	if !c.Handshake {
		b.w.handshakeFailed(sum.errorText())
	}
	kind := b.t.peerEnd()
	_, _, last, _ := b.t.received()
	failed := failedKind(b.t, b.w)
	switch {
	case errors.Is(appErr, errLimit):
		return CloseLimit, appErr
	case errors.Is(appErr, errServed):
		return CloseServer, nil
	case ctx.Err() != nil:
		return CloseServer, nil
	case failed == CloseAlert:
		return CloseAlert, nil
	case expired && (kind == "" || kind == CloseTimeout):
		return CloseTimeout, nil
	case c.Handshake && !sum.torn && (last == recordAlert || c.Version >= 0x0304):
		return CloseNotify, nil
	case kind == CloseTimeout || kind == "":
		return CloseServer, nil
	}
	return kind, nil
}

// opensslSummary is what s_server -brief said on stderr.
type opensslSummary struct {
	errors []string
	alerts []AlertCode
	torn   bool // TCP ended without close_notify
}

func (s *opensslSummary) errorText() string {
	if len(s.errors) == 0 {
		return "openssl gave no reason"
	}
	return strings.Join(s.errors, "; ")
}

// maxSummaryLines bounds what is kept of stderr.
const maxSummaryLines = 8

func (b *bridge) readSummary(stderr *os.File) {
	r := bufio.NewReaderSize(stderr, 4096)
	for {
		line, _, err := r.ReadLine()
		if err != nil {
			return
		}
		b.summaryLine(string(line))
	}
}

func (b *bridge) summaryLine(line string) {
	switch {
	case strings.HasPrefix(line, "Protocol version:"):
		// Version and suite are known from the ServerHello.
		b.established()
	case strings.HasPrefix(line, "Peer certificate:"):
		b.noteSubject(strings.TrimSpace(strings.TrimPrefix(line, "Peer certificate:")))
	case strings.Contains(line, ":error:"):
		b.mu.Lock()
		defer b.mu.Unlock()
		b.summary.add(line)
	}
}

// noteSubject gives the client's certificate a name where the wire, being
// TLS 1.3, does not show it. Its hash stays unknown then.
func (b *bridge) noteSubject(subject string) {
	defer b.w.lock()()
	if b.w.c.PeerSubject == "" && !b.w.c.EmptyCertificate {
		b.w.c.PeerSubject = subject
	}
}

// add notes a line of openssl's error queue:
// id:error:code:library:function:reason:file:line:data
func (s *opensslSummary) add(line string) {
	fields := strings.Split(line, ":")
	reason := line
	if len(fields) > 5 {
		reason = fields[5]
	}
	if reason == "unexpected eof while reading" {
		s.torn = true
	}
	if len(s.errors) < maxSummaryLines {
		s.errors = append(s.errors, reason)
	}
	if _, number, ok := strings.Cut(line, ":SSL alert number "); ok {
		if n, err := strconv.ParseUint(number, 10, 8); err == nil && len(s.alerts) < maxAlerts {
			s.alerts = append(s.alerts, AlertCode(n))
		}
	}
}

// established notes the end of the handshake. Application data says so too,
// and may be seen before the summary.
func (b *bridge) established() {
	b.timer.Stop()
	b.w.handshakeDone(0, 0)
}

// stdioConn is the process's application data: what the client sent comes out
// of stdout and what goes into stdin is sent to the client.
type stdioConn struct{ b *bridge }

func (c *stdioConn) Read(p []byte) (int, error) {
	n, err := c.b.p.stdout.Read(p)
	if n > 0 {
		c.b.established()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.b.hasExpired() {
		c.b.expire() // the idle timeout
	}
	return n, err
}

func (b *bridge) hasExpired() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.expired
}

func (c *stdioConn) Write(p []byte) (int, error) { return c.b.p.stdin.Write(p) }

// SetDeadline bounds Read and Write.
func (c *stdioConn) SetDeadline(t time.Time) error {
	return errors.Join(c.b.p.stdout.SetDeadline(t), c.b.p.stdin.SetDeadline(t))
}

// The rest of net.Conn is not needed by an application.

func (c *stdioConn) Close() error                       { return nil }
func (c *stdioConn) LocalAddr() net.Addr                { return c.b.t.LocalAddr() }
func (c *stdioConn) RemoteAddr() net.Addr               { return c.b.t.RemoteAddr() }
func (c *stdioConn) SetReadDeadline(t time.Time) error  { return c.b.p.stdout.SetReadDeadline(t) }
func (c *stdioConn) SetWriteDeadline(t time.Time) error { return c.b.p.stdin.SetWriteDeadline(t) }

// onlyReader and onlyWriter hide the shortcuts of TCP connections, which would
// pass the witness by.
type onlyReader struct{ io.Reader }
type onlyWriter struct{ io.Writer }
