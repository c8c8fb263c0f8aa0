package spwf_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hil-runner/spwf"
)

var noon = time.Date(2020, 6, 1, 12, 0, 0, 0, time.UTC)

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

type pair struct {
	cert, key []byte
	der       []byte
}

// issue makes a certificate valid for the year 2020.
func issue(name string, ca bool, key crypto.Signer, parent *x509.Certificate, signer crypto.Signer) (pair, *x509.Certificate) {
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name},
		NotBefore: noon.AddDate(0, -5, 0), NotAfter: noon.AddDate(0, 6, 0),
		IsCA: ca, BasicConstraintsValid: true, DNSNames: []string{name},
	}
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pair{block("CERTIFICATE", der), block("PRIVATE KEY", secret), der}, cert
}

type pki struct{ root, client, other, rsa pair }

var makePKI = sync.OnceValue(func() pki {
	key := func() crypto.Signer {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return k
	}
	rootKey := key()
	root, rootCert := issue("Lab Root", true, rootKey, nil, nil)
	client, _ := issue("client.lab", false, key(), rootCert, rootKey)
	other, _ := issue("other.lab", false, key(), rootCert, rootKey)
	rk, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	old, _ := issue("rsa.lab", false, rk, rootCert, rootKey)
	old.key = block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rk))
	return pki{root, client, other, old}
})

func codes(found []spwf.LintError) []spwf.LintCode {
	var all []spwf.LintCode
	for _, e := range found {
		all = append(all, e.Code)
	}
	return all
}

func TestLint(t *testing.T) {
	p := makePKI()
	der := func(b []byte) []byte { bl, _ := pem.Decode(b); return bl.Bytes }
	good := spwf.Credentials{CA: p.root.cert, Cert: p.client.cert, Key: p.client.key, Domain: "server.lab"}
	with := func(change func(*spwf.Credentials)) spwf.Credentials { c := good; change(&c); return c }
	print1 := sha256.Sum256(p.root.der)
	table := []struct {
		name string
		c    spwf.Credentials
		mode spwf.Mode
		at   time.Time
		want []spwf.LintCode
	}{
		{"good mutual", good, spwf.Mutual, noon, nil},
		{"good mutual, RSA", with(func(c *spwf.Credentials) { c.Cert, c.Key = p.rsa.cert, p.rsa.key }), spwf.Mutual, noon, nil},
		{"good one_way", spwf.Credentials{CA: p.root.cert, Domain: "server.lab"}, spwf.OneWay, noon, nil},
		{"good anonymous", spwf.Credentials{}, spwf.Anonymous, noon, nil},
		{"CRLF", with(func(c *spwf.Credentials) { c.CA = bytes.ReplaceAll(c.CA, []byte("\n"), []byte("\r\n")) }), spwf.Mutual, noon, nil},
		{"no CA", with(func(c *spwf.Credentials) { c.CA = nil }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintCAMissing}},
		{"blank CA", with(func(c *spwf.Credentials) { c.CA = []byte(" \r\n") }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintCAMissing}},
		{"leaf as CA", with(func(c *spwf.Credentials) { c.CA = p.other.cert }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintCANotCA}},
		{"key as CA", with(func(c *spwf.Credentials) { c.CA = p.client.key }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintSwapped}},
		{"DER as CA", with(func(c *spwf.Credentials) { c.CA = der(c.CA) }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintCANotPEM}},
		{"cut CA", with(func(c *spwf.Credentials) { c.CA = c.CA[:len(c.CA)/2] }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintCANotPEM}},
		{"wrecked CA", with(func(c *spwf.Credentials) { c.CA = block("CERTIFICATE", []byte("no ASN.1")) }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintCANotPEM}},
		{"two CAs", with(func(c *spwf.Credentials) { c.CA = append(append([]byte(nil), c.CA...), c.CA...) }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintManyBlocks}},
		{"request as CA", with(func(c *spwf.Credentials) { c.CA = block("CERTIFICATE REQUEST", []byte("x")) }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintCANotPEM}},
		{"clock unset", good, spwf.Mutual, time.Unix(62490, 0), []spwf.LintCode{spwf.LintCANotYet, spwf.LintCertNotYet}},
		{"too late", good, spwf.Mutual, noon.AddDate(1, 0, 0), []spwf.LintCode{spwf.LintCAExpired, spwf.LintCertExpired}},
		{"no dates wanted", good, spwf.Mutual, time.Time{}, nil},
		{"no domain", with(func(c *spwf.Credentials) { c.Domain = "" }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintDomainMissing}},
		{"URL as domain", with(func(c *spwf.Credentials) { c.Domain = "https://server.lab/" }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintDomainBad}},
		{"address as domain", with(func(c *spwf.Credentials) { c.Domain = "10.0.0.1" }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintDomainBad}},
		{"port in domain", with(func(c *spwf.Credentials) { c.Domain = "server.lab:443" }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintDomainBad}},
		{"no cert", with(func(c *spwf.Credentials) { c.Cert = nil }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintCertMissing}},
		{"root as cert", with(func(c *spwf.Credentials) { c.Cert = p.root.cert }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintCertIsCA}},
		{"no key", with(func(c *spwf.Credentials) { c.Key = nil }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintKeyMissing}},
		{"other key", with(func(c *spwf.Credentials) { c.Key = p.other.key }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintKeyMismatch}},
		{"cert as key", with(func(c *spwf.Credentials) { c.Key = p.client.cert }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintSwapped}},
		{"swapped", with(func(c *spwf.Credentials) { c.Cert, c.Key = c.Key, c.Cert }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintSwapped, spwf.LintSwapped}},
		{"text as key", with(func(c *spwf.Credentials) { c.Key = []byte("hello") }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintKeyNotPEM}},
		{"DER as key", with(func(c *spwf.Credentials) { c.Key = der(c.Key) }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintKeyNotPEM}},
		{"locked key", with(func(c *spwf.Credentials) { c.Key = block("ENCRYPTED PRIVATE KEY", der(c.Key)) }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintKeyEncrypted}},
		{"wrecked key", with(func(c *spwf.Credentials) { c.Key = block("PRIVATE KEY", []byte("no")) }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintKeyNotPEM}},
		{"fingerprint of the CA as key", with(func(c *spwf.Credentials) { c.Key = []byte(hex.EncodeToString(print1[:])) }), spwf.Mutual, noon, []spwf.LintCode{spwf.LintKeyIsHash}},
		{"stale slots, anonymous", good, spwf.Anonymous, noon, []spwf.LintCode{spwf.LintSlotUnused, spwf.LintSlotUnused, spwf.LintSlotUnused, spwf.LintSlotUnused}},
		{"stale slots, one_way", good, spwf.OneWay, noon, []spwf.LintCode{spwf.LintSlotUnused, spwf.LintSlotUnused}},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			found := spwf.Lint(row.c, row.mode, row.at)
			if diff := cmp.Diff(row.want, codes(found)); diff != "" {
				t.Errorf("%s%v", diff, found)
			}
			for _, e := range found {
				if !errors.Is(e, e.Code) || !strings.Contains(e.Error(), e.Slot) || len(e.Text) < 20 {
					t.Errorf("%v is not usable", e)
				}
			}
		})
	}
}

// forum gives what the author of "TLS1.2 and api.amazon.com" (ST community,
// April 2017) loaded into his module: the host name as CA, Amazon's root as
// client certificate, and its fingerprint as key.
func forum(t *testing.T) spwf.Credentials {
	t.Helper()
	root, err := os.ReadFile("testdata/amazon-root-ca-1.pem")
	if err != nil {
		t.Fatal(err)
	}
	return spwf.Credentials{
		CA:   []byte("api.amazon.com"),
		Cert: bytes.ReplaceAll(root, []byte("\n"), []byte("\r\n")),
		Key:  []byte("fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2"),
	}
}

var forumTime = time.Unix(1491917021, 0)

func TestForumThread(t *testing.T) {
	c := forum(t)
	bl, _ := pem.Decode(c.Cert)
	sum := sha256.Sum256(bl.Bytes)
	if got := hex.EncodeToString(sum[:]); got != "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e" {
		t.Fatalf("the root is %s", got)
	}
	found := spwf.Lint(c, spwf.Mutual, forumTime)
	want := []spwf.LintCode{spwf.LintCAIsHostName, spwf.LintCertIsCA, spwf.LintKeyIsHash}
	if diff := cmp.Diff(want, codes(found)); diff != "" {
		t.Fatalf("%s%v", diff, found)
	}
	for n, parts := range [][]string{
		{"f_ca", "api.amazon.com", "AT+S.TLSDOMAIN=f_domain,api.amazon.com"},
		{"f_cert", "root CA certificate", "Amazon Root CA 1", "f_ca"},
		{"f_key", "SHA-256 of the public key (SPKI)", "Amazon Root CA 1", "no key"},
	} {
		for _, part := range parts {
			if !strings.Contains(found[n].Error(), part) {
				t.Errorf("%q lacks %q", found[n], part)
			}
		}
	}
	for _, row := range []struct {
		slot     string
		declared int
		content  []byte
	}{{"f_ca", 13, c.CA}, {"f_cert", 1207, c.Cert}, {"f_key", 63, c.Key}} {
		e := spwf.LintLength(row.slot, row.declared, row.content)
		if e == nil || !errors.Is(*e, spwf.LintLengthMinusOne) {
			t.Errorf("%s: got %v", row.slot, e)
		}
		if e := spwf.LintLength(row.slot, row.declared+1, row.content); e != nil {
			t.Errorf("%s: got %v", row.slot, e)
		}
		for _, wrong := range []int{row.declared + 2, row.declared - 1} {
			if e := spwf.LintLength(row.slot, wrong, row.content); e == nil || e.Code != spwf.LintLengthWrong {
				t.Errorf("%s: got %v", row.slot, e)
			}
		}
	}
}

// TestForumThreadOnTheWire replays the thread: the driver of then, the
// module's refusal, and the anonymous connection that worked in the end.
func TestForumThreadOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{"AT+S.SOCKON": refuse("Unable to load CA certificate")}})
		m := f.module(spwf.Options{Lengths: spwf.LengthMinusOne})
		c, ctx := forum(t), t.Context()

		err := m.LoadWith(ctx, c, spwf.LoadOptions{At: forumTime})
		for _, code := range []spwf.LintCode{spwf.LintCAIsHostName, spwf.LintCertIsCA, spwf.LintKeyIsHash} {
			if !errors.Is(err, code) {
				t.Errorf("%v lacks %s", err, code)
			}
		}
		if len(f.seen()) != 0 {
			t.Fatalf("the module saw %q in spite of the lint", f.seen())
		}

		if err := m.LoadWith(ctx, c, spwf.LoadOptions{At: forumTime, Unchecked: true}); err != nil {
			t.Fatal(err)
		}
		sent := "AT+S.TLSCERT2=clean,all\rAT+S.SETTIME=1491917021\r" +
			"AT+S.TLSCERT=f_ca,13\rapi.amazon.com" +
			"AT+S.TLSCERT=f_cert,1207\r" + string(c.Cert) +
			"AT+S.TLSCERT=f_key,63\r" + string(c.Key)
		if diff := cmp.Diff(sent, f.sentText()); diff != "" {
			t.Error(diff)
		}
		_, err = m.Open(ctx, "api.amazon.com", 443, spwf.TLS)
		if !errors.Is(err, spwf.ReasonLoadCA) || !strings.HasPrefix(err.Error(),
			"spwf: board b1: AT+S.SOCKON=api.amazon.com,443,s,ind: ERROR: Unable to load CA certificate") {
			t.Errorf("got %v", err)
		}

		f.answers["AT+S.SOCKON"] = "\r\n ID: 00\r\n" + ok
		if err := m.CleanTLS(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Open(ctx, "api.amazon.com", 443, spwf.TLS); err != nil {
			t.Error(err)
		}
	})
}

func TestLoad(t *testing.T) {
	p := makePKI()
	full := spwf.Credentials{CA: p.root.cert, Cert: p.client.cert, Key: p.client.key, Domain: "server.lab"}
	length := func(b []byte) string { return big.NewInt(int64(len(b))).String() }
	table := []struct {
		name string
		c    spwf.Credentials
		opt  spwf.LoadOptions
		want []string
	}{
		{"anonymous", spwf.Credentials{}, spwf.LoadOptions{}, []string{"AT+S.TLSCERT2=clean,all"}},
		{"one_way", spwf.Credentials{CA: p.root.cert, Domain: "server.lab"}, spwf.LoadOptions{At: noon},
			[]string{"AT+S.TLSCERT2=clean,all", "AT+S.SETTIME=1591012800", "AT+S.TLSCERT=f_ca," + length(p.root.cert), "AT+S.TLSDOMAIN=f_domain,server.lab"}},
		{"mutual", full, spwf.LoadOptions{}, []string{
			"AT+S.TLSCERT2=clean,all", "AT+S.TLSCERT=f_ca," + length(p.root.cert), "AT+S.TLSDOMAIN=f_domain,server.lab",
			"AT+S.TLSCERT=f_cert," + length(p.client.cert), "AT+S.TLSCERT=f_key," + length(p.client.key)}},
		{"mutual in RAM", full, spwf.LoadOptions{Storage: spwf.RAM}, []string{
			"AT+S.TLSCERT2=clean,all", "AT+S.TLSCERT=ca," + length(p.root.cert), "AT+S.TLSDOMAIN=f_domain,server.lab",
			"AT+S.TLSCERT=cert," + length(p.client.cert), "AT+S.TLSCERT=key," + length(p.client.key)}},
	}
	for _, row := range table {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, &fake{})
			m := f.module(spwf.Options{})
			if err := m.LoadWith(t.Context(), row.c, row.opt); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, f.seen()); diff != "" {
				t.Errorf("%s: %s", row.name, diff)
			}
			for command, payload := range f.payloads {
				if strings.Contains(command, "key") && !bytes.Equal(payload, p.client.key) {
					t.Error("the key differs")
				}
			}
			if err := m.At(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLoadRefusesWhatTheDialectWouldCut(t *testing.T) {
	p := makePKI()
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		m := f.module(spwf.Options{Lengths: spwf.LengthMinusOne})
		c := spwf.Credentials{CA: bytes.TrimSpace(p.root.cert), Domain: "server.lab"}
		if err := m.Load(t.Context(), c); !errors.Is(err, spwf.LintLengthMinusOne) {
			t.Errorf("got %v", err)
		}
		c.CA = p.root.cert
		if err := m.Load(t.Context(), c); err != nil {
			t.Error(err)
		}
	})
}

// FuzzLint: no content may panic the lint, give a flood of errors, or show a
// key in an error.
func FuzzLint(f *testing.F) {
	p := makePKI()
	f.Add(p.root.cert, p.client.cert, p.client.key, "server.lab", byte(2))
	f.Add([]byte("api.amazon.com"), p.root.cert, []byte("fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2"), "", byte(2))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte{0x30, 0x82, 0, 0, 0}, []byte("-----BEGIN"), "a..b", byte(1))
	f.Add(p.rsa.cert, p.rsa.cert, p.rsa.key, "\x1b[2J", byte(0))
	f.Fuzz(func(t *testing.T, ca, cert, key []byte, domain string, mode byte) {
		c := spwf.Credentials{CA: ca, Cert: cert, Key: key, Domain: domain}
		found := spwf.Lint(c, spwf.Mode(mode%3), noon)
		if len(found) > 8 {
			t.Errorf("%d errors", len(found))
		}
		for _, e := range found {
			if len(e.Error()) > 1500 {
				t.Errorf("an error of %d bytes", len(e.Error()))
			}
			for _, b := range []byte(e.Error()) {
				if b < ' ' || b == 0x7f {
					t.Errorf("%q holds a control character", e.Error())
				}
			}
			if e.Slot == "f_key" && len(key) > 40 && !bytes.Contains(cert, key) && strings.Contains(e.Error(), string(key)) {
				t.Errorf("%q holds the key", e.Error())
			}
		}
	})
}
