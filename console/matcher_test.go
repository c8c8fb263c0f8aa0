package console_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hil-runner/console"
	"hil-runner/recorder"
)

func pattern(expr string) console.Pattern {
	return console.Pattern{Name: expr, Expr: regexp.MustCompile(expr)}
}

// collect feeds text cut into pieces of size n and returns "pattern|line|end".
func collect(text string, n int, exprs ...string) []string {
	var patterns []console.Pattern
	for _, e := range exprs {
		patterns = append(patterns, pattern(e))
	}
	m := console.NewMatcher(patterns...)
	var got []string
	for len(text) > 0 {
		k := min(n, len(text))
		m.Feed([]byte(text[:k]), func(f console.Match) {
			got = append(got, fmt.Sprintf("%s|%s|%d", f.Pattern.Name, f.Line, f.End))
		})
		text = text[k:]
	}
	return got
}

func TestMatcherFindsLinesHoweverTheyAreCut(t *testing.T) {
	text := "noise\r\n+WIND:1:Poweron\r\nERROR: no\r\nxx +WIND:24:WiFi Up:192\r\n\r\nOK\r\nOKAY\r\n+WIND:2"
	exprs := []string{`^OK$`, `\+WIND:(\d+):`, `(WIND|ERROR):24:WiFi (Up|Down):\d+`, `(?i)error`}
	want := []string{
		`\+WIND:(\d+):|+WIND:1:Poweron|24`,
		`(?i)error|ERROR: no|35`,
		`\+WIND:(\d+):|xx +WIND:24:WiFi Up:192|60`,
		`(WIND|ERROR):24:WiFi (Up|Down):\d+|xx +WIND:24:WiFi Up:192|60`,
		`^OK$|OK|66`,
	}
	for n := 1; n <= len(text); n++ {
		if diff := cmp.Diff(want, collect(text, n, exprs...)); diff != "" {
			t.Fatalf("pieces of %d bytes (-want +got):\n%s", n, diff)
		}
	}
}

func TestMatcherGivesGroups(t *testing.T) {
	m := console.NewMatcher(pattern(`\+WIND:(\d+):(x)?`))
	var got []string
	m.Feed([]byte("+WIND:24:up\n"), func(f console.Match) {
		for _, g := range f.Groups {
			got = append(got, fmt.Sprintf("%q %v", g, g == nil))
		}
	})
	if diff := cmp.Diff([]string{`"+WIND:24:" false`, `"24" false`, `"" true`}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMatcherIsBounded(t *testing.T) {
	m := console.NewMatcher(pattern(`^start`), pattern(`end$`))
	var got []string
	found := func(f console.Match) { got = append(got, fmt.Sprintf("%s %d", f.Pattern.Name, len(f.Line))) }
	m.Feed([]byte("start"), found)
	noise := bytes.Repeat([]byte{0xff}, 1<<20)
	for range 16 {
		m.Feed(noise, found)
	}
	m.Feed([]byte("end\nend\n"), found)
	if diff := cmp.Diff([]string{"^start 4096", "end$ 3"}, got); diff != "" {
		t.Error(diff)
	}
	m.Feed([]byte("start"), found)
	m.Reset()
	m.Feed([]byte("\n"), found)
	if len(got) != 2 {
		t.Errorf("a forgotten line matched: %q", got)
	}
}

func TestExpect(t *testing.T) {
	j, err := recorder.Create(t.TempDir(), recorder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	type result struct {
		match console.Match
		at    recorder.Offset
		err   error
	}
	got := make(chan result)
	wait := func(from recorder.Offset) {
		m, at, err := console.Expect(within(t, 10*time.Second), j, from, pattern(`^OK$`), pattern(`\+WIND:(\d+):`))
		got <- result{m, at, err}
	}
	go wait(0)
	for _, s := range []string{"noise\r\n+WI", "ND:24:up\r\nmore\r\n", "OK\r\n"} {
		if _, err := j.Append(recorder.KindRx, []byte(s), false); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Append(recorder.KindTx, []byte("OK\r\n"), false); err != nil {
			t.Fatal(err)
		}
	}
	r := <-got
	if r.err != nil || string(r.match.Line) != "+WIND:24:up" || string(r.match.Groups[1]) != "24" {
		t.Fatalf("expected WIND, got %q, %v", r.match.Line, r.err)
	}
	go wait(r.at)
	if r = <-got; r.err != nil || string(r.match.Line) != "OK" {
		t.Fatalf("then OK, got %q, %v", r.match.Line, r.err)
	}
	go wait(r.at)
	j.Close()
	if r = <-got; !errors.Is(r.err, io.EOF) {
		t.Fatalf("after the end: %q, %v", r.match.Line, r.err)
	}
}

// The prefilter must never hide what the expression alone finds.
func FuzzMatcherAgreesWithPlainSearch(f *testing.F) {
	f.Add("(WIND|ERROR):24:WiFi (Up|Down):\\d+", "x\n+WIND:24:WiFi Up:1\r\n", 3)
	f.Add("a(bc)+|[de]f?", "abcbc\nd\n", 1)
	f.Add("(xay*)b", "xayb\n", 1)
	f.Add("\uFFFD", "\xff\n", 1)
	f.Add("(?i)ok", "OK\noK\n", 2)
	f.Add("^$", "\n\r\n", 1)
	f.Add("a{2,3}b?(c|)", "aaac\n", 1)
	f.Add("[ab]x(y|z)", "ax\nbxy\n", 5)
	f.Fuzz(func(t *testing.T, expr, text string, n int) {
		re, err := regexp.Compile(expr)
		if err != nil || len(expr) > 50 || len(text) > 2000 || n < 1 {
			t.Skip()
		}
		var want []string
		lines := strings.Split(text, "\n")
		end := 0
		for _, line := range lines[:len(lines)-1] {
			end += len(line) + 1
			if line = strings.TrimSuffix(line, "\r"); re.MatchString(line) {
				want = append(want, fmt.Sprintf("%s|%s|%d", expr, line, end))
			}
		}
		if diff := cmp.Diff(want, collect(text, n, expr)); diff != "" {
			t.Fatalf("%q in %q (-plain +matcher):\n%s", expr, text, diff)
		}
	})
}
