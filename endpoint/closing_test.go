package endpoint_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"hil-runner/endpoint"
	"hil-runner/fixtures/certs"
)

// A connection that is cut after the handshake is not one that ended in order.
func TestEnds(t *testing.T) {
	l := openLab(t)
	engines(t, func(t *testing.T, engine endpoint.Engine) {
		s := serve(t, endpoint.Config{Engine: engine, Identity: l.leaf(t, certs.LeafOptions{}), MaxBytes: 4096,
			IdleTimeout: 500 * time.Millisecond})
		tests := []struct {
			name string
			end  func(t *testing.T, raw *net.TCPConn, session *endpoint.Session)
			want endpoint.CloseKind
		}{
			{"close_notify", func(_ *testing.T, _ *net.TCPConn, s *endpoint.Session) { s.Close() }, endpoint.CloseNotify},
			{"FIN", func(_ *testing.T, raw *net.TCPConn, _ *endpoint.Session) { raw.CloseWrite() }, endpoint.CloseFIN},
			{"RST", func(_ *testing.T, raw *net.TCPConn, _ *endpoint.Session) { reset(raw) }, endpoint.CloseRST},
			{"limit", func(_ *testing.T, _ *net.TCPConn, s *endpoint.Session) { _, _ = s.Write(make([]byte, 5000)) }, endpoint.CloseLimit},
			{"silence", func(*testing.T, *net.TCPConn, *endpoint.Session) {}, endpoint.CloseTimeout},
		}
		for i, tc := range tests {
			t.Run(tc.name, func(t *testing.T) {
				ctx := soon(t)
				d := &keepDialer{}
				session, err := endpoint.Dial(ctx, s.Addr(), endpoint.ClientConfig{ServerName: host, Dialer: d})
				if err != nil {
					t.Fatal(err)
				}
				defer session.Close()
				if err := session.Echo(ctx, []byte("hello")); err != nil {
					t.Fatal(err)
				}
				tc.end(t, d.conn, session)
				c, err := s.WaitConnection(ctx, func(c endpoint.Connection) bool { return c.ID == i+1 && closed(c) })
				if err != nil {
					t.Fatal(err)
				}
				if c.Close != tc.want || !c.Handshake {
					t.Errorf("the server saw %s, want %s", c, tc.want)
				}
			})
		}
	})
}

// keepDialer keeps the TCP connection that it opened last.
type keepDialer struct{ conn *net.TCPConn }

func (d *keepDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var nd net.Dialer
	conn, err := nd.DialContext(ctx, network, address)
	if err == nil {
		d.conn = conn.(*net.TCPConn)
	}
	return conn, err
}

func TestLargeEcho(t *testing.T) {
	l := openLab(t)
	engines(t, func(t *testing.T, engine endpoint.Engine) {
		ctx := soon(t)
		s := serve(t, endpoint.Config{Engine: engine, Identity: l.leaf(t, certs.LeafOptions{})})
		session, err := endpoint.Dial(ctx, s.Addr(), endpoint.ClientConfig{ServerName: host})
		if err != nil {
			t.Fatal(err)
		}
		// Lines that begin with Q, R or P are commands in s_server's other modes.
		p := bytes.Repeat([]byte("Q\nR\nP\n\x00\xff\r\n"), 1<<15)
		if err := session.Echo(ctx, p); err != nil {
			t.Error(err)
		}
		session.Close()
	})
}

func TestManyClientsAtOnce(t *testing.T) {
	noLeaks(t)
	l := openLab(t)
	s := serve(t, endpoint.Config{Identity: l.leaf(t, certs.LeafOptions{}), MaxConnections: 4})
	errs := make(chan error, 16)
	for range cap(errs) {
		go func() {
			proof, err := endpoint.Control(soon(t), s, endpoint.ClientConfig{ServerName: host})
			if err == nil && proof.SPKI() == "" {
				err = errors.New("no proof")
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := len(s.Connections()); n != cap(errs) {
		t.Errorf("%d connections were seen, want %d", n, cap(errs))
	}
}

// Closing ends what is going on, and everything of the server is then gone.
func TestCloseWaits(t *testing.T) {
	l := openLab(t)
	engines(t, func(t *testing.T, engine endpoint.Engine) {
		noLeaks(t)
		ctx := soon(t)
		s := serve(t, endpoint.Config{Engine: engine, Identity: l.leaf(t, certs.LeafOptions{})})
		session, err := endpoint.Dial(ctx, s.Addr(), endpoint.ClientConfig{ServerName: host})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if err := session.Echo(ctx, []byte("x")); err != nil {
			t.Fatal(err)
		}
		half, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer half.Close()
		if _, err := s.WaitConnection(ctx, func(c endpoint.Connection) bool { return c.ID == 2 }); err != nil {
			t.Fatal(err)
		}
		waited := make(chan error, 1)
		go func() {
			_, err := s.WaitEvent(ctx, func(endpoint.Event) bool { return false })
			waited <- err
		}()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-waited; !errors.Is(err, endpoint.ErrClosed) {
			t.Errorf("waiting gave %v, want ErrClosed", err)
		}
		for _, c := range s.Connections() {
			if c.Close != endpoint.CloseServer {
				t.Errorf("%s, want the server to have ended it", c)
			}
		}
		if _, err := endpoint.Dial(ctx, s.Addr(), endpoint.ClientConfig{}); err == nil {
			t.Error("the closed server still answers")
		}
	})
}

func TestEventsAndWaiting(t *testing.T) {
	l := openLab(t)
	ctx := soon(t)
	s := serve(t, endpoint.Config{Identity: l.leaf(t, certs.LeafOptions{})})
	if _, err := endpoint.Control(ctx, s, endpoint.ClientConfig{ServerName: host}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WaitConnection(ctx, closed); err != nil {
		t.Fatal(err)
	}
	var kinds []endpoint.EventKind
	for i, e := range s.Events() {
		if e.Seq != i+1 || e.Conn != 1 || e.Remote != "127.0.0.1" || e.RemotePort == 0 || e.At.IsZero() {
			t.Errorf("event %+v", e)
		}
		kinds = append(kinds, e.Kind)
	}
	want := []endpoint.EventKind{endpoint.EventAccepted, endpoint.EventClientHello, endpoint.EventServerHello,
		endpoint.EventHandshakeDone, endpoint.EventEchoed, endpoint.EventClosed}
	if len(kinds) != len(want) {
		t.Fatalf("events %v, want %v", kinds, want)
	}
	for i := range want {
		if kinds[i] != want[i] {
			t.Errorf("event %d is %s, want %s", i, kinds[i], want[i])
		}
	}
	mark := s.Mark()
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err := s.WaitEvent(short, func(e endpoint.Event) bool { return e.Seq > mark })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a newer event gave %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	l := openLab(t)
	good := l.leaf(t, certs.LeafOptions{})
	for name, cfg := range map[string]endpoint.Config{
		"no identity":             {},
		"unknown engine":          {Engine: "gnutls", Identity: good},
		"SSL 3.0":                 {Identity: good, MinVersion: 0x0300},
		"versions crossed":        {Identity: good, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS11},
		"suite unknown to Go":     {Identity: good, CipherSuites: []uint16{endpoint.SuiteRSAAES256SHA256}},
		"ciphers for Go":          {Identity: good, OpenSSLCiphers: "ADH"},
		"verify without roots":    {Identity: good, ClientAuth: endpoint.ClientAuthVerify},
		"address of another host": {Identity: good, Address: "192.0.2.1:1"},
	} {
		if s, err := endpoint.Start(t.Context(), cfg); err == nil {
			s.Close()
			t.Errorf("%s: the server started", name)
		}
	}
}
