package reports

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

const (
	// maxLogLine is how much of a line of serial.log is shown, in bytes.
	maxLogLine = 4 << 10
	// logHead and logTail are how many lines a log page shows from the start
	// and from the end, logAround how many around each line that the report
	// points at; the bytes of a flashing or a night of chatter would make a
	// page that no browser opens.
	logHead   = 2000
	logTail   = 300
	logAround = 300
	// excerptAround is how many lines the report itself shows before and
	// after the line that it points at.
	excerptAround = 12
)

// mark is a line of a serial log that the report points at.
type mark struct {
	Line    int
	Outcome Outcome
	// Text says why in a few words, Anchor is the place in report.html.
	Text   string
	Anchor string
}

// Glyph and Class are the mark's looks.
func (m mark) Glyph() string { return glyph(m.Outcome) }

// Class is the mark's style class.
func (m mark) Class() string { return class(m.Outcome) }

// logLines are lines of a serial log by number, made Visible.
type logLines map[int]string

// excerpt is one line of a log as a page shows it.
type excerpt struct {
	N     int
	Text  string
	Class string
}

// around gives the lines that are known near line n.
func (l logLines) around(n int) []excerpt {
	var out []excerpt
	for i := max(1, n-excerptAround); i <= n+excerptAround; i++ {
		if text, ok := l[i]; ok {
			e := excerpt{N: i, Text: text, Class: lineClass(text)}
			if i == n {
				e.Class += " at"
			}
			out = append(out, e)
		}
	}
	return out
}

// eachLine calls f with the number and the visible text of every line of r,
// until f says false.
func eachLine(r io.Reader, f func(n int, text string) bool) error {
	in := bufio.NewReaderSize(r, maxLogLine)
	for n := 1; ; n++ {
		part, err := in.ReadSlice('\n')
		if len(part) == 0 && err == io.EOF {
			return nil
		}
		text := strings.TrimSuffix(string(part), "\n")
		left := 0
		for errors.Is(err, bufio.ErrBufferFull) {
			part, err = in.ReadSlice('\n')
			left += len(bytes.TrimSuffix(part, []byte("\n")))
		}
		if left > 0 {
			text = fmt.Sprintf("%s [%d bytes more]", text, left)
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("read serial log: %w", err)
		}
		if !f(n, Visible(strings.TrimSuffix(text, "\r"))) {
			return nil
		}
	}
}

// renderLogPage writes a serial log as a page on which every line has an
// anchor #L<n>, and gives the lines around the marks.
func renderLogPage(w io.Writer, log io.Reader, run *Run, b *BoardRun, marks []mark) (logLines, error) {
	marks = slices.Clone(marks)
	slices.SortStableFunc(marks, func(a, b mark) int { return a.Line - b.Line })
	view := struct {
		Run   *Run
		Board *BoardRun
		Marks []mark // to jump to: passes are marked in the text only
		CSS   template.CSS
		CSP   string
	}{run, b, slices.DeleteFunc(slices.Clone(marks), func(m mark) bool { return m.Outcome == Passed }), styleSheet, contentPolicy()}
	t, err := pages()
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriter(w)
	if err := t.ExecuteTemplate(out, "loghead", view); err != nil {
		return nil, fmt.Errorf("log page of board %s: %w", VisibleLine(b.Board), err)
	}
	lines, err := writeLines(out, log, marks)
	if err != nil {
		return nil, fmt.Errorf("log page of board %s: %w", VisibleLine(b.Board), err)
	}
	if _, err := io.WriteString(out, "</pre>\n</body>\n</html>\n"); err != nil {
		return nil, err
	}
	return lines, out.Flush()
}

// writeLines writes the lines of a log with their anchors. marks are sorted.
func writeLines(out *bufio.Writer, log io.Reader, marks []mark) (logLines, error) {
	lines := make(logLines)
	next, hidden := 0, 0     // next: the first mark whose surroundings are not past
	var tail [logTail]string // the last lines that were not shown, by number
	last := 0
	err := eachLine(log, func(n int, text string) bool {
		for next < len(marks) && marks[next].Line+logAround < n {
			next++
		}
		var here *mark
		shown := n <= logHead
		for i := next; i < len(marks) && marks[i].Line-logAround <= n; i++ {
			shown = true
			m := &marks[i]
			if m.Line == n && here == nil {
				here = m
			}
			if n >= m.Line-excerptAround && n <= m.Line+excerptAround {
				lines[n] = text
			}
		}
		last = n
		if !shown {
			tail[n%logTail] = text
			hidden++
			return true
		}
		writeGap(out, &hidden)
		writeLine(out, n, text, here)
		return true
	})
	kept := min(hidden, logTail)
	hidden -= kept
	writeGap(out, &hidden)
	for n := last - kept + 1; n <= last; n++ {
		writeLine(out, n, tail[n%logTail], nil)
	}
	return lines, err
}

func writeGap(out *bufio.Writer, hidden *int) {
	if *hidden > 0 {
		fmt.Fprintf(out, "<span class=\"gap\">%d lines are left out here; they are in serial.log</span>\n", *hidden)
		*hidden = 0
	}
}

// writeLine writes one line. Errors stay in out until Flush.
func writeLine(out *bufio.Writer, n int, text string, m *mark) {
	cls := lineClass(text)
	switch {
	case m == nil:
	case m.Outcome == Passed:
		cls += " " + m.Class()
	default:
		cls += " at " + m.Class()
	}
	fmt.Fprintf(out, `<span class="l %s" id="L%d"><a href="#L%d">%d</a>%s`, cls, n, n, n, template.HTMLEscapeString(text))
	if m != nil {
		fmt.Fprintf(out, ` <a class="back" href="../../%s#%s">%s %s</a>`, PageFile,
			template.HTMLEscapeString(m.Anchor), m.Glyph(), template.HTMLEscapeString(m.Text))
	}
	out.WriteString("</span>\n")
}

// lineClass tells sent, received and event lines apart by the mark that
// follows the date and time in a log of recorder.Render.
func lineClass(text string) string {
	fields := strings.SplitN(text, " ", 4)
	if len(fields) < 3 {
		return "rx"
	}
	switch fields[2] {
	case "->", "+>":
		return "tx"
	case "#":
		return "ev"
	}
	return "rx"
}
