package recorder

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// AppendEscaped adds text to dst so that it can be shown anywhere: what is not
// printable, what changes the direction or the width of text, and what is no
// UTF-8 becomes \xNN or \uNNNN, a backslash becomes two. Tabs stay. The result
// has no line ends and no other control characters.
func AppendEscaped(dst, text []byte) []byte {
	for len(text) > 0 {
		if b := text[0]; b < utf8.RuneSelf {
			switch {
			case b == '\\':
				dst = append(dst, `\\`...)
			case b == '\t' || b >= ' ' && b < 0x7f:
				dst = append(dst, b)
			default:
				dst = fmt.Appendf(dst, `\x%02x`, b)
			}
			text = text[1:]
			continue
		}
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = fmt.Appendf(dst, `\x%02x`, text[0])
		case unicode.IsPrint(r) && !invisible(r):
			dst = append(dst, text[:n]...)
		case r > 0xffff:
			dst = fmt.Appendf(dst, `\U%08x`, r)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		text = text[n:]
	}
	return dst
}

// invisible tells of characters that count as printable but show as nothing or
// change what is shown: marks without a base to sit on are left alone by
// terminals in too many ways, and the Hangul fillers are blank letters.
func invisible(r rune) bool {
	switch r {
	case 0x115f, 0x1160, 0x3164, 0xffa0, 0x2800:
		return true
	}
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Variation_Selector, unicode.Bidi_Control)
}
