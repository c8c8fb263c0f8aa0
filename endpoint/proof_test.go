package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"hil-runner/fixtures/certs"
)

// What makes a server Amazon's, with a root of ours in the place of Amazon's.
func TestLiveNeedsKeyRootAndName(t *testing.T) {
	keys, err := certs.NewPool("")
	if err != nil {
		t.Fatal(err)
	}
	foreign := func(c *x509.Certificate) { c.Subject.Organization = []string{"Amazon"} }
	ca, err := certs.NewAuthority(keys, certs.AuthorityOptions{At: time.Now(), Kind: certs.ECDSAP256, Domains: []string{"amazon.com", "example.com"},
		Change: func(_ int, c *x509.Certificate) { foreign(c) }})
	if err != nil {
		t.Fatal(err)
	}
	forged, ours := reissue(t, ca, foreign), reissue(t, ca, nil)
	good := tls.ConnectionState{HandshakeComplete: true, PeerCertificates: forged.Chain}
	change := func(f func(*tls.ConnectionState)) tls.ConnectionState {
		s := good
		f(&s)
		return s
	}
	pool := certs.CertPool(ca.Root)
	if amazonName("notamazon.com") || amazonName("api.amazon.com.example.com") || !amazonName("API.Amazon.com.") {
		t.Error("amazonName")
	}
	for _, tc := range []struct {
		name  string
		state tls.ConnectionState
		host  string
		pool  *x509.CertPool
		want  Kind
	}{
		{"all there", good, "api.amazon.com", pool, KindAmazonLive},
		{"handshake not complete", change(func(s *tls.ConnectionState) { s.HandshakeComplete = false }), "api.amazon.com", pool, KindUnknown},
		{"resumed", change(func(s *tls.ConnectionState) { s.DidResume = true }), "api.amazon.com", pool, KindUnknown},
		{"no certificate", change(func(s *tls.ConnectionState) { s.PeerCertificates = nil }), "api.amazon.com", pool, KindUnknown},
		{"other name", good, "api.example.com", pool, KindUnknown},
		{"the public roots", good, "api.amazon.com", publicRoots(), KindUnknown},
		{"the lab's name in it", change(func(s *tls.ConnectionState) { s.PeerCertificates = ours.Chain }), "api.amazon.com", pool, KindLocal},
	} {
		if got := kindOf(proofOf(tc.state, tc.host), nil, tc.pool); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func reissue(t *testing.T, ca *certs.Authority, change func(*x509.Certificate)) certs.Identity {
	t.Helper()
	id, err := ca.Leaf(certs.LeafOptions{Names: []string{"api.amazon.com"}, Kind: certs.ECDSAP256, Change: change})
	if err != nil {
		t.Fatal(err)
	}
	return id
}
