package endpoint

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// EventKind says what a server saw.
type EventKind string

// The events of one connection, in the order in which they can happen.
const (
	EventAccepted EventKind = "accepted"
	// EventClientHello has Hello set.
	EventClientHello EventKind = "client_hello"
	// EventNotTLS means that the client sent something else; Detail has its
	// first bytes in hex.
	EventNotTLS EventKind = "not_tls"
	// EventServerHello has Version and Suite set.
	EventServerHello EventKind = "server_hello"
	// EventClientCertificate has PeerSHA256 and PeerSubject set, or neither for
	// a client that was asked and has none.
	EventClientCertificate EventKind = "client_certificate"
	// EventAlertReceived and EventAlertSent have Alert set.
	EventAlertReceived EventKind = "alert_received"
	EventAlertSent     EventKind = "alert_sent"
	// EventHandshakeDone has Version and Suite set.
	EventHandshakeDone EventKind = "handshake_done"
	// EventHandshakeFailed has Detail set to the TLS stack's words.
	EventHandshakeFailed EventKind = "handshake_failed"
	// EventEchoed is written when a connection's first bytes were sent back;
	// Bytes is their number.
	EventEchoed EventKind = "echoed"
	// EventRequest is an HTTP request; Detail has method, path and status.
	EventRequest EventKind = "request"
	// EventClosed has Close and Bytes set.
	EventClosed EventKind = "closed"
)

// Event is one observation. Text in it that came from the peer is hostile.
type Event struct {
	// Seq counts from 1 over all connections of the server.
	Seq int `json:"seq"`
	// Conn counts the connections from 1.
	Conn int       `json:"conn"`
	At   time.Time `json:"at"`
	Kind EventKind `json:"kind"`
	// Remote is the client's IP address: the board's.
	Remote      string       `json:"remote"`
	RemotePort  int          `json:"remote_port"`
	Hello       *ClientHello `json:"hello,omitempty"`
	Alert       *Alert       `json:"alert,omitempty"`
	Version     uint16       `json:"version,omitempty"`
	Suite       uint16       `json:"suite,omitempty"`
	PeerSHA256  string       `json:"peer_sha256,omitempty"`
	PeerSubject string       `json:"peer_subject,omitempty"`
	Bytes       int64        `json:"bytes,omitempty"`
	Close       CloseKind    `json:"close,omitempty"`
	Detail      string       `json:"detail,omitempty"`
}

// String is one line for a log or a report. What the peer sent is quoted.
func (e Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d %s:%d %s", e.Conn, e.Remote, e.RemotePort, e.Kind)
	if e.Hello != nil {
		fmt.Fprintf(&b, " version=%04x suites=%04x sni=%q sha256=%s", e.Hello.Version, e.Hello.Suites, e.Hello.ServerName, e.Hello.SHA256)
	}
	if e.Alert != nil {
		fmt.Fprintf(&b, " %s", e.Alert)
	}
	if e.Version != 0 {
		fmt.Fprintf(&b, " %s", SuiteText(e.Version, e.Suite))
	}
	if e.PeerSHA256 != "" || e.PeerSubject != "" {
		fmt.Fprintf(&b, " peer=%q sha256=%s", e.PeerSubject, e.PeerSHA256)
	}
	if e.Bytes != 0 {
		fmt.Fprintf(&b, " %d bytes", e.Bytes)
	}
	if e.Close != "" {
		fmt.Fprintf(&b, " %s", e.Close)
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, " %q", e.Detail)
	}
	return b.String()
}

// CloseKind says how a connection ended.
type CloseKind string

// The ways in which a connection ends.
const (
	// CloseNotify: the client ended TLS in order.
	CloseNotify CloseKind = "close_notify"
	// CloseFIN: the client closed TCP without ending TLS.
	CloseFIN CloseKind = "fin"
	// CloseRST: the connection was reset.
	CloseRST CloseKind = "rst"
	// CloseAlert: a fatal alert ended it, in either direction.
	CloseAlert CloseKind = "alert"
	// CloseTimeout: the client was silent for too long.
	CloseTimeout CloseKind = "timeout"
	// CloseLimit: the client sent more than the server takes.
	CloseLimit CloseKind = "limit"
	// CloseServer: the server was closed, or ended the connection by itself.
	CloseServer CloseKind = "server"
	// CloseError: something else, see the event's Detail.
	CloseError CloseKind = "error"
)

// headSize is how much application data a connection remembers.
const headSize = 4096

// Connection is what is known of one connection so far.
type Connection struct {
	ID         int          `json:"id"`
	Remote     string       `json:"remote"`
	RemotePort int          `json:"remote_port"`
	Accepted   time.Time    `json:"accepted"`
	Hello      *ClientHello `json:"hello,omitempty"`
	// AlertsReceived and AlertsSent are in order, close_notify left out.
	AlertsReceived []Alert `json:"alerts_received,omitempty"`
	AlertsSent     []Alert `json:"alerts_sent,omitempty"`
	// Version and Suite are what the server chose, 0 before its ServerHello.
	Version uint16 `json:"version,omitempty"`
	Suite   uint16 `json:"suite,omitempty"`
	// Handshake is set once the server has finished the handshake.
	Handshake bool `json:"handshake"`
	// PeerSHA256 is the hash of the client's certificate, whether or not the
	// server liked it; empty if the client sent none.
	PeerSHA256  string `json:"peer_sha256,omitempty"`
	PeerSubject string `json:"peer_subject,omitempty"`
	// EmptyCertificate: the client was asked for a certificate and said that
	// it has none.
	EmptyCertificate bool `json:"empty_certificate,omitempty"`
	// Received and Sent count bytes of application data.
	Received int64 `json:"received"`
	Sent     int64 `json:"sent"`
	// Close is empty while the connection is open.
	Close  CloseKind `json:"close,omitempty"`
	Closed time.Time `json:"closed,omitzero"`
	// Detail is the TLS stack's word on a failed handshake.
	Detail string `json:"detail,omitempty"`

	head []byte
}

// Saw tells whether the client's first 4096 bytes of application data contain
// nonce: proof that this connection is the one that sent it.
func (c Connection) Saw(nonce []byte) bool {
	return len(nonce) > 0 && bytes.Contains(c.head, nonce)
}

// Verdict is what the server's own log says about a connection.
type Verdict string

// The verdicts.
const (
	// VerdictOpen: the handshake is still going on.
	VerdictOpen Verdict = "open"
	// VerdictConnected: the handshake is complete.
	VerdictConnected Verdict = "connected"
	// VerdictClientRefused: the server saw the ClientHello and answered, and the
	// client ended it before the handshake was complete.
	VerdictClientRefused Verdict = "refused_by_client"
	// VerdictServerRefused: the server saw the ClientHello and ended it.
	VerdictServerRefused Verdict = "refused_by_server"
	// VerdictNothing: no ClientHello was seen, so that nothing was tested.
	VerdictNothing Verdict = "no_client_hello"
	// VerdictTimeout: the client stopped in the middle of the handshake.
	VerdictTimeout Verdict = "timeout"
)

// Verdict sums the connection up.
func (c Connection) Verdict() Verdict {
	fatal := func(a Alert) bool { return a.Fatal }
	switch {
	// In TLS 1.3 and with client certificates one side can be done before the
	// other refuses: a refusal outweighs.
	case c.Hello == nil && c.Close == "":
		return VerdictOpen
	case c.Hello == nil:
		return VerdictNothing
	case c.Received == 0 && slices.ContainsFunc(c.AlertsReceived, fatal):
		return VerdictClientRefused
	case !c.Handshake && slices.ContainsFunc(c.AlertsSent, fatal):
		return VerdictServerRefused
	case c.Handshake:
		return VerdictConnected
	case c.Close == "":
		return VerdictOpen
	case c.Close == CloseTimeout:
		return VerdictTimeout
	case c.Close == CloseServer, c.Close == CloseError, c.Close == CloseLimit:
		return VerdictServerRefused
	}
	return VerdictClientRefused
}

// String is one line for a log or a report.
func (c Connection) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "connection %d from %s:%d: %s", c.ID, c.Remote, c.RemotePort, c.Verdict())
	if c.Version != 0 {
		fmt.Fprintf(&b, ", %s", SuiteText(c.Version, c.Suite))
	}
	for _, a := range c.AlertsReceived {
		fmt.Fprintf(&b, ", received %s", a)
	}
	for _, a := range c.AlertsSent {
		fmt.Fprintf(&b, ", sent %s", a)
	}
	switch {
	case c.PeerSHA256 != "":
		fmt.Fprintf(&b, ", client certificate %q sha256 %s", c.PeerSubject, c.PeerSHA256)
	case c.EmptyCertificate:
		b.WriteString(", asked for a certificate the client had none")
	}
	fmt.Fprintf(&b, ", %d bytes in, %d out", c.Received, c.Sent)
	if c.Close != "" {
		fmt.Fprintf(&b, ", ended by %s", c.Close)
	}
	if c.Detail != "" {
		fmt.Fprintf(&b, ": %q", c.Detail)
	}
	return b.String()
}
