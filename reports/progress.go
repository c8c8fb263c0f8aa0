package reports

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// redrawEvery is the shortest time between two drawings of the block of
// lines, so that a burst of events costs the terminal nothing.
const redrawEvery = 80 * time.Millisecond

// barCells is the length of a progress bar.
const barCells = 16

// ProgressOptions say where progress is shown.
type ProgressOptions struct {
	// Terminal draws one line per board in place; otherwise lines are only
	// added.
	Terminal bool
	// Width and Height are the terminal's size, 0 for 80 by 24.
	Width, Height int
	Color         bool
	// Now is the clock, nil for time.Now.
	Now func() time.Time
}

// Progress shows how a run goes on while it goes on. It owns no goroutine:
// every call draws what is due and returns. It is safe for concurrent use,
// and a writer that fails, such as a closed pipe, is left alone from then on.
type Progress struct {
	mu      sync.Mutex
	w       io.Writer
	opt     ProgressOptions
	start   time.Time
	boards  []*boardProgress
	drawn   int // lines of the block on the terminal
	last    time.Time
	stopped bool
	err     error
}

type boardProgress struct {
	id      string
	phase   string
	done    int
	total   int
	unit    string // "" for cases, "%" for a share
	current string
	counts  map[Outcome]int
	ended   Outcome
	note    string
}

// NewProgress begins to show the boards, in the given order.
func NewProgress(w io.Writer, boards []string, opt ProgressOptions) *Progress {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Width <= 0 {
		opt.Width = 80
	}
	if opt.Height <= 0 {
		opt.Height = 24
	}
	p := &Progress{w: w, opt: opt, start: opt.Now()}
	for _, id := range boards {
		p.board(id)
	}
	return p
}

// Phase says what a board is busy with, such as "flash 3.0.0", and how far it
// is: done of total, both 0 where nobody knows.
func (p *Progress) Phase(board, phase string, done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.board(board)
	changed := b.phase != phase
	b.phase, b.done, b.total, b.unit, b.current = phase, done, total, "%", ""
	if changed && !p.opt.Terminal {
		p.plain(b, phase)
	}
	p.draw(changed)
}

// Plan says how many cases the board has before it.
func (p *Progress) Plan(board string, cases int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.board(board)
	b.phase, b.done, b.total, b.unit, b.current = "run", 0, cases, "", ""
	if !p.opt.Terminal {
		p.plain(b, "run "+count(cases, "case"))
	}
	p.draw(true)
}

// Case says which case the board is at.
func (p *Progress) Case(board string, c Case) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.board(board).current = c.ID
	p.draw(false)
}

// Result counts a case that ended. One that did not pass is told at once,
// where lines are only added.
func (p *Progress) Result(board string, r Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.board(board)
	b.done++
	b.current = ""
	b.counts[r.Outcome]++
	if !p.opt.Terminal && gravity(r.Outcome) <= gravity(Flaky) {
		p.plain(b, fmt.Sprintf("%s %s %s%s", glyph(r.Outcome), r.Outcome, r.Case.ID, because(r.Causes)))
	}
	p.draw(false)
}

// End says how a board ended, with a reason where there is one.
func (p *Progress) End(board string, o Outcome, causes []Cause) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.board(board)
	b.ended, b.current, b.note = o, "", ""
	if len(causes) > 0 {
		b.note = causes[0].String()
	}
	if !p.opt.Terminal {
		text := string(o) + because(causes)
		if len(b.counts) > 0 {
			text += ", " + tally(b.counts)
		}
		p.plain(b, glyph(o)+" "+text)
	}
	p.draw(true)
}

// Note shows a line about no board in particular; on a terminal it stays
// above the boards.
func (p *Progress) Note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	var out bytes.Buffer
	p.wipe(&out)
	fmt.Fprintln(&out, VisibleLine(text))
	p.put(out.Bytes())
	p.draw(true)
}

// Resize says that the terminal has another size now.
func (p *Progress) Resize(width, height int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if width > 0 && height > 0 {
		p.opt.Width, p.opt.Height = width, height
		p.draw(true)
	}
}

// Tick draws what is due by the clock; calling it each second keeps the
// elapsed time true. Plain lines need none.
func (p *Progress) Tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draw(false)
}

// Stop takes the block of lines from the terminal, so that a summary may
// follow, and gives the first error of the writer. Later calls show nothing.
func (p *Progress) Stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped {
		var out bytes.Buffer
		p.wipe(&out)
		p.put(out.Bytes())
		p.stopped = true
	}
	return p.err
}

func (p *Progress) board(id string) *boardProgress {
	for _, b := range p.boards {
		if b.id == id {
			return b
		}
	}
	b := &boardProgress{id: id, phase: "wait", counts: make(map[Outcome]int)}
	p.boards = append(p.boards, b)
	return b
}

func (p *Progress) plain(b *boardProgress, text string) {
	if p.stopped {
		return
	}
	p.put([]byte(fmt.Sprintf("%8s  %s  %s\n", human(p.opt.Now().Sub(p.start)), VisibleLine(b.id), VisibleLine(text))))
}

func (p *Progress) put(text []byte) {
	if p.err == nil && len(text) > 0 {
		_, p.err = p.w.Write(text)
	}
}

// wipe moves to the start of the block and clears it (ECMA-48 CPL and ED).
func (p *Progress) wipe(out *bytes.Buffer) {
	if p.drawn > 0 {
		fmt.Fprintf(out, "\x1b[%dF\x1b[J", p.drawn)
		p.drawn = 0
	}
}

// draw redraws the block if it is due or must be now.
func (p *Progress) draw(now bool) {
	if !p.opt.Terminal || p.stopped {
		return
	}
	at := p.opt.Now()
	if !now && at.Sub(p.last) < redrawEvery {
		return
	}
	p.last = at
	lines := p.block(at)
	var out bytes.Buffer
	if p.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dF", p.drawn)
	}
	for _, l := range lines {
		out.WriteString(l + "\x1b[K\n")
	}
	if p.drawn > len(lines) {
		out.WriteString("\x1b[J")
	}
	p.drawn = len(lines)
	p.put(out.Bytes())
}

// because is the first cause as ": cause", empty without one.
func because(causes []Cause) string {
	if len(causes) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(causes[0].String())
}
