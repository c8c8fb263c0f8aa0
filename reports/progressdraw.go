package reports

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// block is the lines of the terminal: as many boards as fit, those at work
// before those that ended, and a last line for all.
func (p *Progress) block(at time.Time) []string {
	shown := p.boards
	if room := max(1, p.opt.Height-2); len(shown) > room {
		shown = slices.Clone(shown)
		slices.SortStableFunc(shown, func(a, b *boardProgress) int { return a.rank() - b.rank() })
		shown = shown[:room]
	}
	width := 0
	for _, b := range shown {
		width = max(width, min(cells(VisibleLine(b.id)), 20))
	}
	lines := make([]string, 0, len(shown)+1)
	for _, b := range shown {
		lines = append(lines, p.boardLine(b, width))
	}
	return append(lines, p.lastLine(at, len(p.boards)-len(shown)))
}

// rank puts boards at work first, then troubled, waiting and good ones.
func (b *boardProgress) rank() int {
	switch {
	case b.ended == "" && b.phase != "wait":
		return 0
	case b.ended != "" && gravity(b.ended) <= gravity(Inconclusive):
		return 1
	case b.ended == "":
		return 2
	}
	return 3
}

func (p *Progress) boardLine(b *boardProgress, idWidth int) string {
	opt := TextOptions{Color: p.opt.Color}
	id := pad(clip(VisibleLine(b.id), idWidth), idWidth, false, false)
	mark, outcome := "▸", Recorded
	switch {
	case b.ended != "":
		mark, outcome = glyph(b.ended), b.ended
	case b.phase == "wait":
		mark, outcome = "·", Skipped
	}
	// Everything after the mark is cut at one column less than the width:
	// some terminals wrap as soon as the last column is written.
	rest := id + p.what(b)
	return paint(opt, outcome, mark) + " " + clip(rest, p.opt.Width-3)
}

// what is the state of a board in words.
func (p *Progress) what(b *boardProgress) string {
	counts := glyphTally(b.counts)
	if b.ended != "" {
		return join("  ", string(b.ended), VisibleLine(b.note), counts)
	}
	phase := clip(VisibleLine(b.phase), 12)
	phase += strings.Repeat(" ", 12-cells(phase))
	bar, share := "", ""
	if b.total > 0 {
		done := min(max(b.done, 0), b.total)
		full := done * barCells / b.total
		bar = strings.Repeat("█", full) + strings.Repeat("░", barCells-full)
		share = fmt.Sprintf("%3d%%", done*100/b.total)
		if b.unit == "" {
			share = fmt.Sprintf("%d/%d", done, b.total)
		}
	}
	return join("  ", phase, bar, share, counts, VisibleLine(b.current))
}

func (p *Progress) lastLine(at time.Time, hidden int) string {
	total := make(map[Outcome]int)
	ended := 0
	for _, b := range p.boards {
		for o, n := range b.counts {
			total[o] += n
		}
		if b.ended != "" {
			ended++
		}
	}
	parts := []string{human(at.Sub(p.start).Truncate(100 * time.Millisecond)), fmt.Sprintf("%d/%d boards done", ended, len(p.boards))}
	if len(total) > 0 {
		parts = append(parts, tally(total))
	}
	if hidden > 0 {
		parts = append(parts, fmt.Sprintf("%d not shown", hidden))
	}
	return dim(TextOptions{Color: p.opt.Color}, clip("  "+strings.Join(parts, " · "), p.opt.Width-1))
}

// join puts sep between the parts that are not empty.
func join(sep string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), sep)
}
