package endpoint

import (
	"crypto/x509"
	"encoding/hex"
	"slices"
)

// witness writes down one connection.
type witness struct {
	j *journal
	c Connection // guarded by j.mu
}

// add completes and stores an event. The caller holds j.mu.
func (w *witness) add(e Event) {
	j := w.j
	j.seq++
	e.Seq, e.Conn, e.At = j.seq, w.c.ID, j.now()
	e.Remote, e.RemotePort = w.c.Remote, w.c.RemotePort
	if len(e.Detail) > maxDetail {
		e.Detail = e.Detail[:maxDetail]
	}
	if len(j.events) >= maxEvents {
		j.events = slices.Delete(j.events, 0, maxEvents/2)
	}
	j.events = append(j.events, e)
	j.wake()
}

// lock is for the methods below: defer w.lock()().
func (w *witness) lock() func() {
	w.j.mu.Lock()
	return w.j.mu.Unlock
}

func (w *witness) clientMessage(msg []byte) {
	switch msg[0] {
	case msgClientHello:
		hello, err := ParseClientHello(msg)
		w.hello(hello, err)
	case msgCertificate:
		chain, err := parseCertificates(msg)
		if err != nil {
			return // the TLS stack will say what it thinks of it
		}
		w.clientChain(chain)
	}
}

func (w *witness) sslv2Hello(msg []byte) {
	hello, err := parseSSLv2Hello(msg)
	w.hello(hello, err)
}

func (w *witness) hello(hello *ClientHello, err error) {
	defer w.lock()()
	if w.c.Hello != nil {
		return // after a HelloRetryRequest; the first one tells what is offered
	}
	e := Event{Kind: EventClientHello, Hello: hello}
	if err != nil {
		e = Event{Kind: EventNotTLS, Detail: err.Error()}
	}
	w.c.Hello = hello
	w.add(e)
}

func (w *witness) notTLS(start []byte) {
	defer w.lock()()
	w.add(Event{Kind: EventNotTLS, Detail: hex.EncodeToString(start)})
}

func (w *witness) serverMessage(msg []byte) {
	if msg[0] != msgServerHello {
		return
	}
	hello, err := parseServerHello(msg)
	if err != nil {
		return
	}
	defer w.lock()()
	if w.c.Version != 0 {
		return
	}
	w.c.Version, w.c.Suite = hello.version, hello.suite
	w.add(Event{Kind: EventServerHello, Version: hello.version, Suite: hello.suite})
}

// clientChain notes the client's certificates, once.
func (w *witness) clientChain(chain [][]byte) {
	e := Event{Kind: EventClientCertificate}
	if len(chain) > 0 {
		e.PeerSHA256 = hexSum(chain[0])
		if cert, err := x509.ParseCertificate(chain[0]); err == nil {
			e.PeerSubject = cert.Subject.String()
		}
	}
	defer w.lock()()
	if w.c.PeerSHA256 != "" || w.c.EmptyCertificate {
		return
	}
	w.c.PeerSHA256, w.c.PeerSubject, w.c.EmptyCertificate = e.PeerSHA256, e.PeerSubject, len(chain) == 0
	w.add(e)
}

func (w *witness) alertReceived(a Alert) {
	defer w.lock()()
	w.alert(EventAlertReceived, &w.c.AlertsReceived, a)
}

func (w *witness) alertSent(a Alert) {
	defer w.lock()()
	w.alert(EventAlertSent, &w.c.AlertsSent, a)
}

// alert notes an alert unless the wire has already shown it and this is the
// TLS stack's word on the same one.
func (w *witness) alert(kind EventKind, list *[]Alert, a Alert) {
	if a.Encrypted && slices.ContainsFunc(*list, func(b Alert) bool { return b.Fatal }) {
		return
	}
	if a.Code != AlertCloseNotify {
		if len(*list) >= maxAlerts {
			return // 5,000 warnings are not worth remembering
		}
		*list = append(*list, a)
	}
	w.add(Event{Kind: kind, Alert: &a})
}

// handshakeDone notes the end of a handshake, once.
func (w *witness) handshakeDone(version, suite uint16) {
	defer w.lock()()
	if w.c.Handshake {
		return
	}
	if version != 0 {
		w.c.Version, w.c.Suite = version, suite
	}
	w.c.Handshake = true
	w.add(Event{Kind: EventHandshakeDone, Version: w.c.Version, Suite: w.c.Suite,
		PeerSHA256: w.c.PeerSHA256, PeerSubject: w.c.PeerSubject})
}

func (w *witness) handshakeFailed(detail string) {
	defer w.lock()()
	if len(detail) > maxDetail {
		detail = detail[:maxDetail]
	}
	w.c.Detail = detail
	w.add(Event{Kind: EventHandshakeFailed, Detail: detail})
}

// took notes application data from the client.
func (w *witness) took(p []byte) {
	defer w.lock()()
	w.c.Received += int64(len(p))
	if n := headSize - len(w.c.head); n > 0 {
		w.c.head = append(w.c.head, p[:min(n, len(p))]...)
	}
	w.j.wake()
}

// gave notes application data to the client. Only the first event is kept: an
// echo of a gigabyte is still one fact.
func (w *witness) gave(n int, kind EventKind, detail string) {
	defer w.lock()()
	first := w.c.Sent == 0
	w.c.Sent += int64(n)
	if first || kind != EventEchoed {
		w.add(Event{Kind: kind, Bytes: int64(n), Detail: detail})
		return
	}
	w.j.wake()
}

func (w *witness) close(kind CloseKind, detail string) {
	defer w.lock()()
	if w.c.Close != "" {
		return
	}
	w.c.Close, w.c.Closed = kind, w.j.now()
	w.add(Event{Kind: EventClosed, Close: kind, Bytes: w.c.Received, Detail: detail})
}

// snapshot copies the connection as it is now. The caller holds j.mu.
func (w *witness) snapshot() Connection {
	c := w.c
	c.AlertsReceived = slices.Clone(c.AlertsReceived)
	c.AlertsSent = slices.Clone(c.AlertsSent)
	c.head = c.head[:len(c.head):len(c.head)]
	return c
}

func (w *witness) view() Connection {
	defer w.lock()()
	return w.snapshot()
}
