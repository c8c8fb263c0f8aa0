package spwf

import (
	"bytes"
	"fmt"
)

// scrub cuts credentials out of bytes that an error will show.
func (q *request) scrub(p []byte) []byte {
	for _, s := range q.secrets {
		if len(s) > 0 {
			p = bytes.ReplaceAll(p, []byte(s), []byte(redacted(len(s))))
		}
	}
	if q.secret && len(q.payload) > 0 {
		p = bytes.ReplaceAll(p, q.payload, []byte(redacted(len(q.payload))))
		for _, line := range bytes.FieldsFunc(q.payload, func(r rune) bool { return r == '\r' || r == '\n' }) {
			if len(line) >= 8 {
				p = bytes.ReplaceAll(p, line, []byte(redacted(len(line))))
			}
		}
	}
	return scrubConfig(p)
}

// secretKeys are configuration variables whose value no error may carry.
var secretKeys = [...]string{"wifi_wpa_psk_text", "wifi_wpa_psk_raw", "wifi_wep_keys"}

// scrubConfig cuts the values of secret configuration variables out of dumps
// and of echoed commands.
func scrubConfig(p []byte) []byte {
	for _, key := range secretKeys {
		for from := 0; ; {
			at := bytes.Index(p[from:], []byte(key))
			if at < 0 {
				break
			}
			at += from + len(key)
			end := at
			for end < len(p) && p[end] != '\r' && p[end] != '\n' {
				end++
			}
			sep := bytes.IndexAny(p[at:end], "=,")
			from = end
			if sep < 0 || end-at-sep <= 1 {
				continue
			}
			value := at + sep + 1
			mark := redacted(end - value)
			p = append(append(append([]byte(nil), p[:value]...), mark...), p[end:]...)
			from = value + len(mark)
		}
	}
	return p
}

func redacted(n int) string { return fmt.Sprintf("[redacted %d bytes]", n) }
