package hostlab

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestRestartCommand(t *testing.T) {
	for text, want := range map[string]bool{
		"AT+CFUN=1\r":               true,
		"at+cfun=0\r":               true,
		"AT+CFUN=1\n\r":             false,
		"AT+CFUN=\r":                true,
		"payload with AAT+CFUN=1\r": true,
		"AT+CFUN=1":                 false,
		"AT+CFUN=x\r":               false,
		"AT+CFU=1\r":                false,
		"AT\rAT+CFUN=1\rAT\r":       true,
		"ATAT+CFUN=1\r":             true,
	} {
		var r restartCommand
		if got := r.feed([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestLongLinesAreBounded(t *testing.T) {
	var l lineBuffer
	var got []string
	l.feed([]byte(strings.Repeat("x", 10*maxWatchedLine)), func(p []byte) { got = append(got, string(p)) })
	l.feed([]byte("tail\r\n+WIND:1:Poweron\r\n"), func(p []byte) { got = append(got, string(p)) })
	if len(got) != 2 || len(got[0]) != maxWatchedLine || got[1] != "+WIND:1:Poweron" || cap(l.buf) > 4*maxWatchedLine {
		t.Errorf("%d lines, the first of %d bytes, buffer of %d", len(got), len(got[0]), cap(l.buf))
	}
}

// What the watch makes of bytes does not depend on how they are cut.
func FuzzWatchText(f *testing.F) {
	f.Add([]byte("\x00\xff\r\n+WIND:1:Poweron (150410-c2e37a3-SPWF01S)\r\n"), 3)
	f.Add([]byte("AT+CFUN=1\rAT+CFUN=1\r"), 9)
	f.Add([]byte("\r\n+WIND:8:Hard Fault:AT: r0 00000000\r\n"), 1)
	f.Add(bytes.Repeat([]byte("z"), 3000), 1024)
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		cut = min(max(cut, 0), len(p))
		whole, whole1 := readText(p)
		parts, parts1 := readText(p[:cut], p[cut:])
		if !slices.Equal(whole, parts) || whole1 != parts1 {
			t.Errorf("in one piece %q, %v; cut at %d %q, %v", whole, whole1, cut, parts, parts1)
		}
		for _, line := range whole {
			if len(line) > maxWatchedLine {
				t.Errorf("a line of %d bytes", len(line))
			}
			windLine.FindStringSubmatch(line)
		}
	})
}

func readText(parts ...[]byte) (lines []string, restart bool) {
	var l lineBuffer
	var r restartCommand
	for _, p := range parts {
		l.feed(p, func(line []byte) { lines = append(lines, string(line)) })
		restart = r.feed(p) || restart
	}
	return lines, restart
}
