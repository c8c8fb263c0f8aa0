package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"hil-runner/fixtures/certs"
)

// Engine is the TLS stack that serves.
type Engine string

// The engines.
const (
	// EngineGo is crypto/tls.
	EngineGo Engine = "go"
	// EngineOpenSSL is openssl s_server, one process for each connection.
	EngineOpenSSL Engine = "openssl"
)

// ClientAuth is what a server wants of its clients.
type ClientAuth int

const (
	// ClientAuthNone does not ask for a certificate.
	ClientAuthNone ClientAuth = iota
	// ClientAuthRequest asks and takes any answer, none included.
	ClientAuthRequest
	// ClientAuthRequire wants a certificate, whoever signed it.
	ClientAuthRequire
	// ClientAuthVerifyIfGiven takes none, or one that ClientRoots have signed.
	ClientAuthVerifyIfGiven
	// ClientAuthVerify wants one that ClientRoots have signed: mutual TLS.
	ClientAuthVerify
)

// String gives the form that reports show.
func (a ClientAuth) String() string {
	switch a {
	case ClientAuthNone:
		return "none"
	case ClientAuthRequest:
		return "request"
	case ClientAuthRequire:
		return "require"
	case ClientAuthVerifyIfGiven:
		return "verify-if-given"
	case ClientAuthVerify:
		return "verify"
	}
	return fmt.Sprintf("ClientAuth(%d)", int(a))
}

// Defaults of Config.
const (
	DefaultHandshakeTimeout = 30 * time.Second
	DefaultIdleTimeout      = 2 * time.Minute
	DefaultMaxBytes         = 64 << 20
	DefaultMaxConnections   = 64
)

// Config describes one server. There is nothing in it that says of which kind
// the endpoint is: that follows from the key that the server proves.
type Config struct {
	// Engine is EngineGo unless set.
	Engine Engine
	// Address is where to listen, "host" or "host:port"; the default is
	// 127.0.0.1 and a free port.
	Address string
	// Identity is the chain that is sent and the key.
	Identity certs.Identity
	// MinVersion and MaxVersion are tls.VersionTLS10 to tls.VersionTLS13. The
	// default is TLS 1.0 to TLS 1.2.
	MinVersion, MaxVersion uint16
	// CipherSuites are those for TLS 1.2 and below; LegacySuites if nil.
	CipherSuites []uint16
	// OpenSSLCiphers replaces CipherSuites for EngineOpenSSL with a cipher list
	// of its own notation, such as "ADH:@SECLEVEL=0".
	OpenSSLCiphers string
	ClientAuth     ClientAuth
	// ClientRoots are who may sign clients' certificates. Their names go to the
	// client.
	ClientRoots []*x509.Certificate
	// At fixes the clock with which clients' certificates are verified; the
	// host's clock if zero.
	At time.Time
	// HandshakeTimeout and IdleTimeout bound the silence of a client.
	HandshakeTimeout, IdleTimeout time.Duration
	// MaxBytes is how much application data one connection may send.
	MaxBytes int64
	// MaxConnections is how many may be open at once; more have to wait.
	MaxConnections int
}

// LegacySuites are the cipher suites that clients of the module's age and
// today's clients offer, static RSA key exchange first. crypto/tls leaves some
// of them out by default and uses them when they are listed.
func LegacySuites() []uint16 {
	return []uint16{
		tls.TLS_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	}
}

// SuiteRSAAES256SHA256 is TLS_RSA_WITH_AES_256_CBC_SHA256 (RFC 5246 A.5), which
// crypto/tls does not have; only EngineOpenSSL serves it.
const SuiteRSAAES256SHA256 uint16 = 0x003d

// opensslSuites are openssl's names (openssl-ciphers(1)).
var opensslSuites = map[uint16]string{
	tls.TLS_RSA_WITH_AES_128_CBC_SHA:            "AES128-SHA",
	tls.TLS_RSA_WITH_AES_256_CBC_SHA:            "AES256-SHA",
	tls.TLS_RSA_WITH_AES_128_CBC_SHA256:         "AES128-SHA256",
	SuiteRSAAES256SHA256:                        "AES256-SHA256",
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256:         "AES128-GCM-SHA256",
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384:         "AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:      "ECDHE-RSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:      "ECDHE-RSA-AES256-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256:   "ECDHE-RSA-AES128-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:   "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:   "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:    "ECDHE-ECDSA-AES128-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:    "ECDHE-ECDSA-AES256-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
}

// SuiteText is for reports: "TLS 1.2 TLS_RSA_WITH_AES_128_CBC_SHA".
func SuiteText(version, suite uint16) string {
	name := tls.CipherSuiteName(suite)
	if suite == SuiteRSAAES256SHA256 {
		name = "TLS_RSA_WITH_AES_256_CBC_SHA256"
	}
	return tls.VersionName(version) + " " + name
}

func (c *Config) complete() error {
	if c.Engine == "" {
		c.Engine = EngineGo
	}
	if c.Engine != EngineGo && c.Engine != EngineOpenSSL {
		return fmt.Errorf("endpoint: there is no engine %q; use %q or %q", c.Engine, EngineGo, EngineOpenSSL)
	}
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS10
		if c.MaxVersion != 0 && c.MaxVersion < c.MinVersion {
			return fmt.Errorf("endpoint: %s cannot be served", tls.VersionName(c.MaxVersion))
		}
	}
	if c.MaxVersion == 0 {
		c.MaxVersion = max(tls.VersionTLS12, c.MinVersion)
	}
	if c.MinVersion > c.MaxVersion || c.MinVersion < tls.VersionTLS10 || c.MaxVersion > tls.VersionTLS13 {
		return fmt.Errorf("endpoint: versions %s to %s; TLS 1.0 to TLS 1.3 are possible",
			tls.VersionName(c.MinVersion), tls.VersionName(c.MaxVersion))
	}
	if c.CipherSuites == nil {
		c.CipherSuites = LegacySuites()
	}
	if c.Identity.IsZero() && c.OpenSSLCiphers == "" {
		return errors.New("endpoint: Identity is empty: a server needs a certificate and its key")
	}
	if c.OpenSSLCiphers != "" && c.Engine != EngineOpenSSL {
		return errors.New("endpoint: OpenSSLCiphers is for the engine openssl only")
	}
	if (c.ClientAuth == ClientAuthVerify || c.ClientAuth == ClientAuthVerifyIfGiven) && len(c.ClientRoots) == 0 {
		return fmt.Errorf("endpoint: ClientAuth is %v and ClientRoots is empty", c.ClientAuth)
	}
	setDefault(&c.HandshakeTimeout, DefaultHandshakeTimeout)
	setDefault(&c.IdleTimeout, DefaultIdleTimeout)
	setDefault(&c.MaxBytes, DefaultMaxBytes)
	setDefault(&c.MaxConnections, DefaultMaxConnections)
	return c.checkSuites()
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// checkSuites refuses suites that the engine would silently leave out.
func (c *Config) checkSuites() error {
	if c.Engine == EngineOpenSSL {
		_, err := c.opensslCiphers()
		return err
	}
	all := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
	for _, id := range c.CipherSuites {
		if !slices.ContainsFunc(all, func(s *tls.CipherSuite) bool { return s.ID == id }) {
			return fmt.Errorf("endpoint: crypto/tls has no suite %s; use the engine openssl", SuiteText(0x0303, id)[len("TLS 1.2 "):])
		}
	}
	return nil
}

func (c *Config) opensslCiphers() (string, error) {
	if c.OpenSSLCiphers != "" {
		return c.OpenSSLCiphers, nil
	}
	var names []string
	for _, id := range c.CipherSuites {
		name, ok := opensslSuites[id]
		if !ok {
			return "", fmt.Errorf("endpoint: no openssl name is known for suite %s; use OpenSSLCiphers", tls.CipherSuiteName(id))
		}
		names = append(names, name)
	}
	// Debian's default level refuses TLS below 1.2 and small keys.
	return strings.Join(append(names, "@SECLEVEL=0"), ":"), nil
}

func (c *Config) now() time.Time {
	if c.At.IsZero() {
		return time.Now()
	}
	return c.At
}

// listenAddress completes "", "host" and "[::1]" with a port.
func (c *Config) listenAddress() string {
	host := c.Address
	if host == "" {
		host = "127.0.0.1"
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), "0")
}
