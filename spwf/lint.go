package spwf

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// LintCode names one kind of mistake in credentials. Use it with errors.Is.
type LintCode string

// Error gives the name.
func (c LintCode) Error() string { return string(c) }

// The mistakes that Lint finds.
const (
	LintCAMissing      LintCode = "ca_missing"
	LintCAIsHostName   LintCode = "ca_is_host_name"
	LintCANotPEM       LintCode = "ca_not_pem_certificate"
	LintCANotCA        LintCode = "ca_is_not_a_ca"
	LintCAExpired      LintCode = "ca_expired"
	LintCANotYet       LintCode = "ca_not_yet_valid"
	LintCertMissing    LintCode = "cert_missing"
	LintCertIsCA       LintCode = "cert_is_a_ca"
	LintCertNotPEM     LintCode = "cert_not_pem_certificate"
	LintCertExpired    LintCode = "cert_expired"
	LintCertNotYet     LintCode = "cert_not_yet_valid"
	LintKeyMissing     LintCode = "key_missing"
	LintKeyIsHash      LintCode = "key_is_a_fingerprint"
	LintKeyNotPEM      LintCode = "key_not_pem_private_key"
	LintKeyEncrypted   LintCode = "key_is_encrypted"
	LintKeyMismatch    LintCode = "key_does_not_match_cert"
	LintDomainMissing  LintCode = "domain_missing"
	LintDomainBad      LintCode = "domain_is_no_host_name"
	LintSwapped        LintCode = "wrong_slot"
	LintManyBlocks     LintCode = "more_than_one_pem_block"
	LintSlotUnused     LintCode = "slot_not_of_this_mode"
	LintLengthMinusOne LintCode = "length_minus_one"
	LintLengthWrong    LintCode = "length_wrong"
)

// LintError is one mistake: which slot, what is in it, what to do. Its text
// holds nothing of a key.
type LintError struct {
	Code LintCode
	Slot string // "f_ca", "f_domain", "f_cert", "f_key"
	Text string
}

// Error gives slot, name and text.
func (e LintError) Error() string { return fmt.Sprintf("%s: %s: %s", e.Slot, e.Code, e.Text) }

// Is matches the error's LintCode.
func (e LintError) Is(target error) bool { return target == e.Code }

// Lint looks for mistakes in credentials for a mode before they reach a
// module, which takes anything and only fails when a TLS socket is opened.
// One mistake gives one error. The zero at checks no dates.
func Lint(c Credentials, mode Mode, at time.Time) []LintError {
	l := &linter{c: c, at: at}
	if mode == Anonymous {
		l.unused("f_ca", "anonymous", c.CA)
		l.unused("f_domain", "anonymous", []byte(c.Domain))
	} else {
		l.ca()
		l.domain()
	}
	if mode == Mutual {
		l.cert()
		l.key()
	} else {
		l.unused("f_cert", mode.String(), c.Cert)
		l.unused("f_key", mode.String(), c.Key)
	}
	return l.found
}

// LintLength compares the length that a TLSCERT command declares with the
// payload that follows it. Nil means that they agree.
func LintLength(slot string, declared int, payload []byte) *LintError {
	n := len(payload)
	switch {
	case declared == n:
		return nil
	case declared == n-1:
		return &LintError{LintLengthMinusOne, slot, fmt.Sprintf(
			"declares %d bytes and sends %d, one less than it should (strlen(x)-1): the last byte goes to the command parser, and content without a final line end is cut; declare %d", declared, n, n)}
	case declared > n:
		return &LintError{LintLengthWrong, slot, fmt.Sprintf(
			"declares %d bytes and sends %d: the module waits for %d more and eats the next commands; declare %d", declared, n, declared-n, n)}
	}
	return &LintError{LintLengthWrong, slot, fmt.Sprintf(
		"declares %d bytes and sends %d: the content is cut and the last %d bytes go to the command parser; declare %d", declared, n, n-declared, n)}
}

type linter struct {
	c     Credentials
	at    time.Time
	found []LintError
	// hostInCA is set when the CA slot holds the name that belongs into
	// f_domain: its absence there is the same mistake.
	hostInCA bool
}

func (l *linter) add(code LintCode, slot, format string, args ...any) {
	l.found = append(l.found, LintError{code, slot, fmt.Sprintf(format, args...)})
}

func (l *linter) unused(slot, mode string, content []byte) {
	if len(content) > 0 {
		l.add(LintSlotUnused, slot, "mode %s leaves this slot empty, and what it holds changes the mode: leave it out and clean the slots (TLSCERT2=clean,all)", mode)
	}
}

func (l *linter) ca() {
	text := strings.TrimSpace(string(l.c.CA))
	switch {
	case text == "":
		l.add(LintCAMissing, "f_ca", "one_way and mutual verify the server and need the CA certificate in PEM that its chain leads to")
		return
	case isHostName(text):
		l.hostInCA = true
		l.add(LintCAIsHostName, "f_ca", "holds the host name %q instead of a CA certificate: put the name into f_domain (AT+S.TLSDOMAIN=f_domain,%s) and the CA certificate in PEM that the server's chain leads to into f_ca; left so, SOCKON answers %q", text, text, ReasonLoadCA)
		return
	}
	cert, ok := l.certificate("f_ca", LintCANotPEM, l.c.CA)
	if !ok {
		return
	}
	if !cert.IsCA || !cert.BasicConstraintsValid {
		l.add(LintCANotCA, "f_ca", "holds the certificate of %s, which is no CA (no CA:TRUE): load the root or intermediate that issued the server's certificate", subject(cert))
		return
	}
	l.dates("f_ca", cert, LintCAExpired, LintCANotYet)
}

func (l *linter) domain() {
	name := l.c.Domain
	switch {
	case name == "" && l.hostInCA:
	case name == "":
		l.add(LintDomainMissing, "f_domain", "one_way and mutual compare the server's certificate with a name: set it (AT+S.TLSDOMAIN=f_domain,<host name>)")
	case !isHostName(name):
		l.add(LintDomainBad, "f_domain", "holds %s, which is no DNS name: set the name in the server's certificate, without scheme, port, path or blanks", quoted(name))
	}
}

func (l *linter) cert() {
	if len(bytes.TrimSpace(l.c.Cert)) == 0 {
		l.add(LintCertMissing, "f_cert", "mutual needs the client's own certificate in PEM")
		return
	}
	cert, ok := l.certificate("f_cert", LintCertNotPEM, l.c.Cert)
	if !ok {
		return
	}
	if cert.IsCA {
		what := "a CA certificate"
		if bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			what = "a root CA certificate"
		}
		l.add(LintCertIsCA, "f_cert", "holds %s (%s), but this slot is for the client's own certificate: a root that shall verify the server goes into f_ca; a server that asks for no client certificate needs f_cert and f_key empty (one_way)", what, subject(cert))
		return
	}
	l.dates("f_cert", cert, LintCertExpired, LintCertNotYet)
}

// isHostName accepts what a certificate may name: labels of letters, digits
// and hyphens, at least two of them, the last not numeric.
func isHostName(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	for _, label := range labels {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			b := label[i]
			if b != '-' && (b < '0' || b > '9') && (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != "" && (len(labels) > 1 || strings.EqualFold(s, "localhost"))
}

func quoted(s string) string { return fmt.Sprintf("%q", cut(s, 80)) }
