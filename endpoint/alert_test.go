package endpoint_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"

	"hil-runner/endpoint"
	"hil-runner/fixtures/certs"
)

func TestAlertNames(t *testing.T) {
	for code, want := range map[endpoint.AlertCode]string{
		endpoint.AlertUnknownCA: "unknown_ca", endpoint.AlertProtocolVersion: "protocol_version", 200: "alert_200",
	} {
		if got := code.String(); got != want {
			t.Errorf("%d is %q, want %q", uint8(code), got, want)
		}
	}
	for code, want := range map[endpoint.AlertCode]bool{
		endpoint.AlertBadCertificate: true, endpoint.AlertCertificateExpired: true, endpoint.AlertUnknownCA: true,
		endpoint.AlertHandshakeFailure: false, endpoint.AlertProtocolVersion: false, endpoint.AlertCloseNotify: false,
	} {
		if code.CertificateProblem() != want {
			t.Errorf("%s.CertificateProblem() is %v", code, !want)
		}
	}
	if got := (endpoint.Alert{Fatal: true, Code: 48}).String(); got != "fatal unknown_ca (48)" {
		t.Errorf("alert prints %q", got)
	}
}

// What the client learns is what the server's log says, whether the alert is
// sealed (TLS 1.3) or not.
func TestClientSeesTheServersAlert(t *testing.T) {
	l := openLab(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			ctx := soon(t)
			s := serve(t, endpoint.Config{Identity: l.leaf(t, certs.LeafOptions{}), MinVersion: version,
				ClientAuth: endpoint.ClientAuthVerify, ClientRoots: []*x509.Certificate{l.ca.Root}})
			session, err := endpoint.Dial(ctx, s.Addr(), endpoint.ClientConfig{MaxVersion: tls.VersionTLS13,
				ServerName: host, Identity: l.client(t, l.impostor, certs.LeafOptions{})})
			if err == nil {
				err = session.Echo(ctx, []byte("x"))
				session.Close()
			}
			code, byServer, ok := endpoint.ClientAlert(err)
			if !ok || !byServer || code != endpoint.AlertUnknownCA {
				t.Errorf("the client learned %v, %v, %v of %v", code, byServer, ok, err)
			}
			c, err := s.WaitConnection(ctx, closed)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.AlertsSent) != 1 || c.AlertsSent[0].Code != code || c.AlertsSent[0].Encrypted != (version == tls.VersionTLS13) {
				t.Errorf("the server saw %s (%+v)", c, c.AlertsSent)
			}
		})
	}
	if _, _, ok := endpoint.ClientAlert(errors.New("tls: unknown_ca")); ok {
		t.Error("an error's text passed for an alert")
	}
}
