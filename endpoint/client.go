package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"hil-runner/fixtures/certs"
)

// ClientConfig is what the reference client offers and wants.
type ClientConfig struct {
	// ServerName is the name that is verified and sent as SNI.
	ServerName string
	// NoSNI keeps the name out of the ClientHello, as old clients do.
	NoSNI bool
	// Roots are who may certify the server. Without any, the server is not
	// verified: what the module calls anonymous.
	Roots []*x509.Certificate
	// Identity is sent when the server asks for a certificate, whichever
	// signers it names.
	Identity certs.Identity
	// At fixes the client's clock; the host's if zero.
	At time.Time
	// MinVersion and MaxVersion default to TLS 1.0 and TLS 1.2, CipherSuites to
	// LegacySuites.
	MinVersion, MaxVersion uint16
	CipherSuites           []uint16
	// Dialer replaces a plain TCP dialer.
	Dialer Dialer
}

// Dialer opens TCP connections; net.Dialer is one.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Session is an open TLS connection of the reference client.
type Session struct {
	net.Conn // *tls.Conn
	tls      *tls.Conn
	name     string
	cfg      *ClientConfig
	sent     bool
}

// Dial connects the reference client: the positive control from this host. ctx
// bounds the connecting only. An error of the handshake tells the stage and
// wraps crypto/tls's error.
func Dial(ctx context.Context, address string, cfg ClientConfig) (*Session, error) {
	var d Dialer = &net.Dialer{}
	if cfg.Dialer != nil {
		d = cfg.Dialer
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("endpoint: tcp: %w", err)
	}
	s := &Session{name: cfg.ServerName, cfg: &cfg}
	s.tls = tls.Client(conn, s.config())
	s.Conn = s.tls
	if err := s.tls.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("endpoint: tls with %s: %w", address, err)
	}
	return s, nil
}

func (s *Session) config() *tls.Config {
	cfg := s.cfg
	c := &tls.Config{
		ServerName:   cfg.ServerName,
		MinVersion:   cfg.MinVersion,
		MaxVersion:   cfg.MaxVersion,
		CipherSuites: cfg.CipherSuites,
		// Verified below, so that anonymous and NoSNI are possible.
		InsecureSkipVerify: true,
		VerifyConnection:   s.verify,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if cfg.Identity.IsZero() {
				return &tls.Certificate{}, nil
			}
			s.sent = true
			cert := cfg.Identity.TLS()
			return &cert, nil
		},
	}
	if cfg.NoSNI {
		c.ServerName = ""
	}
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS10
	}
	if c.MaxVersion == 0 {
		c.MaxVersion = max(tls.VersionTLS12, c.MinVersion)
	}
	if c.CipherSuites == nil {
		c.CipherSuites = LegacySuites()
	}
	return c
}

func (s *Session) verify(state tls.ConnectionState) error {
	if len(s.cfg.Roots) == 0 {
		return nil
	}
	at := s.cfg.At
	if at.IsZero() {
		at = time.Now()
	}
	_, err := verifyChain(state.PeerCertificates, certs.CertPool(s.cfg.Roots...), s.cfg.ServerName, at)
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}

// State is crypto/tls's view of the connection.
func (s *Session) State() tls.ConnectionState { return s.tls.ConnectionState() }

// Proof is what the server proved in this session's handshake.
func (s *Session) Proof() Proof { return proofOf(s.State(), s.name) }

// SentCertificate tells whether the server asked for the client's certificate
// and got it.
func (s *Session) SentCertificate() bool { return s.sent }

// ErrEcho is that something else than the nonce came back.
var ErrEcho = errors.New("endpoint: the echo is not what was sent")

// Echo sends p and reads as many bytes back; ctx bounds both.
func (s *Session) Echo(ctx context.Context, p []byte) error {
	stop := context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	sent := make(chan error, 1)
	go func() {
		_, err := s.Write(p)
		sent <- err
	}()
	got := make([]byte, len(p))
	_, err := io.ReadFull(s, got)
	if err != nil {
		_ = s.SetDeadline(time.Unix(1, 0)) // ends the writer
	}
	if werr := <-sent; werr != nil && err == nil {
		err = werr
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("endpoint: echo of %d bytes: %w", len(p), ctx.Err())
	case err != nil:
		return fmt.Errorf("endpoint: echo of %d bytes: %w", len(p), err)
	case !bytes.Equal(got, p):
		return ErrEcho
	}
	return nil
}

// Close ends TLS with close_notify and closes the connection.
func (s *Session) Close() error { return s.tls.Close() }

// Control is the positive control of an endpoint's health from this host: it
// connects, has a nonce echoed, sees the server witness it, and gives the
// server's proof.
func Control(ctx context.Context, s *Server, cfg ClientConfig) (Proof, error) {
	session, err := Dial(ctx, s.Addr(), cfg)
	if err != nil {
		return Proof{}, err
	}
	nonce := NewNonce()
	err = session.Echo(ctx, nonce)
	proof := session.Proof()
	if closeErr := session.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("endpoint: closing the control's connection: %w", closeErr)
	}
	if err != nil {
		return Proof{}, err
	}
	_, err = s.WaitConnection(ctx, func(c Connection) bool { return c.Saw(nonce) && c.Handshake })
	return proof, err
}

// ClientAlert finds the alert in an error of Dial or of a Session: what the
// server sent, or else what the client itself refused with.
func ClientAlert(err error) (code AlertCode, byServer, ok bool) {
	if code, ok := remoteAlert(err); ok {
		return code, true, true
	}
	code, ok = localAlert(err)
	return code, false, ok
}
