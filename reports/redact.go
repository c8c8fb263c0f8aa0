package reports

import (
	"fmt"
	"strings"
)

const (
	keyBegin = "-----BEGIN "
	keyEnd   = "-----END "
	keyWords = "PRIVATE KEY-----"
)

// redactKeys takes PEM private keys out of s and leaves their byte count. It
// is the last guard: whoever makes a message is to keep secrets out of it.
func redactKeys(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, keyBegin)
		if i < 0 {
			break
		}
		head, rest := s[:i], s[i:]
		label := strings.Index(rest[len(keyBegin):], "-----")
		if label < 0 || !strings.HasSuffix(rest[:len(keyBegin)+label+5], keyWords) {
			b.WriteString(head + keyBegin)
			s = rest[len(keyBegin):]
			continue
		}
		n := len(rest)
		if e := strings.Index(rest, keyEnd); e >= 0 {
			if w := strings.Index(rest[e:], keyWords); w >= 0 {
				n = e + w + len(keyWords)
			}
		}
		fmt.Fprintf(&b, "%s[redacted %d bytes]", head, n)
		s = rest[n:]
	}
	b.WriteString(s)
	return b.String()
}
