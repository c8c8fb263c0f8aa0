package endpoint

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Content types of records (RFC 5246 6.2.1) and types of handshake messages.
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordData             = 23

	msgClientHello = 1
	msgServerHello = 2
	msgCertificate = 11
)

// maxMessage bounds what a scanner keeps of one handshake message. Go's own
// stack takes no more than this either.
const maxMessage = 1 << 18

// scanner follows the records of one direction and picks out what is not
// encrypted. It never fails: what is not TLS is noted and left alone.
type scanner struct {
	// message gets each plaintext handshake message, header included.
	message func(msg []byte)
	// alert gets each plaintext alert.
	alert func(fatal bool, code AlertCode)
	// sslv2 gets a hello of SSL 2.0.
	sslv2 func(msg []byte)

	head    [5]byte
	nhead   int
	kind    uint8
	left    int  // bytes of the record that are still to come
	first   bool // the first record has been seen
	sealed  bool // ChangeCipherSpec has been seen
	foreign bool // this is not TLS
	start   []byte
	alerts  []byte // the alert record being read
	shake   []byte // handshake bytes not yet a whole message
	last    uint8  // content type of the last whole record
	bytes   int64
}

func (s *scanner) write(p []byte) {
	s.bytes += int64(len(p))
	if n := 16 - len(s.start); n > 0 {
		s.start = append(s.start, p[:min(n, len(p))]...)
	}
	for len(p) > 0 && !s.foreign {
		if s.left == 0 {
			n := copy(s.head[s.nhead:], p)
			s.nhead, p = s.nhead+n, p[n:]
			if s.nhead == len(s.head) {
				s.nhead = 0
				s.header()
			}
			continue
		}
		n := min(s.left, len(p))
		s.body(p[:n])
		s.left, p = s.left-n, p[n:]
		if s.left == 0 {
			s.end()
		}
	}
}

func (s *scanner) header() {
	first := !s.first
	s.first = true
	s.kind, s.left = s.head[0], int(s.head[3])<<8|int(s.head[4])
	s.alerts = s.alerts[:0]
	if first && s.sslv2 != nil && s.head[0]&0x80 != 0 && s.head[2] == msgClientHello {
		s.kind = 0
		s.left = int(s.head[0]&0x7f)<<8 | int(s.head[1])
		s.left -= 3
		s.shake = append(s.shake[:0], s.head[2:]...)
		s.foreign = s.left <= 0
		return
	}
	if s.kind < recordChangeCipherSpec || s.kind > recordData || s.head[1] != 3 {
		s.foreign = true
		return
	}
	if s.left == 0 {
		s.end()
	}
}

func (s *scanner) body(p []byte) {
	switch {
	case s.kind == 0, s.kind == recordHandshake && !s.sealed:
		if len(s.shake)+len(p) > maxMessage {
			s.foreign, s.shake = true, nil
			return
		}
		s.shake = append(s.shake, p...)
	case s.kind == recordAlert && len(s.alerts) < 8:
		s.alerts = append(s.alerts, p[:min(len(p), 8-len(s.alerts))]...)
	}
}

func (s *scanner) end() {
	s.last = s.kind
	switch s.kind {
	case 0:
		s.sslv2(s.shake)
		s.shake = nil
	case recordChangeCipherSpec:
		s.sealed = true
	case recordAlert:
		// Sealed alerts are longer, so two bytes are always in plain text.
		if len(s.alerts) == 2 && s.alert != nil {
			s.alert(s.alerts[0] == 2, AlertCode(s.alerts[1]))
		}
	case recordHandshake:
		if !s.sealed {
			s.messages()
		}
	}
}

func (s *scanner) messages() {
	for len(s.shake) >= 4 {
		n := 4 + int(s.shake[1])<<16 + int(s.shake[2])<<8 + int(s.shake[3])
		if n > maxMessage {
			s.foreign, s.shake = true, nil
			return
		}
		if len(s.shake) < n {
			return
		}
		if s.message != nil {
			s.message(s.shake[:n])
		}
		s.shake = s.shake[n:]
	}
	if len(s.shake) == 0 {
		s.shake = nil
	}
}

// tap is a connection that shows both directions to its witness.
type tap struct {
	net.Conn
	w *witness

	mu      sync.Mutex
	in, out scanner   // their callbacks run with mu held
	ended   CloseKind // how the peer's direction ended, if it did
}

func newTap(conn net.Conn, w *witness) *tap {
	t := &tap{Conn: conn, w: w}
	t.in = scanner{message: w.clientMessage, sslv2: w.sslv2Hello, alert: func(fatal bool, code AlertCode) {
		w.alertReceived(Alert{Fatal: fatal, Code: code})
	}}
	t.out = scanner{message: w.serverMessage, alert: func(fatal bool, code AlertCode) {
		// To a client that is gone an alert refuses nothing: openssl sends one
		// about the end of the connection itself.
		if t.ended == "" {
			w.alertSent(Alert{Fatal: fatal, Code: code})
		}
	}}
	return t
}

// Read shows what the peer sent before anybody acts on it.
func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.in.write(p[:n])
	if err != nil && t.ended == "" {
		t.ended = closeKind(err)
	}
	return n, err
}

// Write shows what goes to the peer before it is sent, so that the log never
// lags behind what the peer may already have acted on.
func (t *tap) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.out.write(p)
	t.mu.Unlock()
	return t.Conn.Write(p)
}

// peerEnd tells how the peer ended its direction: "" if it did not.
func (t *tap) peerEnd() CloseKind {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}

// received gives the number of bytes from the peer, their beginning, the
// content type of the last whole record, and whether it was TLS at all.
func (t *tap) received() (n int64, start []byte, last uint8, foreign bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.in.bytes, t.in.start, t.in.last, t.in.foreign
}

// closeKind sorts an error of a TCP connection.
func closeKind(err error) CloseKind {
	var netErr net.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return CloseFIN
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return CloseRST
	case errors.As(err, &netErr) && netErr.Timeout():
		return CloseTimeout
	case errors.Is(err, net.ErrClosed):
		return CloseServer
	}
	return CloseError
}

// deadline bounds reads and writes of a connection by d from now; 0 means that
// there is no bound.
func deadline(c net.Conn, d time.Duration) error {
	if d <= 0 {
		return c.SetDeadline(time.Time{})
	}
	return c.SetDeadline(time.Now().Add(d))
}
