package app_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"hil-runner/farm/virtlab/app"
)

// noon is the moment at which the certificates of these tests are valid.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// papers are keys and certificates for all tests of this package.
type papers struct {
	caKey, otherKey, key *rsa.PrivateKey
	ca, other, client    []byte // DER
}

var office = sync.OnceValue(func() *papers {
	p := &papers{}
	for _, k := range []**rsa.PrivateKey{&p.caKey, &p.otherKey, &p.key} {
		var err error
		if *k, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	p.ca = authority("Lab Root", p.caKey)
	p.other = authority("Other Root", p.otherKey)
	p.client = p.leaf(func(c *x509.Certificate) { c.Subject.CommonName = "module" }, "")
	return p
})

func authority(name string, key *rsa.PrivateKey) []byte {
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(5, 0, 0), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	return sign(c, c, &key.PublicKey, key)
}

func sign(c, parent *x509.Certificate, pub crypto.PublicKey, by *rsa.PrivateKey) []byte {
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, by)
	if err != nil {
		panic(err)
	}
	return der
}

// leaf is a certificate of the lab's root for a name.
func (p *papers) leaf(change func(*x509.Certificate), names ...string) []byte {
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"},
		NotBefore: noon.AddDate(0, 0, -7), NotAfter: noon.AddDate(0, 0, 7)}
	for _, n := range names {
		if n != "" {
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	if change != nil {
		change(c)
	}
	parent, err := x509.ParseCertificate(p.ca)
	if err != nil {
		panic(err)
	}
	return sign(c, parent, &p.key.PublicKey, p.caKey)
}

func certPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func keyPEM(key *rsa.PrivateKey) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// peer is a TLS echo server and what it saw.
type peer struct {
	config *tls.Config
	hello  bool
	sni    string
	state  tls.ConnectionState
	err    error
}

func newPeer(der []byte, key *rsa.PrivateKey) *peer {
	p := &peer{}
	p.config = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS10, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
			tls.TLS_RSA_WITH_AES_128_CBC_SHA256},
		Time: func() time.Time { return noon },
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			p.hello, p.sni = true, h.ServerName
			return nil, nil
		},
	}
	return p
}

func (p *peer) serve(c net.Conn) {
	s := tls.Server(c, p.config)
	if p.err = s.Handshake(); p.err == nil {
		p.state = s.ConnectionState()
		_, _ = io.Copy(s, s)
		_ = s.Close()
	}
}

func load(slot, value string) step {
	return step{fmt.Sprintf("AT+S.TLSCERT=%s,%d\r%s", slot, len(value), value), ok}
}

// oneWay and mutual are the steps that make a mode.
func oneWay(domain string) []step {
	return []step{load("f_ca", certPEM(office().ca)), {"AT+S.TLSDOMAIN=f_domain," + domain + "\r", ok}, setNoon}
}

func mutual(domain string) []step {
	return append(oneWay(domain), load("f_cert", certPEM(office().client)), load("f_key", keyPEM(office().key)))
}

var setNoon = step{fmt.Sprintf("AT+S.SETTIME=%d\r", noon.Unix()), ok}

const connect = "AT+S.SOCKON=echo.test,443,s,ind\r"

var (
	connected  = "\r\n ID: 00\r\n" + ok
	notTrusted = failed("Unable to connect")
)

func TestTLSModes(t *testing.T) {
	o := office()
	good := o.leaf(nil, "echo.test")
	dated := func(from, to int) []byte {
		return o.leaf(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = noon.AddDate(0, 0, from), noon.AddDate(0, 0, to)
		}, "echo.test")
	}
	foreign := []step{load("f_ca", certPEM(o.other)), {"AT+S.TLSDOMAIN=f_domain,echo.test\r", ok}, setNoon}
	unset := oneWay("echo.test")[:2]
	for _, c := range []struct {
		name  string
		cert  []byte
		load  []step
		auth  tls.ClientAuthType
		want  string
		alert string // in what the server says of the handshake
		shown bool   // the client's certificate
	}{
		{"anonymous", good, nil, 0, connected, "", false},
		{"anonymous, everything wrong", dated(-9, -8), nil, 0, connected, "", false},
		{"anonymous, domain alone", good, []step{{"AT+S.TLSDOMAIN=f_domain,x.test\r", ok}}, 0, connected, "", false},
		{"anonymous, certificate required", good, nil, tls.RequireAnyClientCert, notTrusted, "didn't provide", false},
		{"one-way", good, oneWay("echo.test"), 0, connected, "", false},
		{"one-way, requested", good, oneWay("echo.test"), tls.RequestClientCert, connected, "", false},
		{"one-way, required", good, oneWay("echo.test"), tls.RequireAnyClientCert, notTrusted, "didn't provide", false},
		{"expired", dated(-9, -1), oneWay("echo.test"), 0, notTrusted, "bad certificate", false},
		{"not yet valid", dated(1, 9), oneWay("echo.test"), 0, notTrusted, "bad certificate", false},
		{"wrong host", good, oneWay("other.test"), 0, notTrusted, "bad certificate", false},
		{"unknown root", good, foreign, 0, notTrusted, "bad certificate", false},
		{"clock unset", good, unset, 0, notTrusted, "bad certificate", false},
		{"mutual", good, mutual("echo.test"), tls.RequireAndVerifyClientCert, connected, "", true},
		{"mutual, not requested", good, mutual("echo.test"), 0, connected, "", false},
		{"mutual, expired server", dated(-9, -1), mutual("echo.test"), tls.RequireAndVerifyClientCert, notTrusted, "bad certificate", false},
		{"RAM slots come first", good, append(oneWay("x.test"), step{"AT+S.TLSDOMAIN=domain,echo.test\r", ok},
			load("ca", certPEM(o.ca))), 0, connected, "", false},
		{"wildcard", o.leaf(nil, "*.lab.test"), oneWay("a.lab.test"), 0, connected, "", false},
		{"common name alone", o.leaf(func(c *x509.Certificate) { c.Subject.CommonName = "echo.test" }), oneWay("echo.test"), 0, connected, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
				p := newPeer(c.cert, o.key)
				p.config.ClientAuth = c.auth
				p.config.ClientCAs = x509.NewCertPool()
				ca, _ := x509.ParseCertificate(o.ca)
				p.config.ClientCAs.AddCert(ca)
				b.air.services["10.0.0.1:443"] = p.serve
				joined(t, b)
				run(t, b, c.load)
				run(t, b, []step{{connect, c.want}})
				if c.want == connected {
					run(t, b, []step{
						{"AT+S.SOCKW=0,4\rping", ok + wind("55:Pending Data:0:4")},
						{"AT+S.SOCKQ=0\r", " DATALEN: 4\r\n" + ok},
						{"AT+S.SOCKR=0,4\r", "ping" + ok},
						{"AT+S.SOCKC=0\r", ok},
					})
				}
				run(t, b, []step{{"AT\r", ok}})
				b.air.serving.Wait()
				if !p.hello || p.sni != "" {
					t.Errorf("hello seen: %v, name %q", p.hello, p.sni)
				}
				if c.alert == "" && p.err != nil || c.alert != "" && (p.err == nil || !strings.Contains(p.err.Error(), c.alert)) {
					t.Errorf("server: %v", p.err)
				}
				if shown := len(p.state.PeerCertificates) > 0; shown != c.shown ||
					shown && !bytes.Equal(p.state.PeerCertificates[0].Raw, o.client) {
					t.Errorf("client certificate shown: %v", shown)
				}
			})
		})
	}
}

func TestSlotFaults(t *testing.T) {
	o := office()
	ca, cert, key := certPEM(o.ca), certPEM(o.client), keyPEM(o.key)
	noCA := failed("Unable to load CA certificate")
	for name, c := range map[string]struct {
		load []step
		want string
	}{
		"name as CA":            {[]step{load("f_ca", "api.amazon.com")}, noCA},
		"DER":                   {[]step{load("f_ca", string(o.ca))}, noCA},
		"cut before the end":    {[]step{load("f_ca", strings.TrimSuffix(ca, "-\n"))}, noCA},
		"damaged":               {[]step{load("f_ca", strings.Replace(ca, "M", "!", 3))}, noCA},
		"key as CA":             {[]step{load("f_ca", key)}, noCA},
		"no certificate":        {[]step{load("f_ca", ca), load("f_key", key)}, failed("Unable to load client certificate")},
		"garbage certificate":   {[]step{load("f_ca", ca), load("f_cert", "x"), load("f_key", key)}, failed("Unable to load client certificate")},
		"no key":                {[]step{load("f_ca", ca), load("f_cert", cert)}, failed("Unable to load private key")},
		"garbage key":           {[]step{load("f_ca", ca), load("f_cert", cert), load("f_key", "x")}, failed("Unable to load private key")},
		"key of another":        {[]step{load("f_ca", ca), load("f_cert", cert), load("f_key", keyPEM(o.otherKey))}, failed("Unable to load private key")},
		"garbage without a CA":  {[]step{load("f_cert", "x"), load("f_key", "x")}, failed("Failed to open socket")},
		"without the last line": {[]step{load("f_ca", strings.TrimSuffix(ca, "\n"))}, failed("Failed to open socket")},
		"CR LF":                 {[]step{load("f_ca", strings.ReplaceAll(ca, "\n", "\r\n"))}, failed("Failed to open socket")},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
				joined(t, b)
				run(t, b, c.load)
				run(t, b, []step{{connect, c.want}})
				if dials := b.air.dialled(); (len(dials) == 0) == strings.Contains(c.want, "open socket") {
					t.Errorf("dialled %v", dials)
				}
			})
		})
	}
}

func TestSlots(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		joined(t, b)
		run(t, b, []step{
			load("f_ca", "abc"), load("ca", "x"),
			{"AT+S.TLSCERT=f_content,0\r", "#  f_ca = 3\r\n#  f_cert = 0\r\n#  f_key = 0\r\n#  f_domain = 0\r\n" + ok},
			{"AT+S.TLSCERT=f_domain,13\r", failed("Invalid argument(s)")},
			{"AT+S.TLSCERT=nope,1\r", failed("Invalid argument(s)")},
			{"AT+S.TLSDOMAIN=f_domain," + strings.Repeat("x", 65) + "\r", failed("Invalid argument(s)")},
			{"AT+S.TLSCERT=f_key,2049\r" + strings.Repeat("A", 2049), failed("Low Memory")},
			load("f_key", strings.Repeat("\r", 2048)), load("f_cert", strings.Repeat("A", 2048)),
			{"AT+S.TLSCERT2=clean,f_key\r", ok},
			{"AT+S.TLSCERT2=clean,nope\r", failed("Invalid argument(s)")},
			{"AT&F\r", ok},
		})
		b.boot(true, false) // flash slots survive, RAM slots do not
		b.settle()
		run(t, b, []step{
			{connect, failed("Unable to load CA certificate")},
			{"AT+S.TLSCERT2=clean,all\r", ok},
			{connect, failed("Failed to open socket")},
			load("ca", "x"),
			{connect, failed("Unable to load CA certificate")},
		})
		b.boot(false, false)
		b.settle()
		run(t, b, []step{{connect, failed("Failed to open socket")}})
	})
	p := app.DefaultProfile()
	p.TLS.Slots, p.TLS.DomainByCert = false, true
	inBubble(t, p, func(t *testing.T, b *bench) {
		joined(t, b)
		run(t, b, []step{
			{"AT+S.TLSCERT=f_ca,1\r", failed("Command not found")},
			{"AT+S.PEMDATA=ca,1\rx", ok},
			{connect, failed("Unable to load CA certificate")},
		})
	})
	p.TLS.Slots = true
	inBubble(t, p, func(t *testing.T, b *bench) {
		joined(t, b)
		run(t, b, []step{
			{"AT+S.TLSCERT=f_domain,9\recho.test", ok},
			{"AT+S.TLSCERT=f_content,0\r", "#  f_ca = 0\r\n#  f_cert = 0\r\n#  f_key = 0\r\n#  f_domain = 9\r\n" + ok},
		})
	})
}

func TestTLSKnobs(t *testing.T) {
	o := office()
	good := o.leaf(nil, "echo.test")
	for name, c := range map[string]struct {
		change func(*app.Profile)
		cert   []byte
		load   []step
		peer   func(*tls.Config)
		want   string
	}{
		"only TLS 1.0":        {func(p *app.Profile) { p.TLS.MaxVersion = tls.VersionTLS10 }, good, nil, func(c *tls.Config) { c.MinVersion = tls.VersionTLS12 }, notTrusted},
		"no common suite":     {nil, good, nil, func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} }, notTrusted},
		"longer keys":         {func(p *app.Profile) { p.TLS.MaxRSABits = 1024 }, good, nil, nil, notTrusted},
		"names by CN":         {func(p *app.Profile) { p.TLS.Names = app.NamesCN }, good, oneWay("echo.test"), nil, notTrusted},
		"no wildcards":        {func(p *app.Profile) { p.TLS.Wildcards = false }, o.leaf(nil, "*.lab.test"), oneWay("a.lab.test"), nil, notTrusted},
		"usage checked":       {func(p *app.Profile) { p.TLS.ChecksUsage = true }, o.leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "echo.test"), oneWay("echo.test"), nil, notTrusted},
		"usage not checked":   {nil, o.leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "echo.test"), oneWay("echo.test"), nil, connected},
		"bug: no dates":       {func(p *app.Profile) { p.Bugs.NoDates = true }, good, oneWay("echo.test")[:2], nil, connected},
		"bug: no names":       {func(p *app.Profile) { p.Bugs.NoNames = true }, good, oneWay("x.test"), nil, connected},
		"bug: no chain":       {func(p *app.Profile) { p.Bugs.NoChain = true }, good, []step{load("f_ca", certPEM(o.other)), setNoon}, nil, connected},
		"mismatch found late": {func(p *app.Profile) { p.TLS.ChecksKeyPair = false }, good, append(oneWay("echo.test"), load("f_cert", certPEM(o.client)), load("f_key", keyPEM(o.otherKey))), func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, notTrusted},
		"server name indicated": {func(p *app.Profile) { p.TLS.SNI = true }, good, nil, func(c *tls.Config) {
			c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				if h.ServerName != "echo.test" {
					return nil, os.ErrInvalid
				}
				return nil, nil
			}
		}, connected},
	} {
		t.Run(name, func(t *testing.T) {
			profile := app.DefaultProfile()
			if c.change != nil {
				c.change(&profile)
			}
			inBubble(t, profile, func(t *testing.T, b *bench) {
				p := newPeer(c.cert, o.key)
				if c.peer != nil {
					c.peer(p.config)
				}
				b.air.services["10.0.0.1:443"] = p.serve
				joined(t, b)
				run(t, b, c.load)
				got := b.cmd(connect)
				if got == "" { // both sides of the unbuffered pipe write: a limit ends it
					got = b.settle()
				}
				if got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
			})
		})
	}
}

func TestOneTLSSocket(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.air.services["10.0.0.1:443"] = newPeer(office().leaf(nil, "echo.test"), office().key).serve
		b.air.services["10.0.0.1:7"] = echo
		joined(t, b)
		run(t, b, []step{
			{connect, connected},
			{connect, failed("Low Memory")},
			{"AT+S.SOCKON=echo.test,7,t\r", "\r\n ID: 01\r\n" + ok},
			{"AT+S.SOCKC=0\r", ok},
			{connect, connected},
		})
	})
}

// TestForumThread replays the trace of the ST forum's thread "TLS1.2 and
// api.amazon.com" of April 2017: host name as CA, the CA as client
// certificate, a hash as key, every length one too small.
func TestForumThread(t *testing.T) {
	hash := "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2"
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.air.services["10.0.0.2:443"] = newPeer(office().leaf(nil, "api.amazon.com"), office().key).serve
		joined(t, b)
		pem := strings.ReplaceAll(certPEM(office().ca), "\n", "\r\n")
		run(t, b, []step{
			{"AT+S.TLSCERT2=clean,all\r", ok},
			{"AT+S.SETTIME=1491917021\r", ok},
			{"AT+S.TLSCERT=f_ca,13\rapi.amazon.com", ok},
			{fmt.Sprintf("AT+S.TLSCERT=f_cert,%d\r%s", len(pem)-1, pem), ok},
			{"AT+S.TLSCERT=f_key,63\r" + hash, ok},
			{"AT+S.SOCKON=api.amazon.com,443,s,ind\r", failed("Unable to load CA certificate")},
		})
		if n := len(b.air.dialled()); n != 0 {
			t.Errorf("%d connections", n)
		}
		run(t, b, []step{{"AT+S.TLSCERT2=clean,all\r", ok}})
		b.boot(false, false)
		b.settle()
		run(t, b, []step{
			{"AT+S.SOCKON=api.amazon.com,443,s,ind\r", connected},
			{"AT+S.SOCKW=00,5\rhello", ok + wind("55:Pending Data:0:5")},
		})
	})
}

func TestNeverTheSameRandom(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		seen := map[string]bool{}
		b.air.services["10.0.0.1:443"] = func(c net.Conn) {
			hello := make([]byte, 43)
			_, _ = io.ReadFull(c, hello)
			seen[string(hello[11:43])] = true
			go func() { _, _ = io.Copy(io.Discard, c) }()
		}
		joined(t, b)
		for range 4 {
			run(t, b, []step{{connect, notTrusted}})
		}
		if len(seen) != 4 {
			t.Errorf("%d different randoms of 4", len(seen))
		}
	})
}
