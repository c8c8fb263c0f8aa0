package spwf

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"
)

// certificate reads the one certificate of a slot, or adds what is wrong.
func (l *linter) certificate(slot string, code LintCode, content []byte) (*x509.Certificate, bool) {
	block, rest := pem.Decode(content)
	switch {
	case block == nil && isDER(content):
		l.add(code, slot, "holds binary DER: the module takes PEM only (openssl x509 -inform der -in file -out file.pem)")
		return nil, false
	case block == nil:
		l.add(code, slot, "holds %d bytes that are no PEM block: load a file that begins with -----BEGIN CERTIFICATE----- and is complete", len(content))
		return nil, false
	case strings.Contains(block.Type, "PRIVATE KEY"):
		l.add(LintSwapped, slot, "holds a private key: it belongs into f_key, and a certificate into %s", slot)
		return nil, false
	case block.Type != "CERTIFICATE":
		l.add(code, slot, "holds a PEM block of type %s instead of a certificate", quoted(block.Type))
		return nil, false
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		l.add(code, slot, "holds a PEM block that is no valid certificate (%s): load the original file again", printable(cut(err.Error(), 120)))
		return nil, false
	}
	if next, _ := pem.Decode(rest); next != nil {
		l.add(LintManyBlocks, slot, "holds more than one PEM block: the slot is for one, the first is %s", subject(cert))
		return nil, false
	}
	return cert, true
}

func isDER(p []byte) bool { return len(p) > 4 && p[0] == 0x30 && p[1] >= 0x80 }

func subject(c *x509.Certificate) string {
	s := c.Subject.String()
	if c.Subject.CommonName != "" {
		s = c.Subject.CommonName
	}
	if s == "" {
		return "a certificate without a subject"
	}
	return quoted(s)
}

func (l *linter) dates(slot string, c *x509.Certificate, expired, notYet LintCode) {
	if l.at.IsZero() {
		return
	}
	const day = "2006-01-02 15:04:05Z"
	at := l.at.UTC().Format(day)
	switch {
	case l.at.After(c.NotAfter):
		l.add(expired, slot, "the certificate of %s ended at %s, the clock says %s: renew it, or set the clock", subject(c), c.NotAfter.UTC().Format(day), at)
	case l.at.Before(c.NotBefore):
		l.add(notYet, slot, "the certificate of %s begins at %s, the clock says %s: set the clock (AT+S.SETTIME) before loading", subject(c), c.NotBefore.UTC().Format(day), at)
	}
}

// key checks the private key, and that it is the one of the certificate.
func (l *linter) key() {
	text := strings.TrimSpace(string(l.c.Key))
	if text == "" {
		l.add(LintKeyMissing, "f_key", "mutual needs the private key of the client's certificate in PEM")
		return
	}
	if sum, ok := fingerprint(text); ok {
		l.hash(sum)
		return
	}
	block, _ := pem.Decode(l.c.Key)
	switch {
	case block == nil && isDER(l.c.Key):
		l.add(LintKeyNotPEM, "f_key", "holds binary DER: the module takes PEM only (openssl pkey -inform der)")
		return
	case block == nil:
		l.add(LintKeyNotPEM, "f_key", "holds %d bytes that are no PEM block: load the private key that was made together with the certificate request", len(l.c.Key))
		return
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		l.add(LintKeyEncrypted, "f_key", "holds a key that is protected by a pass phrase, which the module cannot ask for: decrypt it (openssl pkey -in file -out file)")
		return
	case block.Type == "CERTIFICATE" || block.Type == "PUBLIC KEY":
		l.add(LintSwapped, "f_key", "holds a %s: load the private key", strings.ToLower(block.Type))
		return
	}
	key, err := parseKey(block.Bytes)
	if err != nil {
		l.add(LintKeyNotPEM, "f_key", "holds a PEM block that is no private key: load the private key that was made together with the certificate request")
		return
	}
	l.pair(key)
}

// pair compares the key with a certificate that is itself in order.
func (l *linter) pair(key crypto.PrivateKey) {
	block, _ := pem.Decode(l.c.Cert)
	if block == nil {
		return
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || cert.IsCA {
		return
	}
	signer, ok := key.(crypto.Signer)
	if ok {
		pub, err := x509.MarshalPKIXPublicKey(signer.Public())
		if err == nil && bytes.Equal(pub, cert.RawSubjectPublicKeyInfo) {
			return
		}
		equal, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
		if ok && equal.Equal(cert.PublicKey) {
			return
		}
	}
	l.add(LintKeyMismatch, "f_key", "is not the key of the certificate in f_cert (%s): load the pair that was made together", subject(cert))
}

func parseKey(der []byte) (crypto.PrivateKey, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if _, agreement := key.(*ecdh.PrivateKey); agreement {
		return nil, x509.ErrUnsupportedAlgorithm
	}
	return key, err
}

// fingerprint recognises a bare hash in hex, with or without colons.
func fingerprint(text string) ([]byte, bool) {
	sum, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil {
		return nil, false
	}
	switch len(sum) {
	case 16, 20, 32, 48, 64:
		return sum, true
	}
	return nil, false
}

// hash names whose fingerprint stands where a private key should be.
func (l *linter) hash(sum []byte) {
	for _, slot := range []struct {
		name    string
		content []byte
	}{{"f_cert", l.c.Cert}, {"f_ca", l.c.CA}} {
		block, _ := pem.Decode(slot.content)
		if block == nil {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		if what := hashOf(cert, sum); what != "" {
			l.add(LintKeyIsHash, "f_key", "holds no key: the value is the %s of the certificate in %s (%s), a public fingerprint; a client key is made by the client and goes with its own certificate; a server that asks for no client certificate needs f_cert and f_key empty (one_way)", what, slot.name, subject(cert))
			return
		}
	}
	l.add(LintKeyIsHash, "f_key", "holds %d hex digits, a fingerprint and no key: load the private key in PEM that belongs to the client's certificate", 2*len(sum))
}

func hashOf(c *x509.Certificate, sum []byte) string {
	spki256, raw256 := sha256.Sum256(c.RawSubjectPublicKeyInfo), sha256.Sum256(c.Raw)
	spki1, raw1 := sha1.Sum(c.RawSubjectPublicKeyInfo), sha1.Sum(c.Raw)
	switch {
	case bytes.Equal(sum, spki256[:]):
		return "SHA-256 of the public key (SPKI)"
	case bytes.Equal(sum, raw256[:]):
		return "SHA-256 fingerprint"
	case bytes.Equal(sum, spki1[:]):
		return "SHA-1 of the public key (SPKI)"
	case bytes.Equal(sum, raw1[:]):
		return "SHA-1 fingerprint"
	}
	return ""
}
