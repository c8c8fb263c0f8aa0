package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// finding is one thing that a person must know about a run, with every place
// where it was seen: the same case failing alike on four boards is one
// finding, and so are forty cases that never ran for one reason.
type finding struct {
	Outcome Outcome
	// Board is true for a board as a whole; the cases that went down with it
	// are among the hits.
	Board bool
	// Missing is true for cases that ought to have run and did not.
	Missing bool
	// Cause is the first cause of the first hit.
	Cause Cause
	// Cases are in the order of the plan.
	Cases []Case
	Hits  []hit
}

// hit is a finding on one board in one case.
type hit struct {
	Board *BoardRun
	// Result is nil for a board as a whole.
	Result *Result
	Causes []Cause
	// Line is where serial.log explains the hit, 0 for nowhere.
	Line int
}

// boards lists the ids of the boards hit, each once.
func (f *finding) boards() []string {
	var ids []string
	for _, h := range f.Hits {
		if !slices.Contains(ids, h.Board.Board) {
			ids = append(ids, h.Board.Board)
		}
	}
	return ids
}

// grave says whether the finding wants somebody's attention.
func (f *finding) grave() bool { return f.weight() <= gravity(Flaky) }

// weight orders findings, the gravest first.
func (f *finding) weight() int {
	if f.Missing {
		return gravity(Inconclusive)
	}
	return gravity(f.Outcome)
}

// word is the outcome for a person.
func (f *finding) word() string {
	if f.Missing {
		return "not run"
	}
	return string(f.Outcome)
}

// looks is the outcome whose colours the finding wears.
func (f *finding) looks() Outcome {
	if f.Missing {
		return Errored
	}
	return f.Outcome
}

// shown are the hits to spell out: one per board where a finding has many
// cases.
func (f *finding) shown() []hit {
	if !f.Board && len(f.Cases) <= 1 {
		return f.Hits
	}
	var out []hit
	seen := make(map[string]bool)
	for _, h := range f.Hits {
		if !seen[h.Board.Board] {
			seen[h.Board.Board] = true
			out = append(out, h)
		}
	}
	return out
}

// fate says what became of the cases of a board that was lost as a whole.
func (f *finding) fate() string {
	begun, never := 0, 0
	for _, h := range f.Hits {
		switch {
		case h.Result == nil:
		case h.Result.Executed():
			begun++
		default:
			never++
		}
	}
	var parts []string
	if begun > 0 {
		parts = append(parts, count(begun, "case")+" cut short")
	}
	if never > 0 {
		parts = append(parts, count(never, "case")+" never ran")
	}
	return strings.Join(parts, ", ")
}

// findings gathers all that is not a plain pass, gravest first.
func findings(run *Run) []*finding {
	var all []*finding
	byKey := make(map[string]*finding)
	add := func(key string, o Outcome, h hit) {
		f := byKey[key]
		if f == nil {
			f = &finding{Outcome: o, Board: h.Result == nil, Missing: h.Result != nil && h.Result.missing()}
			if len(h.Causes) > 0 {
				f.Cause = h.Causes[0]
			}
			byKey[key] = f
			all = append(all, f)
		}
		f.Hits = append(f.Hits, h)
		if h.Result != nil && !slices.ContainsFunc(f.Cases, func(c Case) bool { return sameCase(c, h.Result.Case) }) {
			f.Cases = append(f.Cases, h.Result.Case)
		}
	}
	for i := range run.Boards {
		b := &run.Boards[i]
		lost := len(b.Causes) > 0 && b.Outcome != "" && b.Outcome != Passed
		if lost {
			add(boardKey(b), b.Outcome, hit{Board: b, Causes: b.Causes, Line: b.line()})
		}
		for j := range b.Results {
			r := &b.Results[j]
			if r.Outcome == Passed {
				continue
			}
			key := findingKey(b, r)
			if lost && b.tookDown(r) {
				key = boardKey(b)
			}
			add(key, r.Outcome, hit{Board: b, Result: r, Causes: r.Causes, Line: r.LogLine})
		}
	}
	slices.SortStableFunc(all, func(a, b *finding) int { return a.weight() - b.weight() })
	return all
}

func boardKey(b *BoardRun) string { return "board\x00" + b.Board }

// tookDown says whether r ended as it did because the board was lost.
func (b *BoardRun) tookDown(r *Result) bool {
	switch {
	case len(r.Causes) == 0:
		return false
	case r.Outcome == Skipped || r.Outcome == Errored && !r.Executed():
		return r.Causes[0].Code == neverRan
	}
	return r.Outcome == Errored && r.Causes[0].Code == b.Causes[0].Code
}

// line is the line of serial.log that explains the board's first cause: that
// of an incident or of a case with the same cause.
func (b *BoardRun) line() int {
	for _, in := range b.Incidents {
		if in.Code == b.Causes[0].Code && in.LogLine > 0 {
			return in.LogLine
		}
	}
	for i := range b.Results {
		if r := &b.Results[i]; r.LogLine > 0 && b.tookDown(r) {
			return r.LogLine
		}
	}
	return 0
}

// findingKey groups what executed by case, and what did not by its reason.
func findingKey(b *BoardRun, r *Result) string {
	var cause Cause
	if len(r.Causes) > 0 {
		cause = r.Causes[0]
	}
	parts := []string{string(r.Outcome), string(cause.Class), cause.Code}
	switch {
	case r.Executed():
		parts = append(parts, r.Case.Suite, r.Case.ID)
	case r.Outcome == Skipped && cause.Code != neverRan:
		parts = append(parts, cause.Detail, fmt.Sprint(r.missing()))
	default:
		parts = append(parts, b.Board)
	}
	return strings.Join(parts, "\x00")
}

func sameCase(a, b Case) bool { return a.Suite == b.Suite && a.ID == b.ID }

// group is the cases of one suite and mode.
type group struct {
	Suite, Mode string
	Cases       []Case
}

func (g *group) title() string {
	switch {
	case g.Mode == "":
		return g.Suite
	case g.Suite == "":
		return g.Mode
	}
	return g.Suite + " · " + g.Mode
}

// groups gathers the cases of all boards by suite and mode. Their order is
// that of names, with the modes from the weakest to the strongest: suites run
// in an order of their own each time, and a person compares runs.
func groups(run *Run) []*group {
	var all []*group
	byKey := make(map[[2]string]*group)
	seen := make(map[[2]string]bool)
	for i := range run.Boards {
		for j := range run.Boards[i].Results {
			c := run.Boards[i].Results[j].Case
			if seen[[2]string{c.Suite, c.ID}] {
				continue
			}
			seen[[2]string{c.Suite, c.ID}] = true
			key := [2]string{c.Suite, c.Mode}
			g := byKey[key]
			if g == nil {
				g = &group{Suite: c.Suite, Mode: c.Mode}
				byKey[key] = g
				all = append(all, g)
			}
			g.Cases = append(g.Cases, c)
		}
	}
	slices.SortFunc(all, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.Suite, b.Suite), modeRank(a.Mode)-modeRank(b.Mode), cmp.Compare(a.Mode, b.Mode))
	})
	for _, g := range all {
		slices.SortStableFunc(g.Cases, func(a, b Case) int { return cmp.Compare(a.ID, b.ID) })
	}
	return all
}

func modeRank(mode string) int {
	if i := slices.Index([]string{"", "anonymous", "one_way", "mutual"}, mode); i >= 0 {
		return i
	}
	return 4
}

// resultIndex finds a board's result of a case.
type resultIndex map[[2]string]*Result

func indexResults(b *BoardRun) resultIndex {
	ix := make(resultIndex, len(b.Results))
	for i := range b.Results {
		r := &b.Results[i]
		if key := [2]string{r.Case.Suite, r.Case.ID}; ix[key] == nil {
			ix[key] = r
		}
	}
	return ix
}

func (ix resultIndex) of(c Case) *Result { return ix[[2]string{c.Suite, c.ID}] }
