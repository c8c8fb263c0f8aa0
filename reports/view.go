package reports

import (
	"fmt"
	"html/template"
	"path"
	"slices"
	"strings"
	"time"
)

// The views are what the page shows, in its order: every string in them has
// been through Visible, and the template escapes them all again for HTML.

type pageView struct {
	Title    string
	CSS      template.CSS
	CSP      string
	Verdict  verdictView
	Run      *Run
	Facts    []fact
	Chips    []chip
	Notes    []string
	Groups   []groupView
	Heads    string // how high the column heads of the matrix are
	Grave    []findingView
	Other    []findingView
	Boards   []boardView
	Flashed  bool
	Costs    string
	Peers    []peerView
	Proved   string
	Upsets   []incidentView
	Detailed bool // a column per board in the table of all cases
	Planned  int
	Executed int
}

type verdictView struct {
	Class, Glyph, Word, Meaning string
	Exit                        int
}

type fact struct{ Name, Value string }

type chip struct {
	Class, Glyph, Word string
	N                  int
}

type groupView struct {
	Title   string
	Cases   []caseView
	Rows    []rowView
	Totals  string
	Chips   []chip
	Columns []string
}

type caseView struct {
	Short, ID, Name, Kind string
	Required              bool
	Cells                 []cellView // by board
	Sum                   string
}

type rowView struct {
	Board, Href string
	Cells       []cellView
}

type cellView struct {
	Class, Glyph, Title, Href, Time string
}

type boardView struct {
	Anchor, ID, Title, Class, Glyph, Model, Port, Build, Log string
	Virtual, Parked                                          bool
	Flash                                                    *flashView
	Counts                                                   string
	Chips                                                    []chip
}

type flashView struct {
	Release, Build, Signature, SHA256, Strategy, Took, Pages, Written, Read, Wire, Cost, Trouble string
}

type peerView struct{ Kind, Name, Engine, Detail string }

type incidentView struct {
	Board, At, Code, Text, Case, Href string
	Line                              int
}

func (p *page) view() *pageView {
	run := p.run
	v := &pageView{
		Title: VisibleLine("hil-runner " + run.ID), CSS: styleSheet, CSP: contentPolicy(),
		Verdict: newVerdict(run), Run: run, Facts: facts(run), Chips: chips(run.Counts()),
		Planned: run.Planned(), Executed: run.Executed(), Detailed: len(run.Boards) <= 8,
		Costs: flashCosts(run), Proved: provedKinds(run),
	}
	for _, n := range run.Notes {
		v.Notes = append(v.Notes, Visible(n))
	}
	where := make(map[*Result]string)
	for n, f := range p.findings {
		view := p.findingView(n, f)
		if f.grave() {
			v.Grave = append(v.Grave, view)
		} else {
			v.Other = append(v.Other, view)
		}
		for _, h := range f.Hits {
			if h.Result != nil {
				where[h.Result] = "#" + view.Anchor
			}
		}
	}
	for i := range run.Boards { // a pass is explained by its place in the log
		for j := range run.Boards[i].Results {
			if r := &run.Boards[i].Results[j]; where[r] == "" && r.LogLine > 0 {
				where[r] = p.logHref(i, r.LogLine)
			}
		}
	}
	v.Groups = groupViews(run, where)
	v.Heads = headClass(v.Groups)
	for i := range run.Boards {
		v.Boards = append(v.Boards, p.boardView(i))
		v.Flashed = v.Flashed || run.Boards[i].Flash != nil
		v.Upsets = append(v.Upsets, p.incidents(i)...)
	}
	for _, e := range run.Endpoints {
		v.Peers = append(v.Peers, peerView{VisibleLine(e.Kind), VisibleLine(e.Name), VisibleLine(e.Engine), VisibleLine(e.Detail)})
	}
	return v
}

func newVerdict(run *Run) verdictView {
	v := verdictView{Word: VisibleLine(strings.ReplaceAll(run.Verdict, "_", " ")), Exit: run.ExitCode, Meaning: ExitMeaning(run.ExitCode)}
	switch run.ExitCode {
	case ExitPassed:
		v.Class, v.Glyph = class(Passed), glyph(Passed)
	case ExitFailed:
		v.Class, v.Glyph = class(Failed), glyph(Failed)
	default:
		v.Class, v.Glyph = class(Errored), glyph(Errored)
	}
	if v.Word == "" {
		v.Word = v.Meaning
	}
	if run.Interrupted != "" {
		v.Meaning += " by " + VisibleLine(run.Interrupted)
	}
	return v
}

func facts(run *Run) []fact {
	all := []fact{
		{"run", run.ID},
		{"started", clock(run.Started)},
		{"took", human(run.Took())},
		{"lab", run.Lab},
		{"host", run.Host},
		{"owner", run.Owner},
		{"firmware", run.Release},
	}
	if run.Took() == 0 {
		all[2].Value = ""
	}
	return slices.DeleteFunc(mapFacts(all), func(f fact) bool { return f.Value == "" })
}

func mapFacts(all []fact) []fact {
	for i := range all {
		all[i].Value = VisibleLine(all[i].Value)
	}
	return all
}

func chips(n map[Outcome]int) []chip {
	var all []chip
	for _, o := range Outcomes() {
		if n[o] > 0 {
			all = append(all, chip{class(o), glyph(o), plural(o, n[o]), n[o]})
		}
	}
	return all
}

// flashCosts says what the flashing of the run would have taken on real boards.
func flashCosts(run *Run) string {
	var longest, sum time.Duration
	n := 0
	for _, b := range run.Boards {
		if b.Flash != nil && b.Flash.At115200 > 0 {
			longest = max(longest, b.Flash.At115200)
			sum += b.Flash.At115200
			n++
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return human(longest)
	}
	return fmt.Sprintf("%s side by side, %s one after another", human(longest), human(sum))
}

// provedKinds counts what kind of peer the cases really met.
func provedKinds(run *Run) string {
	n := make(map[string]int)
	var kinds []string
	for _, b := range run.Boards {
		for _, r := range b.Results {
			if r.EndpointKind == "" {
				continue
			}
			if n[r.EndpointKind]++; n[r.EndpointKind] == 1 {
				kinds = append(kinds, r.EndpointKind)
			}
		}
	}
	slices.Sort(kinds)
	var parts []string
	for _, k := range kinds {
		parts = append(parts, fmt.Sprintf("%s by %s", VisibleLine(k), count(n[k], "case")))
	}
	return strings.Join(parts, ", ")
}

func (p *page) boardView(i int) boardView {
	b := &p.run.Boards[i]
	worst := b.Worst()
	v := boardView{
		Anchor: boardAnchor(i), ID: VisibleLine(b.Board), Class: class(worst), Glyph: glyph(worst),
		Model: VisibleLine(b.Model), Port: VisibleLine(path.Base(b.Port)), Build: VisibleLine(b.Build),
		Virtual: b.Virtual, Parked: b.Parked, Log: p.logHref(i, 0),
	}
	n := make(map[Outcome]int)
	for _, r := range b.Results {
		n[r.Outcome]++
	}
	v.Counts, v.Chips = tally(n), chips(n)
	title := []string{b.Board, b.Model, b.Port}
	if b.Slot != "" {
		title = append(title, "slot "+b.Slot)
	}
	for _, k := range sortedKeys(b.Tags) {
		title = append(title, k+"="+b.Tags[k])
	}
	v.Title = VisibleLine(strings.Join(append(title, "busy for "+human(b.Took())), " · "))
	if f := b.Flash; f != nil {
		v.Flash = newFlashView(b, f)
	}
	return v
}

func newFlashView(b *BoardRun, f *Flash) *flashView {
	v := &flashView{
		Release: VisibleLine(f.Release), Build: VisibleLine(f.Build), Signature: VisibleLine(f.Signature),
		SHA256: VisibleLine(f.SHA256), Strategy: VisibleLine(f.Strategy), Took: human(f.Duration),
		Pages: fmt.Sprint(f.PagesErased), Written: bytesText(f.BytesWritten), Read: bytesText(f.BytesRead),
		Wire: bytesText(f.WireBytes), Cost: human(f.At115200),
	}
	var trouble []string
	for _, c := range f.Causes {
		if len(b.Causes) > 0 {
			c.Detail = "" // the board's own finding has it in full
		}
		if text := VisibleLine(shorten(c.String(), 160)); !slices.Contains(trouble, text) {
			trouble = append(trouble, text)
		}
	}
	if f.Attempts > 1 {
		trouble = append(trouble, fmt.Sprintf("%d attempts", f.Attempts))
	}
	v.Trouble = strings.Join(trouble, "; ")
	return v
}

func (p *page) incidents(i int) []incidentView {
	b := &p.run.Boards[i]
	var all []incidentView
	for _, in := range b.Incidents {
		all = append(all, incidentView{
			Board: VisibleLine(b.Board), At: clockOnly(in.At), Code: VisibleLine(in.Code), Text: Visible(in.Text),
			Case: VisibleLine(in.CaseID), Href: p.logHref(i, in.LogLine), Line: in.LogLine,
		})
	}
	return all
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("Mon 2006-01-02 15:04:05 -07:00")
}

func clockOnly(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("15:04:05.000")
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
