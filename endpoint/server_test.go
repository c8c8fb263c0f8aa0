package endpoint_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"hil-runner/endpoint"
	"hil-runner/fixtures/certs"
)

// legacy are the suites that a module of 2017 is taken to offer.
var legacy = []uint16{
	tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
}

// Each mode with a good server and each refusal, seen from both ends.
func TestModes(t *testing.T) {
	l := openLab(t)
	good := l.leaf(t, certs.LeafOptions{})
	board := l.client(t, l.ca, certs.LeafOptions{})
	strangeKey, err := l.keys.Key(certs.RSA2048, "impostor")
	if err != nil {
		t.Fatal(err)
	}
	trust := []*x509.Certificate{l.ca.Root}
	mutual := endpoint.Config{Identity: good, ClientAuth: endpoint.ClientAuthVerify, ClientRoots: trust}
	anonymous := endpoint.ClientConfig{ServerName: host, NoSNI: true}
	oneWay := endpoint.ClientConfig{ServerName: host, Roots: trust}
	with := func(id certs.Identity) endpoint.ClientConfig {
		c := oneWay
		c.Identity = id
		return c
	}
	const ok, byClient, byServer = endpoint.VerdictConnected, endpoint.VerdictClientRefused, endpoint.VerdictServerRefused
	tests := []struct {
		name    string
		server  endpoint.Config
		client  endpoint.ClientConfig
		verdict endpoint.Verdict
		alerts  []endpoint.AlertCode // any of these; the engines differ
	}{
		{"anonymous", endpoint.Config{Identity: good}, anonymous, ok, nil},
		{"anonymous, expired", endpoint.Config{Identity: l.leaf(t, certs.LeafOptions{}.Expired(clock, time.Hour))}, anonymous, ok, nil},
		{"one way", endpoint.Config{Identity: good}, oneWay, ok, nil},
		{"one way, expired", endpoint.Config{Identity: l.leaf(t, certs.LeafOptions{}.Expired(clock, time.Hour))}, oneWay, byClient,
			[]endpoint.AlertCode{endpoint.AlertBadCertificate, endpoint.AlertCertificateExpired}},
		{"one way, not yet valid", endpoint.Config{Identity: l.leaf(t, certs.LeafOptions{}.NotYetValid(clock, time.Hour))}, oneWay, byClient,
			[]endpoint.AlertCode{endpoint.AlertBadCertificate}},
		{"one way, wrong host", endpoint.Config{Identity: l.leaf(t, certs.LeafOptions{Names: []string{"other.hil.test"}})}, oneWay, byClient,
			[]endpoint.AlertCode{endpoint.AlertBadCertificate}},
		{"one way, unknown root", endpoint.Config{Identity: must(t)(l.impostor.Leaf(certs.LeafOptions{Names: []string{host}}))}, oneWay, byClient,
			[]endpoint.AlertCode{endpoint.AlertBadCertificate}},
		{"mutual", mutual, with(board), ok, nil},
		{"mutual, no certificate", mutual, oneWay, byServer,
			[]endpoint.AlertCode{endpoint.AlertBadCertificate, endpoint.AlertHandshakeFailure, endpoint.AlertCertificateRequired}},
		{"mutual, wrong CA", mutual, with(l.client(t, l.impostor, certs.LeafOptions{})), byServer,
			[]endpoint.AlertCode{endpoint.AlertUnknownCA, endpoint.AlertBadCertificate}},
		{"mutual, expired", mutual, with(l.client(t, l.ca, certs.LeafOptions{}.Expired(clock, time.Hour))), byServer,
			[]endpoint.AlertCode{endpoint.AlertCertificateExpired, endpoint.AlertBadCertificate}},
		{"mutual, mismatched key", mutual, with(board.WithKey(strangeKey)), byServer,
			[]endpoint.AlertCode{endpoint.AlertDecryptError, endpoint.AlertHandshakeFailure}},
		{"certificate asked for and not needed", endpoint.Config{Identity: good, ClientAuth: endpoint.ClientAuthRequest}, oneWay, ok, nil},
		{"certificate not asked for", endpoint.Config{Identity: good}, with(board), ok, nil},
		{"version too high", endpoint.Config{Identity: good, MinVersion: tls.VersionTLS13}, oneWay, byServer,
			[]endpoint.AlertCode{endpoint.AlertProtocolVersion}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			engines(t, func(t *testing.T, engine endpoint.Engine) {
				tc.server.Engine, tc.client.CipherSuites = engine, legacy
				checkCase(t, tc.server, tc.client, tc.verdict, tc.alerts)
			})
		})
	}
}

func checkCase(t *testing.T, server endpoint.Config, client endpoint.ClientConfig, verdict endpoint.Verdict, alerts []endpoint.AlertCode) {
	t.Helper()
	ctx := soon(t)
	s := serve(t, server)
	nonce := endpoint.NewNonce()
	session, err := endpoint.Dial(ctx, s.Addr(), client)
	if err == nil {
		err = session.Echo(ctx, nonce)
		if closeErr := session.Close(); err == nil {
			err = closeErr
		}
	}
	if (err == nil) != (verdict == endpoint.VerdictConnected) {
		t.Errorf("the client got %v, want the verdict %s", err, verdict)
	}
	c, werr := s.WaitConnection(ctx, closed)
	if werr != nil {
		t.Fatal(werr)
	}
	if c.Verdict() != verdict || c.Remote != "127.0.0.1" || c.Hello == nil {
		t.Fatalf("the server saw: %s; want %s", c, verdict)
	}
	if verdict == endpoint.VerdictConnected {
		if !c.Saw(nonce) || c.Sent != int64(len(nonce)) || c.Close != endpoint.CloseNotify {
			t.Errorf("the server saw: %s; want the nonce and close_notify", c)
		}
		return
	}
	list := c.AlertsReceived
	if verdict == endpoint.VerdictServerRefused {
		list = c.AlertsSent
	}
	for _, a := range list {
		for _, want := range alerts {
			if a.Fatal && a.Code == want {
				return
			}
		}
	}
	t.Errorf("the server saw: %s; want one of the alerts %v", c, alerts)
}

func TestVersionsAndSuites(t *testing.T) {
	l := openLab(t)
	good := l.leaf(t, certs.LeafOptions{})
	suites := map[uint16][]uint16{
		tls.VersionTLS10: legacy[:2], tls.VersionTLS11: legacy[:2], tls.VersionTLS12: legacy, tls.VersionTLS13: nil,
	}
	for version, list := range suites {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			engines(t, func(t *testing.T, engine endpoint.Engine) {
				for _, suite := range append(list, 0) {
					cfg := endpoint.Config{Engine: engine, Identity: good, MinVersion: version, MaxVersion: version}
					if suite != 0 {
						cfg.CipherSuites = []uint16{suite}
					} else if version < tls.VersionTLS13 {
						continue
					}
					checkChosen(t, cfg, suite)
				}
			})
		})
	}
}

func checkChosen(t *testing.T, cfg endpoint.Config, suite uint16) {
	t.Helper()
	ctx := soon(t)
	s := serve(t, cfg)
	session, err := endpoint.Dial(ctx, s.Addr(), endpoint.ClientConfig{ServerName: host, MaxVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Echo(ctx, []byte("x")); err != nil {
		t.Fatal(err)
	}
	session.Close()
	c, err := s.WaitConnection(ctx, closed)
	if err != nil {
		t.Fatal(err)
	}
	state := session.State()
	if c.Version != cfg.MinVersion || c.Version != state.Version || c.Suite != state.CipherSuite || suite != 0 && c.Suite != suite {
		t.Errorf("the server saw %s, the client %s", c, endpoint.SuiteText(state.Version, state.CipherSuite))
	}
	if c.Close != endpoint.CloseNotify {
		t.Errorf("the server saw %s", c)
	}
	if c.Hello.ServerName != host || len(c.Hello.SHA256) != 64 || len(c.Hello.Random) != 64 {
		t.Errorf("hello %+v", c.Hello)
	}
}

func TestWitnessOfClientCertificates(t *testing.T) {
	l := openLab(t)
	good, board := l.leaf(t, certs.LeafOptions{}), l.client(t, l.ca, certs.LeafOptions{})
	stranger := l.client(t, l.impostor, certs.LeafOptions{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			engines(t, func(t *testing.T, engine endpoint.Engine) {
				if engine == endpoint.EngineOpenSSL && version == tls.VersionTLS13 {
					t.Skip("openssl does not tell the hash of a certificate that is sent encrypted")
				}
				s := serve(t, endpoint.Config{Engine: engine, Identity: good, MinVersion: version,
					ClientAuth: endpoint.ClientAuthVerify, ClientRoots: []*x509.Certificate{l.ca.Root}})
				for i, id := range []certs.Identity{board, stranger, {}} {
					ctx := soon(t)
					session, err := endpoint.Dial(ctx, s.Addr(), endpoint.ClientConfig{
						ServerName: host, Identity: id, MaxVersion: tls.VersionTLS13})
					if err == nil {
						err = session.Echo(ctx, endpoint.NewNonce())
						session.Close()
					}
					if (err == nil) != (i == 0) {
						t.Errorf("client %d: %v", i, err)
					}
					c, err := s.WaitConnection(ctx, func(c endpoint.Connection) bool { return c.ID == i+1 && closed(c) })
					if err != nil {
						t.Fatal(err)
					}
					want := ""
					if leaf := id.Leaf(); leaf != nil {
						want = certs.Fingerprint(leaf)
					}
					if c.PeerSHA256 != want || i == 2 && version == tls.VersionTLS12 && !c.EmptyCertificate {
						t.Errorf("client %d: %s, want certificate %s", i, c, want)
					}
				}
			})
		})
	}
}

// The clock of a server decides about its clients.
func TestServerClock(t *testing.T) {
	l := openLab(t)
	engines(t, func(t *testing.T, engine endpoint.Engine) {
		for _, tc := range []struct {
			name  string
			shift time.Duration
			want  endpoint.Verdict
		}{{"now", 0, endpoint.VerdictConnected}, {"next month", 30 * 24 * time.Hour, endpoint.VerdictServerRefused}} {
			t.Run(tc.name, func(t *testing.T) {
				checkCase(t, endpoint.Config{Engine: engine, Identity: l.leaf(t, certs.LeafOptions{}), At: clock.Add(tc.shift),
					ClientAuth: endpoint.ClientAuthVerify, ClientRoots: []*x509.Certificate{l.ca.Root}},
					endpoint.ClientConfig{ServerName: host, Identity: l.client(t, l.ca, certs.LeafOptions{})},
					tc.want, []endpoint.AlertCode{endpoint.AlertCertificateExpired, endpoint.AlertBadCertificate})
			})
		}
	})
}

// What is not TLS or ends early is witnessed as what it is.
func TestOddClients(t *testing.T) {
	l := openLab(t)
	good := l.leaf(t, certs.LeafOptions{})
	hello := recordedHello(t)
	tests := []struct {
		name    string
		send    []byte
		end     func(*net.TCPConn)
		close   []endpoint.CloseKind
		verdict endpoint.Verdict
		hello   bool
	}{
		{"nothing, FIN", nil, func(c *net.TCPConn) { c.CloseWrite() }, []endpoint.CloseKind{endpoint.CloseFIN}, endpoint.VerdictNothing, false},
		{"nothing, RST", nil, reset, []endpoint.CloseKind{endpoint.CloseRST}, endpoint.VerdictNothing, false},
		{"HTTP", []byte("GET / HTTP/1.0\r\n\r\n"), nil, nil, endpoint.VerdictNothing, false},
		{"half a hello", hello[:len(hello)/2], func(c *net.TCPConn) { c.CloseWrite() },
			[]endpoint.CloseKind{endpoint.CloseFIN}, endpoint.VerdictNothing, false},
		{"a hello and FIN", hello, func(c *net.TCPConn) { c.CloseWrite() },
			[]endpoint.CloseKind{endpoint.CloseFIN}, endpoint.VerdictClientRefused, true},
		{"a hello and silence", hello, nil, []endpoint.CloseKind{endpoint.CloseTimeout}, endpoint.VerdictTimeout, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			engines(t, func(t *testing.T, engine endpoint.Engine) {
				s := serve(t, endpoint.Config{Engine: engine, Identity: good, HandshakeTimeout: 300 * time.Millisecond})
				conn, err := net.Dial("tcp", s.Addr())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := conn.Write(tc.send); err != nil {
					t.Fatal(err)
				}
				if tc.end != nil {
					tc.end(conn.(*net.TCPConn))
				}
				c, err := s.WaitConnection(soon(t), closed)
				if err != nil {
					t.Fatal(err)
				}
				if c.Verdict() != tc.verdict || (c.Hello != nil) != tc.hello {
					t.Errorf("the server saw %s, want %s", c, tc.verdict)
				}
				for i, want := range tc.close {
					if c.Close == want {
						break
					} else if i == len(tc.close)-1 {
						t.Errorf("the server saw %s, want one of %v", c, tc.close)
					}
				}
			})
		})
	}
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}

// recordedHello is what the reference client sends first.
func recordedHello(t *testing.T) []byte {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(soon(t))
	go func() {
		_, err := endpoint.Dial(ctx, ln.Addr().String(), endpoint.ClientConfig{ServerName: host})
		done <- err
	}()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-done
	return buf[:n]
}
