package app

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"
)

// tlsSession is what one SOCKON with TLS works with: the stored credentials
// as they were when the command came. What is stored decides the mode: no CA
// is anonymous, a CA is one-way, a CA with certificate and key is mutual.
type tlsSession struct{ config *tls.Config }

// newSession loads the slots. It gives the error text when one of them cannot
// be used.
func (a *App) newSession(host string) (*tlsSession, string) {
	t := a.p.Texts
	open := 0
	for _, s := range a.sockets {
		if s != nil && s.kind == 's' {
			open++
		}
	}
	if open >= a.p.TLS.MaxSockets {
		return nil, t.LowMemory
	}
	check := verifier{p: a.p.TLS, bugs: a.p.Bugs, now: time.Unix(a.unix(), 0),
		domain: string(a.slot(slotDomain))}
	conf := &tls.Config{
		MinVersion:         a.p.TLS.MinVersion,
		MaxVersion:         a.p.TLS.MaxVersion,
		CipherSuites:       a.p.TLS.CipherSuites,
		InsecureSkipVerify: true, // the module's own checks follow
		VerifyConnection:   check.connection,
		Time:               func() time.Time { return check.now },
		Rand:               a.random(),
	}
	if a.p.TLS.SNI {
		conf.ServerName = host
	}
	if ca := a.slot(slotCA); len(ca) > 0 {
		if check.roots = a.p.TLS.authorities(ca); check.roots == nil {
			return nil, t.CALoad
		}
		conf.VerifyConnection = check.connection
		if refused := a.identify(conf); refused != "" {
			return nil, refused
		}
	}
	return &tlsSession{conf}, ""
}

// identify gives the client its certificate when one is stored.
func (a *App) identify(conf *tls.Config) string {
	t := a.p.Texts
	certPEM, keyPEM := a.slot(slotCert), a.slot(slotKey)
	if len(certPEM) == 0 && len(keyPEM) == 0 {
		return ""
	}
	own := &tls.Certificate{Certificate: chainOf(certPEM)}
	if len(own.Certificate) == 0 {
		return t.CertLoad
	}
	leaf, err := x509.ParseCertificate(own.Certificate[0])
	if err != nil || !a.p.TLS.usable(leaf.PublicKey) {
		return t.CertLoad
	}
	key := privateKey(keyPEM)
	if key == nil || !a.p.TLS.usable(key.Public()) {
		return t.KeyLoad
	}
	if pub, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); a.p.TLS.ChecksKeyPair &&
		(!ok || !pub.Equal(key.Public())) {
		return t.KeyPair
	}
	own.PrivateKey = key
	// Whatever authorities the server names: the module has one certificate.
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return own, nil
	}
	return ""
}

// handshake makes conn a TLS connection or closes it.
func (s *tlsSession) handshake(ctx context.Context, conn net.Conn, p Profile) (net.Conn, string) {
	ctx, cancel := context.WithTimeout(ctx, p.Limits.Handshake)
	defer cancel()
	secure := tls.Client(conn, s.config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, p.Texts.TLSConnect
	}
	return secure, ""
}

// random gives a connection its own stream from the module's random source.
func (a *App) random() io.Reader {
	var seed [32]byte
	if _, err := io.ReadFull(a.host.Rand(), seed[:]); err != nil {
		return nil // crypto/tls then takes the operating system's
	}
	return rand.NewChaCha8(seed)
}

// authorities reads f_ca: PEM only. It gives nil for anything that the stack
// would not take.
func (t TLS) authorities(p []byte) *x509.CertPool {
	chain := chainOf(p)
	pool := x509.NewCertPool()
	for _, der := range chain {
		ca, err := x509.ParseCertificate(der)
		if err != nil || !t.usable(ca.PublicKey) {
			return nil
		}
		pool.AddCert(ca)
	}
	if len(chain) == 0 {
		return nil
	}
	return pool
}

// usable says whether the stack can work with a key.
func (t TLS) usable(key crypto.PublicKey) bool {
	if t.MaxRSABits == 0 {
		return true
	}
	k, ok := key.(*rsa.PublicKey)
	return ok && k.N.BitLen() <= t.MaxRSABits
}

// chainOf gives the certificates of a PEM text.
func chainOf(p []byte) [][]byte {
	var ders [][]byte
	for {
		var block *pem.Block
		if block, p = pem.Decode(p); block == nil {
			return ders
		}
		if block.Type == "CERTIFICATE" {
			ders = append(ders, block.Bytes)
		}
	}
}

// privateKey reads an unencrypted PEM key, nil when there is none.
func privateKey(p []byte) crypto.Signer {
	for {
		var block *pem.Block
		if block, p = pem.Decode(p); block == nil {
			return nil
		}
		if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
			return key
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			signer, _ := key.(crypto.Signer)
			return signer
		}
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return key
		}
	}
}

// verifier is the module's check of the server.
type verifier struct {
	p      TLS
	bugs   Bugs
	roots  *x509.CertPool // nil in anonymous mode
	now    time.Time
	domain string
}

var (
	errTooLong  = errors.New("server key is longer than the stack allows")
	errDates    = errors.New("server certificate is not valid at this time")
	errMismatch = errors.New("server certificate has another name")
)

// connection is the check before Finished; an error becomes an alert to the
// server and "Unable to connect" to the user.
func (v verifier) connection(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	leaf := cs.PeerCertificates[0]
	if k, ok := leaf.PublicKey.(*rsa.PublicKey); ok && v.p.MaxRSABits > 0 && k.N.BitLen() > v.p.MaxRSABits {
		return errTooLong
	}
	if v.roots == nil {
		return nil
	}
	if err := v.chain(leaf, cs.PeerCertificates[1:]); err != nil {
		return err
	}
	if v.domain != "" && !v.bugs.NoNames && !v.named(leaf) {
		return errMismatch
	}
	return nil
}

// chain checks issuers and dates.
func (v verifier) chain(leaf *x509.Certificate, rest []*x509.Certificate) error {
	at := v.now
	if v.bugs.NoDates {
		at = leaf.NotBefore.Add(time.Second)
	}
	if v.bugs.NoChain {
		if at.Before(leaf.NotBefore) || at.After(leaf.NotAfter) {
			return errDates
		}
		return nil
	}
	between := x509.NewCertPool()
	for _, c := range rest {
		if v.p.usable(c.PublicKey) {
			between.AddCert(c)
		}
	}
	usage := x509.ExtKeyUsageAny
	if v.p.ChecksUsage {
		usage = x509.ExtKeyUsageServerAuth
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: v.roots, Intermediates: between,
		CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}

// named compares the certificate's names with f_domain.
func (v verifier) named(leaf *x509.Certificate) bool {
	if ip, err := netip.ParseAddr(v.domain); err == nil && v.p.Names != NamesCN {
		for _, a := range leaf.IPAddresses {
			if own, ok := netip.AddrFromSlice(a); ok && own.Unmap() == ip.Unmap() {
				return true
			}
		}
	}
	names := leaf.DNSNames
	if v.p.Names == NamesCN || v.p.Names == NamesEither && len(names) == 0 && len(leaf.IPAddresses) == 0 {
		names = []string{leaf.Subject.CommonName}
	}
	for _, name := range names {
		if matches(name, v.domain, v.p.Wildcards) {
			return true
		}
	}
	return false
}

// matches compares a certificate's name, which may start with "*.", with a
// host's.
func matches(name, host string, wildcards bool) bool {
	name, host = strings.TrimSuffix(name, "."), strings.TrimSuffix(host, ".")
	if rest, ok := strings.CutPrefix(name, "*."); ok && wildcards {
		_, parent, found := strings.Cut(host, ".")
		return found && strings.Contains(parent, ".") && strings.EqualFold(rest, parent)
	}
	return name != "" && strings.EqualFold(name, host)
}
