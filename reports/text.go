package reports

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// maxFindings is how many findings a terminal summary spells out.
const maxFindings = 12

// TextOptions are the looks of text for a terminal.
type TextOptions struct {
	// Width is the number of columns, 0 for no limit.
	Width int
	// Color is set by the caller only, who knows the terminal and NO_COLOR.
	Color bool
	// Folder is where the run is kept; it is named at the end, and the log
	// lines of failures are read from it. It may be nil.
	Folder *Folder
}

// Summary writes what a person wants to know of a run after it ended: a line
// per board, every failure with its cause and log line, the counts, and where
// the report is. It writes no control byte but newline, and colours where
// they are asked for.
func Summary(w io.Writer, run *Run, opt TextOptions) error {
	out := bufio.NewWriter(w)
	t := &textWriter{w: out, opt: opt, run: run}
	t.head()
	t.boards()
	t.findings()
	t.foot()
	return out.Flush()
}

type textWriter struct {
	w   *bufio.Writer
	opt TextOptions
	run *Run
}

// line writes one line of plain parts, cut at the width.
func (t *textWriter) line(text string) {
	fmt.Fprintln(t.w, strings.TrimRight(clip(text, t.opt.Width), " "))
}

func (t *textWriter) head() {
	run := t.run
	parts := []string{"run " + run.ID}
	if run.Lab != "" {
		parts = append(parts, run.Lab)
	}
	parts = append(parts, count(len(run.Boards), "board"))
	if run.Release != "" {
		parts = append(parts, "firmware "+run.Release)
	}
	if d := run.Took(); d > 0 {
		parts = append(parts, human(d))
	}
	t.line(VisibleLine(strings.Join(parts, " · ")))
	for _, n := range run.Notes {
		for _, l := range wrap(VisibleLine(n), t.opt.Width-2) {
			t.line("  " + l)
		}
	}
	fmt.Fprintln(t.w)
}

// boards writes the table: one line per board, one column per suite and mode.
func (t *textWriter) boards() {
	all := groups(t.run)
	tab := newTable(t.run, all)
	tab.shrink(t.opt.Width)
	if t.opt.Width > 0 && tab.width() > t.opt.Width {
		tab = newTable(t.run, nil) // the modes do not fit: one column for all
		tab.shrink(t.opt.Width)
		tab.cut(t.opt.Width)
	}
	tab.write(t.w, t.opt)
}

func (t *textWriter) findings() {
	all := findings(t.run)
	shown := 0
	for _, f := range all {
		if !f.grave() {
			continue
		}
		if shown == maxFindings {
			break
		}
		fmt.Fprintln(t.w)
		t.finding(f)
		shown++
	}
	rest, others := 0, ""
	for _, f := range all {
		if f.grave() {
			rest++
			continue
		}
		text := f.Cause.Code
		if f.Cause.Detail != "" {
			text += ": " + f.Cause.Detail
		}
		if f.Outcome == Recorded {
			text = f.Cases[0].ID + " = " + f.Hits[0].Result.Value
		}
		others += paint(t.opt, f.Outcome, glyph(f.Outcome)) + clip(VisibleLine(fmt.Sprintf(" %s %s on %s: %s", count(len(f.Cases), "case"), f.Outcome, count(len(f.boards()), "board"), text)), t.opt.Width-1) + "\n"
	}
	if rest > shown {
		fmt.Fprintln(t.w)
		t.line(fmt.Sprintf("  and %s more, see the report", count(rest-shown, "finding")))
	}
	if others != "" {
		fmt.Fprint(t.w, "\n", others)
	}
}

// finding writes one finding: the case, then each board with its cause and
// the line of its log.
func (t *textWriter) finding(f *finding) {
	title := ""
	switch {
	case f.Board:
		title = join(", ", "the board as a whole", f.fate())
	case len(f.Cases) > 1:
		title = count(len(f.Cases), "case") + ", first " + f.Cases[0].ID
	default:
		title = f.Cases[0].ID + "  " + f.Cases[0].Name
	}
	if f.Missing {
		title = "NOT RUN " + title
	}
	head := fmt.Sprintf("%s %s  %s", glyph(f.Outcome), strings.Join(f.boards(), " "), title)
	fmt.Fprintln(t.w, paint(t.opt, f.looks(), clip(VisibleLine(head), t.opt.Width)))
	said := ""
	hits := f.shown()
	for _, h := range hits[:min(len(hits), maxFindings)] {
		if text := h.text(); text != said {
			for _, l := range wrap(text, t.opt.Width-4) {
				t.line("    " + l)
			}
			said = text
		}
		t.logLine(&h)
	}
	if more := len(hits) - maxFindings; more > 0 {
		t.line(fmt.Sprintf("    and on %s more", count(more, "board")))
	}
}

// text is the hit's causes, on one line.
func (h *hit) text() string {
	var parts []string
	for _, c := range h.Causes {
		parts = append(parts, c.String())
	}
	text := strings.Join(parts, "; then ")
	if r := h.Result; r != nil {
		if text == "" {
			text, _, _ = strings.Cut(r.Message, "\n")
		}
		if r.Attempts > 1 {
			text = join(": ", fmt.Sprintf("passed %d of %d attempts", r.PassedAttempts, r.Attempts), text)
		}
	}
	return VisibleLine(shorten(text, 1000))
}

func (t *textWriter) logLine(h *hit) {
	n := h.Line
	if n == 0 || h.Board.SerialLog == "" {
		return
	}
	text := fmt.Sprintf("    %s:%d", h.Board.SerialLog, n)
	if t.opt.Folder != nil {
		if lines, err := t.opt.Folder.LogLines(h.Board, n, n); err == nil && len(lines) == 1 {
			text += "  " + lines[0]
		}
	}
	fmt.Fprintln(t.w, dim(t.opt, clip(VisibleLine(text), t.opt.Width)))
}

func (t *textWriter) foot() {
	run := t.run
	fmt.Fprintln(t.w)
	counts := fmt.Sprintf("%d of %d planned cases executed: %s", run.Executed(), run.Planned(), tally(run.Counts()))
	for _, l := range wrap(counts, t.opt.Width) {
		t.line(l)
	}
	if c := flashCosts(run); c != "" {
		t.line("flash at 115200 baud: " + c)
	}
	if t.opt.Folder != nil {
		// The path stays whole, to be copied.
		fmt.Fprintln(t.w, "report: "+VisibleLine(filepath.Join(t.opt.Folder.Path(), PageFile)))
	}
	v := newVerdict(run)
	o := Errored
	switch run.ExitCode {
	case ExitPassed:
		o = Passed
	case ExitFailed:
		o = Failed
	}
	word := strings.ToUpper(v.Word)
	fmt.Fprintf(t.w, "%s  exit %d: %s\n", bold(t.opt, o, v.Glyph+" "+word), v.Exit, v.Meaning)
}

// wrap breaks text at spaces into lines of at most width columns; a longer
// word gets a line of its own. Zero or less means no limit.
func wrap(text string, width int) []string {
	if width <= 0 || cells(text) <= width {
		return []string{text}
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case cells(line)+1+cells(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
