package hostlab

import (
	"bytes"
	"time"

	"hil-runner/farm"
)

const (
	// dumpLines bounds what is taken as the dump after a fault. It ends when
	// the module says something else, is quiet, or goes on for too long.
	dumpLines = 24
	dumpQuiet = 200 * time.Millisecond
	dumpMost  = time.Second
	// maxWatchedLine is longer than any line of the module's own.
	maxWatchedLine = 1024
)

// openFault is a fault whose dump may go on.
type openFault struct {
	seen  farm.IncidentSeen
	lines int
	since time.Time
}

func newFault(in farm.IncidentSeen) *openFault { return &openFault{seen: in, since: time.Now()} }

// add takes a line of the dump; true is the last one. The noise of the restart
// that follows a fault is none.
func (f *openFault) add(line []byte) bool {
	if bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
		return false
	}
	f.seen.Text += "\n" + string(line)
	f.lines++
	return f.lines >= dumpLines
}

// deadline is when the dump is over if nothing more comes.
func (f *openFault) deadline() time.Time {
	quiet, most := time.Now().Add(dumpQuiet), f.since.Add(dumpMost)
	if most.Before(quiet) {
		return most
	}
	return quiet
}

// lineBuffer splits a stream into lines of bounded length; of a longer one it
// keeps the beginning.
type lineBuffer struct{ buf []byte }

func (l *lineBuffer) reset() { l.buf = l.buf[:0] }

func (l *lineBuffer) feed(p []byte, line func([]byte)) {
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n")
		part := p
		if i >= 0 {
			part = p[:i]
		}
		l.buf = append(l.buf, part[:min(len(part), maxWatchedLine-len(l.buf))]...)
		if i < 0 {
			return
		}
		if len(l.buf) > 0 {
			line(l.buf)
		}
		l.reset()
		p = p[i+1:]
	}
}

// restartCommand finds the one command that restarts the module in what is
// sent to it: AT+CFUN=n, of whatever case. It may stand right behind a payload
// that has no line end, and it may be typed byte by byte.
type restartCommand struct {
	matched int // bytes of cfun, or all of them: waiting for the CR
}

const cfun = "AT+CFUN="

// feed says whether such a command was completed.
func (r *restartCommand) feed(p []byte) (found bool) {
	for _, b := range p {
		upper := b
		if b >= 'a' && b <= 'z' {
			upper = b - ('a' - 'A')
		}
		switch {
		case r.matched == len(cfun):
			found = found || b == '\r'
			if b < '0' || b > '9' {
				r.matched = 0
			}
		case upper == cfun[r.matched]:
			r.matched++
		case upper == cfun[0]:
			r.matched = 1
		default:
			r.matched = 0
		}
	}
	return found
}
