package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxJUnitText bounds the text of one element: GitLab refuses files over
// 30 MB, and the whole text is in report.json.
const maxJUnitText = 8 << 10

type junitSuites struct {
	XMLName xml.Name `xml:"testsuites"`
	// Name carries executed/planned, which JUnit has no attribute for.
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr,omitempty"`
	Hostname   string          `xml:"hostname,attr,omitempty"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
	SystemOut  string          `xml:"system-out,omitempty"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Classname  string          `xml:"classname,attr"`
	Name       string          `xml:"name,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property,omitempty"`
	Failure    *junitProblem   `xml:"failure"`
	Error      *junitProblem   `xml:"error"`
	Skipped    *junitSkipped   `xml:"skipped"`
	// Flaky is Surefire's element for an attempt that failed before one
	// passed.
	Flaky     []junitProblem `xml:"flakyFailure"`
	SystemOut string         `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

type junitSkipped struct {
	Message string `xml:"message,attr"`
}

// EncodeJUnit writes run as JUnit XML: one suite per board, so that a file
// from many boards stays readable, and names that are unique over the file,
// because GitLab keeps only the first of equal ones. Skipped and recorded
// cases are skipped elements and inconclusive ones are errors: neither may
// count as passed.
func EncodeJUnit(w io.Writer, run *Run) error {
	doc := junitDocument(run)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("write JUnit report of run %s: %w", run.ID, err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitDocument(run *Run) *junitSuites {
	doc := &junitSuites{
		Name: VisibleLine(fmt.Sprintf("hil-runner %s: executed %d of %d planned, %s",
			run.ID, run.Executed(), run.Planned(), run.Verdict)),
		Time: junitSeconds(run.Took()),
	}
	names := make(map[string]int)
	for i := range run.Boards {
		s := junitBoard(run, &run.Boards[i], names)
		doc.Tests += s.Tests
		doc.Failures += s.Failures
		doc.Errors += s.Errors
		doc.Skipped += s.Skipped
		doc.Suites = append(doc.Suites, s)
	}
	return doc
}

func junitBoard(run *Run, b *BoardRun, names map[string]int) junitSuite {
	s := junitSuite{
		Name: VisibleLine(b.Board), Time: junitSeconds(b.Took()), Hostname: VisibleLine(run.Host),
		Properties: junitBoardProperties(run, b), SystemOut: junitLogLink(b),
	}
	if !run.Started.IsZero() {
		s.Timestamp = run.Started.UTC().Format("2006-01-02T15:04:05")
	}
	if b.Outcome != "" && b.Outcome != Passed && len(b.Causes) > 0 {
		s.add(junitBoardCase(b))
	}
	for i := range b.Results {
		c := junitResult(b, &b.Results[i])
		key := c.Classname + "\x00" + c.Name
		if names[key]++; names[key] > 1 {
			c.Name += " #" + strconv.Itoa(names[key])
		}
		s.add(c)
	}
	return s
}

func (s *junitSuite) add(c junitCase) {
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

// junitBoardCase stands for what befell the board as a whole, so that a dead
// board is never an empty suite.
func junitBoardCase(b *BoardRun) junitCase {
	c := junitCase{Classname: "board", Name: VisibleLine("[" + b.Board + "]"), Time: junitSeconds(0)}
	r := Result{Outcome: b.Outcome, Causes: b.Causes}
	r.junitOutcome(&c)
	return c
}

func junitResult(b *BoardRun, r *Result) junitCase {
	class := r.Case.Suite
	if r.Case.Mode != "" {
		class += "." + r.Case.Mode
	}
	if class == "" {
		class = "case"
	}
	c := junitCase{
		Classname: VisibleLine(class),
		Name:      VisibleLine(fmt.Sprintf("%s %s [%s]", shortID(r.Case), r.Case.Name, b.Board)),
		Time:      junitSeconds(r.Duration),
		SystemOut: junitEvidence(b, r),
	}
	for _, p := range []junitProperty{
		{"id", r.Case.ID}, {"outcome", string(r.Outcome)}, {"endpoint_kind", r.EndpointKind},
		{"planned_endpoint_kind", r.Case.EndpointKind}, {"value", r.Value},
		{"labels", strings.Join(r.Case.Labels, ",")},
	} {
		if p.Value != "" {
			c.Properties = append(c.Properties, junitProperty{p.Name, Visible(shorten(p.Value, maxJUnitText))})
		}
	}
	if r.Case.Required {
		c.Properties = append(c.Properties, junitProperty{"required", "true"})
	}
	r.junitOutcome(&c)
	return c
}

// junitOutcome puts the outcome into c.
func (r *Result) junitOutcome(c *junitCase) {
	kind, reason := "", ""
	if len(r.Causes) > 0 {
		kind = r.Causes[0].Code
		reason = r.Causes[0].Code
		if r.Causes[0].Class != "" {
			kind = string(r.Causes[0].Class) + "." + kind
		}
		if d := r.Causes[0].Detail; d != "" {
			reason += ": " + d
		}
	}
	p := junitProblem{
		Message: VisibleLine(shorten(reason, maxJUnitText)), Type: VisibleLine(kind),
		Text: Visible(shorten(r.explain(), maxJUnitText)),
	}
	switch r.Outcome {
	case Failed:
		c.Failure = &p
	case Flaky:
		c.Flaky = []junitProblem{p}
	case Skipped:
		c.Skipped = &junitSkipped{Message: p.Message}
	case Recorded:
		c.Skipped = &junitSkipped{Message: VisibleLine(shorten("recorded, not judged: "+r.Value, maxJUnitText))}
	case Inconclusive:
		p.Message = "inconclusive: " + p.Message
		c.Error = &p
	case Errored:
		c.Error = &p
	}
}

// explain is all causes and the failure text.
func (r *Result) explain() string {
	var lines []string
	for _, c := range r.Causes {
		lines = append(lines, c.String())
	}
	if r.Message != "" {
		lines = append(lines, r.Message)
	}
	if r.Outcome == Flaky {
		lines = append(lines, fmt.Sprintf("passed %d of %d attempts", r.PassedAttempts, r.Attempts))
	}
	return strings.Join(lines, "\n")
}

func junitBoardProperties(run *Run, b *BoardRun) []junitProperty {
	executed := 0
	for i := range b.Results {
		if b.Results[i].Executed() {
			executed++
		}
	}
	props := []junitProperty{
		{"run", run.ID}, {"tool", run.Tool}, {"model", b.Model}, {"port", b.Port}, {"slot", b.Slot},
		{"build", b.Build}, {"virtual", strconv.FormatBool(b.Virtual)}, {"parked", strconv.FormatBool(b.Parked)},
		{"planned", strconv.Itoa(len(b.Results))}, {"executed", strconv.Itoa(executed)},
		{"seed", strconv.FormatUint(run.Seed, 10)},
	}
	if f := b.Flash; f != nil {
		props = append(props, junitProperty{"flash.release", f.Release}, junitProperty{"flash.sha256", f.SHA256},
			junitProperty{"flash.signature", f.Signature}, junitProperty{"flash.strategy", f.Strategy},
			junitProperty{"flash.at_115200_seconds", junitSeconds(f.At115200)})
	}
	kept := props[:0]
	for _, p := range props {
		if p.Value != "" {
			kept = append(kept, junitProperty{p.Name, VisibleLine(p.Value)})
		}
	}
	return kept
}

// junitLogLink names the serial log in the form that GitLab and the Jenkins
// attachments plug-in turn into a link.
func junitLogLink(b *BoardRun) string {
	if p, ok := logPath(b); ok {
		return "[[ATTACHMENT|" + p + "]]"
	}
	return ""
}

func junitEvidence(b *BoardRun, r *Result) string {
	var lines []string
	for _, e := range r.Evidence {
		lines = append(lines, e.Witness+": "+e.Text)
	}
	if p, ok := logPath(b); ok && r.LogLine > 0 {
		lines = append(lines, fmt.Sprintf("%s:%d", p, r.LogLine))
	}
	return Visible(shorten(strings.Join(lines, "\n"), maxJUnitText))
}

func junitSeconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

// shortID is a case's id without the suite and mode that stand beside it,
// parted by a dot or a slash.
func shortID(c Case) string {
	id := c.ID
	for _, word := range []string{c.Suite, c.Mode} {
		for _, sep := range []string{".", "/"} {
			if word != "" {
				id = strings.TrimSuffix(strings.TrimPrefix(id, word+sep), sep+word)
			}
		}
	}
	return id
}
