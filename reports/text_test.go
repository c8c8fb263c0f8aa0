package reports_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"hil-runner/reports"
)

func summary(t testing.TB, run *reports.Run, opt reports.TextOptions) string {
	t.Helper()
	var out bytes.Buffer
	if err := reports.Summary(&out, run, opt); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestSummaryTells(t *testing.T) {
	run := mixedRun()
	folder := save(t, t.TempDir(), run)
	text := summary(t, run, reports.TextOptions{Width: 100, Folder: folder})
	for _, want := range []string{
		"125 of 160 planned cases executed", "116 passed, 1 flaky, 3 failed, 1 error, 1 inconclusive,",
		"✗ b01 b02 b03  tls/one_way/N03", "bad_certificate_accepted:", "boards/b01/serial.log:96  2026-08-02 03:15:02.874 <- OK",
		"! b04  the board as a whole, 1 case cut short, 31 cases never ran", "passed 2 of 3 attempts",
		"FAILED  exit 1: a spec failed", "flash at 115200 baud: 1m 42s", folder.Path() + "/report.html",
		"not_requested", "unsigned",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary lacks %q:\n%s", want, text)
		}
	}
}

func TestSummaryFitsWidth(t *testing.T) {
	for _, run := range []*reports.Run{greenRun(), mixedRun(), {}} {
		for width := 40; width <= 140; width += 5 {
			for line := range strings.Lines(summary(t, run, reports.TextOptions{Width: width})) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("width %d: a line of %d: %s", width, n, line)
				}
			}
		}
	}
}

// The columns of the table stand under their heads, with wide letters too.
func TestSummaryAligns(t *testing.T) {
	run := greenRun()
	run.Boards[1].Board = "接続盤"
	lines := strings.Split(summary(t, run, reports.TextOptions{}), "\n")
	at := -1
	for _, line := range lines {
		if i := strings.Index(line, "BUILD"); i >= 0 {
			at = utf8.RuneCountInString(line[:i])
		}
		if i := strings.Index(line, "170111"); i >= 0 {
			n := utf8.RuneCountInString(line[:i])
			if strings.Contains(line, "接続盤") {
				n += 3
			}
			if n != at {
				t.Errorf("column at %d, head at %d: %s", n, at, line)
			}
		}
	}
	if at < 0 {
		t.Error("no table")
	}
}

func TestSummaryIsClean(t *testing.T) {
	for _, text := range hostileTexts() {
		run := mixedRun()
		run.Boards = run.Boards[1:]
		fill(run, text)
		out := summary(t, run, reports.TextOptions{Width: 100})
		if bad := checkVisible(out, false); bad != "" || strings.Contains(out, "\t") {
			t.Errorf("%q: the summary %s", text, bad)
		}
		colored := summary(t, run, reports.TextOptions{Width: 100, Color: true})
		if stripped := stripColor(t, colored); stripped != out {
			t.Errorf("%q: colours change the text", text)
		}
	}
}

// stripColor takes our own colour sequences out and refuses any other.
func stripColor(t *testing.T, s string) string {
	t.Helper()
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		code, rest, _ := strings.Cut(after, "m")
		if strings.Trim(code, "0123456789;") != "" {
			t.Errorf("sequence %q is no colour", code)
		}
		s = rest
	}
}

// A case that must run and was skipped is no detail.
func TestRequiredSkipIsLoud(t *testing.T) {
	run := greenRun()
	run.Verdict, run.ExitCode = "incomplete", reports.ExitInfra
	for i := range run.Boards {
		result(run, i, "tls/one_way/Z02").Case.Required = true
	}
	text := summary(t, run, reports.TextOptions{Color: true})
	for _, want := range []string{"NOT RUN tls/one_way/Z02", "not_requested", "INCOMPLETE", "11/12"} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary lacks %q:\n%s", want, text)
		}
	}
	var page bytes.Buffer
	if err := reports.EncodePage(&page, run); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.String(), `<span class="word">not run</span> <b>tls/one_way/Z02</b>`) {
		t.Error("the page does not say that a required case did not run")
	}
}

func TestManyFindings(t *testing.T) {
	run := greenRun()
	for i := range run.Boards[0].Results {
		r := &run.Boards[0].Results[i]
		r.Outcome, r.Causes, r.Attempts = reports.Failed, []reports.Cause{{Code: "x"}}, 1
	}
	if text := summary(t, run, reports.TextOptions{}); !strings.Contains(text, "and 28 findings more") {
		t.Errorf("the summary does not say that it leaves findings out:\n%s", text)
	}
}

type brokenPipe struct{ writes int }

func (b *brokenPipe) Write([]byte) (int, error) {
	b.writes++
	return 0, errors.New("broken pipe")
}

func TestSummaryReportsTheWriter(t *testing.T) {
	if err := reports.Summary(&brokenPipe{}, mixedRun(), reports.TextOptions{}); err == nil {
		t.Error("a broken pipe went unnoticed")
	}
}

func TestExits(t *testing.T) {
	seen := make(map[int]bool)
	for _, e := range reports.Exits() {
		if seen[e.Code] || e.Meaning == "" || reports.ExitMeaning(e.Code) != e.Meaning {
			t.Errorf("exit %d: %q", e.Code, e.Meaning)
		}
		seen[e.Code] = true
	}
	if len(seen) != 7 || !strings.Contains(reports.ExitMeaning(42), "42") {
		t.Errorf("%d exits, 42 is %q", len(seen), reports.ExitMeaning(42))
	}
}
