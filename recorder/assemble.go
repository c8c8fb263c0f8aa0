package recorder

import "time"

// maxStarts bounds how many records without a line of their own are remembered
// for one line.
const maxStarts = 4 << 10

// assembler makes lines of the bytes of one way. A line ends in a newline, a
// carriage return, or both.
type assembler struct {
	log         *Renderer
	arrow, more string
	// before is the other way, whose open line is written before a line of
	// this one: what was sent is shown before its answer. It may be nil.
	before *assembler

	raw    []byte // not escaped yet
	text   []byte // escaped, before raw
	hidden int    // bytes redacted between text and raw
	wall   time.Time
	starts []Offset // records whose first byte is on this line
	last   Offset   // the record of the last byte
	broken bool     // the line goes on with one that was written
	cr     bool     // the last byte was a carriage return
}

func (a *assembler) plain(b []byte, from origin) {
	a.begin(from)
	for len(b) > 0 {
		n := 0
		for n < len(b) && !isLineEnd(b[n]) {
			n++
		}
		a.add(b[:n], from)
		if n == len(b) {
			return
		}
		if n > 0 || b[n] == '\r' || !a.cr {
			a.finish(false)
		}
		a.cr = b[n] == '\r'
		b = b[n+1:]
		if len(b) > 0 {
			a.wall = from.wall
		}
	}
}

func (a *assembler) add(b []byte, from origin) {
	for len(b) > 0 {
		a.cr = false
		a.settle()
		n := min(len(b), maxLogLine-len(a.raw)-len(a.text))
		if n <= 0 {
			a.finish(true)
			a.wall = from.wall
			continue
		}
		a.raw = append(a.raw, b[:n]...)
		b = b[n:]
	}
}

func (a *assembler) redacted(n int, from origin) {
	a.begin(from)
	a.cr = false
	a.flat()
	a.hidden += n
}

// begin notes where the line and the record begin.
func (a *assembler) begin(from origin) {
	if a.empty() {
		a.wall = from.wall
	}
	if a.last != from.at && len(a.starts) < maxStarts {
		a.starts = append(a.starts, from.at)
	}
	a.last = from.at
}

func (a *assembler) empty() bool {
	return len(a.raw) == 0 && len(a.text) == 0 && a.hidden == 0
}

// flat moves raw bytes into the escaped text.
func (a *assembler) flat() {
	a.text = AppendEscaped(a.text, a.raw)
	a.raw = a.raw[:0]
}

// settle writes down a redaction before other text follows.
func (a *assembler) settle() {
	if a.hidden > 0 {
		a.text = appendRedacted(a.text, a.hidden)
		a.hidden = 0
	}
}

// finish writes the line; goesOn says that its end is still to come. An empty
// line is not written, and its records count for the next one.
func (a *assembler) finish(goesOn bool) {
	if a.empty() {
		a.broken = a.broken && goesOn
		return
	}
	if a.before != nil {
		a.before.breakOff()
	}
	a.flat()
	a.settle()
	arrow := a.arrow
	if a.broken {
		arrow = a.more
	}
	a.log.line(a.wall, arrow, a.text)
	for _, at := range a.starts {
		a.log.index.add(at, a.log.lines)
	}
	a.text, a.starts, a.broken = a.text[:0], a.starts[:0], goesOn
}

// breakOff writes an unfinished line.
func (a *assembler) breakOff() { a.finish(true) }

// stale breaks off a line whose end does not come, such as a prompt.
func (a *assembler) stale(now time.Time) {
	if !a.empty() && now.Sub(a.wall) > staleAfter {
		a.breakOff()
	}
}
