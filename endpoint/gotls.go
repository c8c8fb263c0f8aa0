package endpoint

import (
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

// goTLS is the engine crypto/tls.
type goTLS struct {
	cfg *Config
	app application
	tls *tls.Config
}

func newGoTLS(cfg *Config, app application) *goTLS {
	policy := map[ClientAuth]tls.ClientAuthType{
		ClientAuthNone:          tls.NoClientCert,
		ClientAuthRequest:       tls.RequestClientCert,
		ClientAuthRequire:       tls.RequireAnyClientCert,
		ClientAuthVerifyIfGiven: tls.VerifyClientCertIfGiven,
		ClientAuthVerify:        tls.RequireAndVerifyClientCert,
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{cfg.Identity.TLS()},
		MinVersion:   cfg.MinVersion,
		MaxVersion:   cfg.MaxVersion,
		CipherSuites: cfg.CipherSuites,
		ClientAuth:   policy[cfg.ClientAuth],
		Time:         cfg.now,
		// Every connection is to show its certificates and prove its key.
		SessionTicketsDisabled: true,
	}
	if len(cfg.ClientRoots) > 0 {
		c.ClientCAs = certs.CertPool(cfg.ClientRoots...)
	}
	return &goTLS{cfg: cfg, app: app, tls: c}
}

func (*goTLS) close() error { return nil }

func (g *goTLS) serve(ctx context.Context, t *tap, w *witness) (CloseKind, error) {
	conn := tls.Server(t, g.tls)
	if err := t.SetDeadline(time.Now().Add(g.cfg.HandshakeTimeout)); err != nil {
		return closeKind(err), err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		noteUnverified(w, err)
		noteAlerts(w, err)
		w.handshakeFailed(err.Error())
		return failedKind(t, w), err
	}
	state := conn.ConnectionState()
	var chain [][]byte
	for _, cert := range state.PeerCertificates {
		chain = append(chain, cert.Raw)
	}
	if g.cfg.ClientAuth != ClientAuthNone {
		w.clientChain(chain)
	}
	w.handshakeDone(state.Version, state.CipherSuite)

	err := g.app.serve(&appConn{ctx: ctx, conn: conn, w: w, cfg: g.cfg})
	noteAlerts(w, err)
	kind := appKind(t, w, err)
	// Our own close_notify; a peer that is gone does not matter any more. TCP is
	// closed by the caller, after what is still coming in.
	if deadline(t, time.Second) == nil {
		_ = conn.CloseWrite()
	}
	return kind, ignoreEOF(err)
}

// noteUnverified finds the client's certificate in a refusal: with TLS 1.3 the
// wire does not show it.
func noteUnverified(w *witness, err error) {
	var bad *tls.CertificateVerificationError
	if !errors.As(err, &bad) {
		return
	}
	var chain [][]byte
	for _, cert := range bad.UnverifiedCertificates {
		chain = append(chain, cert.Raw)
	}
	if len(chain) > 0 {
		w.clientChain(chain)
	}
}

// noteAlerts adds what only the TLS stack knows, as encrypted alerts.
func noteAlerts(w *witness, err error) {
	if code, ok := remoteAlert(err); ok {
		w.alertReceived(Alert{Fatal: true, Code: code, Encrypted: true})
	} else if code, ok := localAlert(err); ok {
		w.alertSent(Alert{Fatal: true, Code: code, Encrypted: true})
	}
}

// failedKind says how a connection ended whose handshake failed.
func failedKind(t *tap, w *witness) CloseKind {
	c := w.view()
	for _, a := range append(c.AlertsReceived, c.AlertsSent...) {
		if a.Fatal {
			return CloseAlert
		}
	}
	if kind := t.peerEnd(); kind != "" {
		return kind
	}
	return CloseError
}

// appKind says how a connection ended after its handshake. crypto/tls reports
// close_notify and a bare FIN alike; only the former leaves TCP open.
func appKind(t *tap, w *witness, err error) CloseKind {
	switch {
	case errors.Is(err, errLimit):
		return CloseLimit
	case errors.Is(err, errServed):
		return CloseServer
	case err == nil || errors.Is(err, io.EOF):
		if kind := t.peerEnd(); kind != "" {
			return kind
		}
		return CloseNotify
	}
	if failed := failedKind(t, w); failed != CloseError {
		return failed
	}
	return closeKind(err)
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, errServed) {
		return nil
	}
	return err
}

var (
	errLimit  = errors.New("endpoint: the client sent more than the server takes")
	errServed = errors.New("endpoint: the server is done with this client")
)

// appConn is a client's data after the handshake, counted and bounded.
type appConn struct {
	ctx  context.Context
	conn net.Conn
	w    *witness
	cfg  *Config
	read int64
}

// Read takes data of the client; it fails with errLimit after Config.MaxBytes
// and with a timeout after Config.IdleTimeout.
func (c *appConn) Read(p []byte) (int, error) {
	if c.read >= c.cfg.MaxBytes {
		return 0, errLimit
	}
	if err := deadline(c.conn, c.cfg.IdleTimeout); err != nil {
		return 0, err
	}
	n, err := c.conn.Read(p[:min(int64(len(p)), c.cfg.MaxBytes-c.read)])
	c.read += int64(n)
	if n > 0 {
		c.w.took(p[:n])
	}
	return n, err
}

// write sends p and notes it as one event of the given kind.
func (c *appConn) write(p []byte, kind EventKind, detail string) error {
	if err := deadline(c.conn, c.cfg.IdleTimeout); err != nil {
		return err
	}
	n, err := c.conn.Write(p)
	if n > 0 {
		c.w.gave(n, kind, detail)
	}
	return err
}

// echo sends back whatever arrives, in the pieces in which it arrives.
type echo struct{}

func (echo) serve(c *appConn) error {
	buf := make([]byte, 16<<10)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			if err := c.write(buf[:n], EventEchoed, ""); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// verifyChain verifies a chain, leaf first, as a client for name would.
func verifyChain(chain []*x509.Certificate, roots *x509.CertPool, name string, at time.Time) ([][]*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, fmt.Errorf("endpoint: the server sent no certificate")
	}
	return chain[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: certs.CertPool(chain[1:]...),
		DNSName:       name,
		CurrentTime:   at,
	})
}
