package reports

import (
	"fmt"
	"strings"
)

const (
	// maxPageText bounds a failure text on the page; report.json has it all.
	maxPageText = 4 << 10
	// maxHits bounds the places that one finding shows.
	maxHits = 64
	// maxHead is the longest column head of the matrix, in characters.
	maxHead = 16
)

type findingView struct {
	Anchor, Class, Glyph, Word string
	// Title is the case, or what stands for many cases; Name is its text,
	// Fate what became of the cases of a lost board.
	Title, Name, Fate string
	Code              string
	// Detail is shown once when all hits share it.
	Detail string
	Cases  []string // ids, when there are several
	Hits   []hitView
	// Bare are the hits that have nothing to tell but their boards.
	Bare   []hitView
	More   int
	Boards string
}

type hitView struct {
	Board, BoardHref string
	Detail           string
	Later            []string // causes after the first
	Attempts         string
	Where            string // "serial.log:412"
	Href             string
	Line             string // the text of that line
	Excerpt          []excerpt
	Message          string
	Value            string
	Evidence         []Evidence
	Endpoint         string
}

// Bare says whether the hit has nothing to tell but its board.
func (h hitView) Bare() bool {
	return h.Detail == "" && h.Attempts == "" && h.Where == "" && h.Value == "" && !h.More()
}

// More says whether there is something to unfold.
func (h hitView) More() bool {
	return len(h.Excerpt) > 0 || h.Message != "" || len(h.Evidence) > 0 || len(h.Later) > 0
}

func (p *page) findingView(n int, f *finding) findingView {
	v := findingView{
		Anchor: findingAnchor(n), Class: class(f.looks()), Glyph: glyph(f.Outcome), Word: f.word(),
		Code: VisibleLine(f.Cause.Code),
	}
	if f.Cause.Class != "" {
		v.Code = VisibleLine(string(f.Cause.Class) + ": " + f.Cause.Code)
	}
	if f.Board || len(f.Cases) > 1 {
		for _, c := range f.Cases {
			v.Cases = append(v.Cases, VisibleLine(c.ID))
		}
	}
	switch {
	case f.Board:
		v.Title, v.Name, v.Fate = VisibleLine(f.Hits[0].Board.Board), "the board as a whole", f.fate()
	case len(f.Cases) > 1:
		v.Title = count(len(f.Cases), "case")
	default:
		v.Title, v.Name = VisibleLine(f.Cases[0].ID), VisibleLine(f.Cases[0].Name)
	}
	if d, shared := f.sharedDetail(); shared {
		v.Detail = Visible(shorten(d, maxPageText))
	}
	hits := f.shown()
	shown := hits[:min(len(hits), maxHits)]
	for _, h := range shown {
		if hv := p.hitView(h, v.Detail != ""); hv.Bare() {
			v.Bare = append(v.Bare, hv)
		} else {
			v.Hits = append(v.Hits, hv)
		}
	}
	v.More = len(hits) - len(shown)
	v.Boards = count(len(f.boards()), "board")
	return v
}

// sharedDetail is the detail of the first cause, if every hit tells the same.
func (f *finding) sharedDetail() (string, bool) {
	for _, h := range f.shown() {
		if len(h.Causes) == 0 || h.Causes[0].Detail != f.Cause.Detail {
			return "", false
		}
	}
	return f.Cause.Detail, f.Cause.Detail != ""
}

func (p *page) hitView(h hit, shared bool) hitView {
	i := p.boardIndex(h.Board)
	v := hitView{Board: VisibleLine(h.Board.Board), BoardHref: "#" + boardAnchor(i)}
	for n, c := range h.Causes {
		switch {
		case n > 0:
			v.Later = append(v.Later, Visible(shorten(c.String(), maxPageText)))
		case !shared:
			v.Detail = Visible(shorten(c.Detail, maxPageText))
		}
	}
	if h.Line > 0 {
		v.Where = fmt.Sprintf("%s:%d", logName, h.Line)
		v.Href = p.logHref(i, h.Line)
		v.Line = p.logs[i][h.Line]
		v.Excerpt = p.logs[i].around(h.Line)
	}
	r := h.Result
	if r == nil {
		return v
	}
	v.Message = Visible(shorten(r.Message, maxPageText))
	v.Value = Visible(shorten(r.Value, maxPageText))
	v.Endpoint = VisibleLine(r.EndpointKind)
	if r.Attempts > 1 {
		v.Attempts = fmt.Sprintf("passed %d of %d attempts", r.PassedAttempts, r.Attempts)
	}
	for _, e := range r.Evidence {
		v.Evidence = append(v.Evidence, Evidence{VisibleLine(e.Witness), Visible(shorten(e.Text, maxPageText))})
	}
	return v
}

func (p *page) boardIndex(b *BoardRun) int {
	for i := range p.run.Boards {
		if &p.run.Boards[i] == b {
			return i
		}
	}
	return 0
}

// groupViews lays out the matrix; where says where a result is explained.
func groupViews(run *Run, where map[*Result]string) []groupView {
	index := make([]resultIndex, len(run.Boards))
	for i := range run.Boards {
		index[i] = indexResults(&run.Boards[i])
	}
	var all []groupView
	for _, g := range groups(run) {
		v := groupView{Title: VisibleLine(g.title())}
		v.Rows = make([]rowView, len(run.Boards))
		for i := range run.Boards {
			v.Rows[i] = rowView{Board: VisibleLine(run.Boards[i].Board), Href: "#" + boardAnchor(i)}
			v.Columns = append(v.Columns, v.Rows[i].Board)
		}
		total := make(map[Outcome]int)
		for _, c := range g.Cases {
			cv := newCaseView(c)
			sum := make(map[Outcome]int)
			for i := range run.Boards {
				r := index[i].of(c)
				cell := newCellView(&run.Boards[i], c, r, where[r])
				v.Rows[i].Cells = append(v.Rows[i].Cells, cell)
				cv.Cells = append(cv.Cells, cell)
				if r != nil {
					sum[r.Outcome]++
					total[r.Outcome]++
				}
			}
			cv.Sum = tally(sum)
			v.Cases = append(v.Cases, cv)
		}
		v.Totals, v.Chips = tally(total), chips(total)
		all = append(all, v)
	}
	return all
}

// headClass is the style class for the longest column head, the same for all
// groups, so that their rows stand side by side.
func headClass(groups []groupView) string {
	longest := 0
	for _, g := range groups {
		for _, c := range g.Cases {
			longest = max(longest, cells(c.Short))
		}
	}
	switch {
	case longest <= 3:
		return "flat"
	case longest <= 7:
		return "low"
	case longest <= 12:
		return "middling"
	}
	return "high"
}

func newCaseView(c Case) caseView {
	return caseView{
		Short: clip(VisibleLine(shortID(c)), maxHead), ID: VisibleLine(c.ID), Name: VisibleLine(c.Name),
		Kind: VisibleLine(c.EndpointKind), Required: c.Required,
	}
}

func newCellView(b *BoardRun, c Case, r *Result, href string) cellView {
	if r == nil {
		return cellView{Class: "none", Title: VisibleLine(b.Board + ": " + c.ID + " was not planned")}
	}
	v := cellView{Class: class(r.Outcome), Glyph: glyph(r.Outcome), Href: href}
	if r.missing() {
		v.Class = "lost"
	}
	if r.Executed() {
		v.Time = human(r.Duration)
	}
	parts := []string{b.Board, c.ID, c.Name, string(r.Outcome)}
	if len(r.Causes) > 0 {
		parts = append(parts, r.Causes[0].Code)
	}
	if v.Time != "" {
		parts = append(parts, v.Time)
	}
	if r.EndpointKind != "" && c.EndpointKind != "" && r.EndpointKind != c.EndpointKind {
		parts = append(parts, fmt.Sprintf("planned against %s, met %s", c.EndpointKind, r.EndpointKind))
	}
	v.Title = VisibleLine(strings.Join(parts, " · "))
	return v
}
