package console

import (
	"bytes"
	"regexp"
)

// maxLine is how much of a line is kept and matched. A longer line, which no
// module sends but noise may hold, is matched on its first bytes.
const maxLine = 4 << 10

// Pattern is something to look for in the lines of a board.
type Pattern struct {
	// Name says in a Match which pattern it was.
	Name string
	// Expr is matched against one line without its line end.
	Expr *regexp.Regexp
}

// Match is a line that a pattern matches. It is valid during the call that it
// is given to.
type Match struct {
	Pattern Pattern
	// Line is the line without its line end.
	Line []byte
	// Groups are the whole match and then the groups of the expression; nil
	// for a group that took no part.
	Groups [][]byte
	// End counts the bytes fed before the line after this one.
	End int64
}

// Matcher looks for patterns in a stream of bytes, line by line, a line being
// what ends in a newline. Each byte is looked at once, however the stream is
// cut into pieces, and texts that a pattern requires are looked for before the
// pattern is tried, so that noise costs little. It is for one goroutine.
type Matcher struct {
	patterns []watched
	needles  []needle
	every    bool // some pattern has no required text

	line []byte // an unfinished line, at most maxLine
	fed  int64
}

type watched struct {
	Pattern
	required [][]byte
}

// needle is a required text and where it is next.
type needle struct {
	text []byte
	at   int
}

// NewMatcher returns a matcher for patterns. All patterns that match a line
// are reported, in the order given here.
func NewMatcher(patterns ...Pattern) *Matcher {
	m := &Matcher{}
	seen := map[string]bool{}
	for _, p := range patterns {
		w := watched{Pattern: p}
		for _, text := range requiredLiterals(p.Expr.String()) {
			w.required = append(w.required, []byte(text))
			if !seen[text] {
				seen[text] = true
				m.needles = append(m.needles, needle{text: []byte(text)})
			}
		}
		m.every = m.every || w.required == nil
		m.patterns = append(m.patterns, w)
	}
	return m
}

// Reset forgets an unfinished line, as after a gap in the stream.
func (m *Matcher) Reset() { m.line = m.line[:0] }

// Feed looks at the next bytes and calls found for each match, in order.
func (m *Matcher) Feed(p []byte, found func(Match)) {
	if len(m.line) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			m.keep(p)
			return
		}
		m.keep(p[:i])
		m.fed++
		m.try(m.line, found)
		m.line = m.line[:0]
		p = p[i+1:]
	}
	i := bytes.LastIndexByte(p, '\n')
	m.lines(p[:i+1], found)
	m.keep(p[i+1:])
}

// keep adds to the unfinished line.
func (m *Matcher) keep(p []byte) {
	m.fed += int64(len(p))
	m.line = append(m.line, p[:min(len(p), maxLine-len(m.line))]...)
}

// lines looks at whole lines.
func (m *Matcher) lines(p []byte, found func(Match)) {
	for i := range m.needles {
		m.needles[i].at = -1
	}
	start := m.fed
	for at := 0; at < len(p); {
		if !m.every {
			hit := m.nextHit(p, at)
			if hit < 0 {
				break
			}
			at += bytes.LastIndexByte(p[at:hit], '\n') + 1
		}
		n := bytes.IndexByte(p[at:], '\n')
		m.fed = start + int64(at+n+1)
		m.try(p[at:at+min(n, maxLine)], found)
		at += n + 1
	}
	m.fed = start + int64(len(p))
}

// nextHit returns where the next required text is; negative if there is none.
func (m *Matcher) nextHit(p []byte, from int) int {
	hit := -1
	for i := range m.needles {
		n := &m.needles[i]
		if n.at < from {
			n.at = len(p)
			if k := bytes.Index(p[from:], n.text); k >= 0 {
				n.at = from + k
			}
		}
		if n.at < len(p) && (hit < 0 || n.at < hit) {
			hit = n.at
		}
	}
	return hit
}

// try matches one line.
func (m *Matcher) try(line []byte, found func(Match)) {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	for i := range m.patterns {
		w := &m.patterns[i]
		if !w.possible(line) {
			continue
		}
		loc := w.Expr.FindSubmatchIndex(line)
		if loc == nil {
			continue
		}
		groups := make([][]byte, len(loc)/2)
		for g := range groups {
			if loc[2*g] >= 0 {
				groups[g] = line[loc[2*g]:loc[2*g+1]]
			}
		}
		found(Match{Pattern: w.Pattern, Line: line, Groups: groups, End: m.fed})
	}
}

func (w *watched) possible(line []byte) bool {
	if w.required == nil {
		return true
	}
	for _, text := range w.required {
		if bytes.Contains(line, text) {
			return true
		}
	}
	return false
}
