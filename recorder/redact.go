package recorder

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

const (
	// minSecret is the length below which a text is no secret: it would hide
	// half of the log.
	minSecret = 4
	// minPart is the same for a part of a secret, as one line of a key.
	minPart = 12
	// maxShort is the length up to which a secret is also looked for in hex
	// and base64 of its text. What is longer is a key, whose own forms are.
	maxShort = 128
	// maxSecrets bounds the memory of a Redactor: the bytes of all forms, each
	// of which takes some 24 bytes. It is room for a thousand private keys.
	maxSecrets = 16 << 20
)

// ErrTooManySecrets says that a Redactor cannot hide all that it was given.
var ErrTooManySecrets = errors.New("more secrets than can be hidden")

// Redactor hides secrets in text that is shown. It knows a secret also in
// other line ends or broken over lines, in hex and base64, inside JSON, and of
// a PEM block each line and the DER bytes. It is for one goroutine.
type Redactor struct {
	forms map[string]bool
	size  int
	full  bool       // a form was left out
	a     *automaton // nil when forms have been added since
}

// NewRedactor returns a redactor for secrets; those shorter than 4 bytes are
// ignored.
func NewRedactor(secrets ...[]byte) *Redactor {
	r := &Redactor{forms: map[string]bool{}}
	for _, s := range secrets {
		r.Add(s)
	}
	return r
}

// Add adds one secret in all the forms that it may be shown in.
func (r *Redactor) Add(secret []byte) {
	if len(flat(secret)) < minSecret {
		return
	}
	r.form(secret)
	if len(secret) <= maxShort {
		r.encoded(bytes.TrimRight(secret, "\r\n"))
	}
	if quoted, err := json.Marshal(string(secret)); err == nil {
		r.form(quoted[1 : len(quoted)-1])
	}
	for line := range bytes.FieldsFuncSeq(secret, func(c rune) bool { return c == '\r' || c == '\n' }) {
		if len(line) >= minPart && !bytes.HasPrefix(line, []byte("-----")) {
			r.form(line)
		}
	}
	for rest := secret; ; {
		block, after := pem.Decode(rest)
		if block == nil {
			return
		}
		r.form(block.Bytes)
		r.encoded(block.Bytes)
		rest = after
	}
}

func (r *Redactor) encoded(b []byte) {
	if len(b) < minSecret {
		return
	}
	r.form([]byte(hex.EncodeToString(b)))
	r.form([]byte(fmt.Sprintf("%X", b)))
	r.form([]byte(base64.StdEncoding.EncodeToString(b)))
}

func (r *Redactor) form(text []byte) {
	text = flat(text)
	if len(text) < minSecret || r.forms[string(text)] {
		return
	}
	if r.size+len(text) > maxSecrets {
		r.full = true
		return
	}
	r.forms[string(text)] = true
	r.size += len(text)
	r.a = nil
}

// Err is ErrTooManySecrets when some were left out, which takes keys by the
// thousand.
func (r *Redactor) Err() error {
	if r.full {
		return ErrTooManySecrets
	}
	return nil
}

// learn adds what a record that is marked secret holds. Of a command it is the
// value too, because the module may show that alone.
func (r *Redactor) learn(data []byte) {
	r.Add(data)
	line := bytes.TrimRight(data, "\r\n")
	if i := bytes.LastIndexAny(line, ",="); i >= 0 && !bytes.ContainsAny(line, "\r\n") && len(line)-i > minSecret+1 {
		r.Add(line[i+1:])
	}
}

// flat is text without line ends: secrets are looked for as if neither they
// nor the text had any.
func flat(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for _, b := range text {
		if !isLineEnd(b) {
			out = append(out, b)
		}
	}
	return out
}

func isLineEnd(b byte) bool { return b == '\r' || b == '\n' }

func (r *Redactor) automaton() *automaton {
	if r.a == nil {
		texts := make([][]byte, 0, len(r.forms))
		for f := range r.forms {
			texts = append(texts, []byte(f))
		}
		slices.SortFunc(texts, bytes.Compare)
		r.a = newAutomaton(texts)
	}
	return r.a
}

// Redact returns text with each secret replaced by "[redacted 12 bytes]", the
// count being that of the bytes replaced. Text without secrets is returned as
// it is.
func (r *Redactor) Redact(text []byte) []byte {
	if len(r.forms) == 0 {
		return text
	}
	var out collected
	s := scrubber{to: &out}
	s.use(r.automaton())
	s.write(text, origin{})
	s.end()
	if !out.hidden {
		return text
	}
	return out.text
}

// String is Redact for strings.
func (r *Redactor) String(text string) string { return string(r.Redact([]byte(text))) }

// collected gathers scrubbed text.
type collected struct {
	text   []byte
	hidden bool
}

func (c *collected) plain(b []byte, _ origin) { c.text = append(c.text, b...) }

func (c *collected) redacted(n int, _ origin) {
	c.hidden = true
	c.text = appendRedacted(c.text, n)
}

func appendRedacted(dst []byte, n int) []byte {
	if n == 1 {
		return append(dst, "[redacted 1 byte]"...)
	}
	return fmt.Appendf(dst, "[redacted %d bytes]", n)
}
