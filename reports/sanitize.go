package reports

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many combining marks may follow one another before they are
// spelled out: more of them climb over the neighbouring lines.
const maxMarks = 3

// Visible makes s safe to show: control characters other than newline and
// tab, text direction and zero-width characters, invisible letters,
// noncharacters and invalid UTF-8 become escapes such as \x1b, \u202e or \xff.
// The result is valid UTF-8 and legal in XML 1.0, and Visible of it is itself.
// Backslashes stay as they are: the text is for reading, the journal keeps
// the bytes.
func Visible(s string) string { return visible(s, false) }

// VisibleLine is Visible for one line: newline and tab are spelled out too.
func VisibleLine(s string) string { return visible(s, true) }

func visible(s string, line bool) string {
	if plainASCII(s, line) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	marks := 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r >= 0x300 && unicode.In(r, unicode.Mn, unicode.Me) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !line && (r == '\n' || r == '\t'), shows(r) && marks <= maxMarks:
			b.WriteString(s[i : i+n])
		default:
			b.WriteString(spell(r))
		}
		i += n
	}
	return b.String()
}

func plainASCII(s string, line bool) bool {
	for i := range len(s) {
		c := s[i]
		if c < 0x20 && (line || c != '\n' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}

// shows says whether r leaves a mark of its own where it is written.
func shows(r rune) bool {
	switch {
	case !unicode.IsPrint(r):
		return false
	case r == 0x034f, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5,
		r >= 0x180b && r <= 0x180f, r == 0x2800, r == 0x3164, r == 0xffa0,
		r >= 0xfe00 && r <= 0xfe0f, r >= 0xe0100 && r <= 0xe01ef:
		return false // joiners, fillers and variation selectors: printable by category, blank on screen
	}
	return true
}

func spell(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r < 0x80:
		return fmt.Sprintf(`\x%02x`, r)
	case r <= 0xffff:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// cells is the number of terminal columns that s takes. s has been through
// VisibleLine.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += runeCells(r)
	}
	return n
}

// runeCells follows the wide ranges of Unicode TR11, roughly: a wrong guess
// costs alignment, nothing else.
func runeCells(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60,
		r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

// clip cuts s to at most width columns, the last one an ellipsis. Zero or
// less means no limit.
func clip(s string, width int) string {
	if width <= 0 || cells(s) <= width {
		return s
	}
	n := 0
	for i, r := range s {
		if n += runeCells(r); n > width-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// shorten cuts s to about limit bytes at a character and says how much is
// left out.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%s\n[%d bytes more, see report.json]", s[:cut], len(s)-cut)
}
