package reports_test

import (
	"math/rand/v2"
	"testing"
	"unicode"
	"unicode/utf8"

	"hil-runner/reports"
)

func TestVisible(t *testing.T) {
	for _, c := range []struct{ in, want, line string }{
		{"plain text", "plain text", "plain text"},
		{"a\tb\nc", "a\tb\nc", `a\tb\nc`},
		{"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`, `\x1b[31mred\x1b[0m`},
		{"over\rwritten\x00\x07\x7f", `over\rwritten\x00\x07\x7f`, `over\rwritten\x00\x07\x7f`},
		{"\u009b2J", `\u009b2J`, `\u009b2J`},
		{"\xff\xfe", `\xff\xfe`, `\xff\xfe`},
		{"abc\u202ecba", `abc\u202ecba`, `abc\u202ecba`},
		{"zero\u200bwidth\ufeff", `zero\u200bwidth\ufeff`, `zero\u200bwidth\ufeff`},
		{"sep\u2028\u2029", `sep\u2028\u2029`, `sep\u2028\u2029`},
		{"tag\U000e0041", `tag\U000e0041`, `tag\U000e0041`},
		{"\ufffe\uffff", `\ufffe\uffff`, `\ufffe\uffff`},
		{"fill\u3164\u2800", `fill\u3164\u2800`, `fill\u3164\u2800`},
		{"grün – 接続 ✓", "grün – 接続 ✓", "grün – 接続 ✓"},
		{"e\u0301\u0301\u0301\u0301", "e\u0301\u0301\u0301" + `\u0301`, "e\u0301\u0301\u0301" + `\u0301`},
		{`C:\new`, `C:\new`, `C:\new`},
		{"\xed\xa0\x80", `\xed\xa0\x80`, `\xed\xa0\x80`},
	} {
		if got := reports.Visible(c.in); got != c.want {
			t.Errorf("Visible(%q) = %q, want %q", c.in, got, c.want)
		}
		if got := reports.VisibleLine(c.in); got != c.line {
			t.Errorf("VisibleLine(%q) = %q, want %q", c.in, got, c.line)
		}
	}
}

// checkVisible says what is wrong with text that was made visible.
func checkVisible(s string, line bool) string {
	if !utf8.ValidString(s) {
		return "is not UTF-8"
	}
	for _, r := range s {
		if r == '\n' || r == '\t' {
			if line {
				return "has more than one line or a tab"
			}
			continue
		}
		if unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return "holds a control character"
		}
	}
	return ""
}

func FuzzVisible(f *testing.F) {
	for _, s := range []string{"", "a\nb", "\x1b]0;title\x07", "\xc3", "\u202e", "e\u0301", "\U000e0041\xf4\x90\x80\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, l := reports.Visible(s), reports.VisibleLine(s)
		if bad := checkVisible(v, false); bad != "" {
			t.Errorf("Visible(%q) = %q %s", s, v, bad)
		}
		if bad := checkVisible(l, true); bad != "" {
			t.Errorf("VisibleLine(%q) = %q %s", s, l, bad)
		}
		if reports.Visible(v) != v || reports.VisibleLine(l) != l {
			t.Errorf("of %q is not stable", s)
		}
	})
}

func TestVisibleNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	line := make([]byte, 120)
	for range 2000 {
		for i := range line {
			line[i] = byte(r.Uint32())
		}
		if bad := checkVisible(reports.VisibleLine(string(line)), true); bad != "" {
			t.Fatalf("VisibleLine(%q) %s", line, bad)
		}
	}
}
