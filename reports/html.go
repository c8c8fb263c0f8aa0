package reports

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"path"
	"sync"
)

//go:embed page.gohtml log.gohtml
var pageFiles embed.FS

//go:embed style.css
var styleText string

// styleSheet is the one style element of every page. Its hash is in the
// policy, so it must reach the page unchanged: hence this type.
var styleSheet = template.CSS(styleText)

// pages parses the templates when the first report is written.
var pages = sync.OnceValues(func() (*template.Template, error) {
	return template.New("pages").Funcs(template.FuncMap{"visible": VisibleLine}).ParseFS(pageFiles, "*.gohtml")
})

// contentPolicy lets a page do nothing but show itself in its own style: no
// script, no request, no form, whatever a device managed to say.
func contentPolicy() string {
	sum := sha256.Sum256([]byte(styleText))
	return fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'",
		base64.StdEncoding.EncodeToString(sum[:]))
}

// EncodePage writes run as one page without its serial logs; Folder.Save
// writes it with the lines around every finding.
func EncodePage(w io.Writer, run *Run) error { return newPage(run).write(w) }

// page is report.html in the making.
type page struct {
	run      *Run
	findings []*finding
	// logs are the lines near every mark, by index of the board.
	logs []logLines
}

func newPage(run *Run) *page {
	return &page{run: run, findings: findings(run), logs: make([]logLines, len(run.Boards))}
}

func (p *page) write(w io.Writer) error {
	t, err := pages()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	if err := t.ExecuteTemplate(out, "page.gohtml", p.view()); err != nil {
		return fmt.Errorf("page of run %s: %w", VisibleLine(p.run.ID), err)
	}
	return out.Flush()
}

// marks are the lines of board i's serial log that the page points at.
func (p *page) marks(i int) []mark {
	b := &p.run.Boards[i]
	var all []mark
	for n, f := range p.findings {
		for _, h := range f.Hits {
			if h.Board == b && h.Line > 0 {
				text := f.Cause.Code
				if h.Result != nil {
					text = h.Result.Case.ID
				}
				all = append(all, mark{h.Line, f.Outcome, VisibleLine(text), findingAnchor(n)})
			}
		}
	}
	for j := range b.Results { // a pass may have its line too
		if r := &b.Results[j]; r.Outcome == Passed && r.LogLine > 0 {
			all = append(all, mark{r.LogLine, Passed, VisibleLine(r.Case.ID), "cases"})
		}
	}
	for _, in := range b.Incidents {
		if in.LogLine > 0 {
			all = append(all, mark{in.LogLine, Errored, VisibleLine(in.Code), "incidents"})
		}
	}
	return all
}

// logHref is the address of a line of a board's log page, relative to the
// report; empty when there is no such page.
func (p *page) logHref(i, line int) string {
	name, ok := logPath(&p.run.Boards[i])
	if !ok || p.logs[i] == nil {
		return ""
	}
	href := path.Join(path.Dir(name), logPage)
	if line > 0 {
		href += fmt.Sprintf("#L%d", line)
	}
	return href
}

func findingAnchor(n int) string { return fmt.Sprintf("f%d", n+1) }

func boardAnchor(i int) string { return fmt.Sprintf("b%d", i+1) }

// class is the style class of an outcome.
func class(o Outcome) string {
	switch o {
	case Passed, Flaky, Failed, Inconclusive, Skipped, Recorded:
		return string(o)
	case Errored:
		return "errored"
	}
	return "none"
}
