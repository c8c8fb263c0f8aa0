package spwf

import "bytes"

// MaxLine is how much of one line a Scanner keeps. The rest of a longer line
// is counted and dropped.
const MaxLine = 4096

// Event is one line of the console.
type Event struct {
	// Line is the text without its end. It is valid during the call only.
	Line []byte
	// Dropped counts the bytes of the line beyond MaxLine.
	Dropped int
	// Indication is set when IsIndication is true.
	Indication   Indication
	IsIndication bool
}

// Scanner cuts console bytes into lines and recognises indications. Lines end
// in CR, LF or CR LF; empty lines are passed over. It gives the same events
// however the bytes are cut into chunks, and holds at most MaxLine bytes. The
// zero value is ready for use by one goroutine.
type Scanner struct {
	line    []byte
	dropped int
}

// Feed takes bytes and calls emit for each line that they complete. It stops
// after the line for which emit returns false. It returns how many bytes it
// took; the byte that ended the last line is among them.
func (s *Scanner) Feed(p []byte, emit func(Event) bool) int {
	start := 0
	lf, cr := next(p, 0, '\n'), next(p, 0, '\r')
	for {
		end := min(lf, cr)
		if end == len(p) {
			s.keep(p[start:])
			return len(p)
		}
		line := p[start:end]
		start = end + 1
		if end == lf {
			lf = next(p, start, '\n')
		} else {
			cr = next(p, start, '\r')
		}
		if len(line) == 0 && s.Partial() == 0 {
			continue
		}
		if !emit(s.event(line)) {
			return start
		}
	}
}

// next is the place of b in p from a place on, len(p) without one.
func next(p []byte, from int, b byte) int {
	if at := bytes.IndexByte(p[from:], b); at >= 0 {
		return from + at
	}
	return len(p)
}

// event ends a line whose last part is given. A line that came in one chunk
// is not copied.
func (s *Scanner) event(last []byte) Event {
	ev := Event{Line: last}
	if s.Partial() > 0 || len(last) > MaxLine {
		s.keep(last)
		ev.Line, ev.Dropped = s.line, s.dropped
		s.Discard()
	}
	ev.Indication, ev.IsIndication = parseIndication(ev.Line)
	return ev
}

// Partial is the count of bytes of a line that has not ended yet.
func (s *Scanner) Partial() int { return len(s.line) + s.dropped }

// Discard forgets a line that has not ended.
func (s *Scanner) Discard() { s.line, s.dropped = s.line[:0], 0 }

func (s *Scanner) keep(p []byte) {
	if room := MaxLine - len(s.line); len(p) > room {
		s.dropped += len(p) - room
		p = p[:room]
	}
	s.line = append(s.line, p...)
}
