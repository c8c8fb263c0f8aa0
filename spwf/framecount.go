package spwf

import (
	"bytes"
	"time"
)

var okEnd = []byte("\r\nOK\r\n")

// countedQuiet is the silence after which a short counted reply is looked at
// for a refusal.
const countedQuiet = 100 * time.Millisecond

// countedFrame is the reply to SOCKR: exactly count raw bytes without anything
// before them, then OK. The bytes are never searched: the reply counts when OK
// stands where the count says. Only when it does not, what stands in front is
// looked at: an indication that was already on its way when the command was
// sent, the echo of the command, or a refusal.
type countedFrame struct {
	command string
	count   int
	onWind  func(Indication)

	verdict
	buf    []byte
	data   []byte
	rest   []byte // what came after the reply
	broken bool
	limit  int
}

// maxFront bounds what may stand before counted bytes.
const maxFront = 4 << 10

func newCountedFrame(command string, count int, onWind func(Indication)) *countedFrame {
	return &countedFrame{command: command, count: count, onWind: onWind, limit: count + len(okEnd) + maxFront}
}

func (f *countedFrame) raw() []byte { return f.buf }

func (f *countedFrame) feed(p []byte) (int, bool) {
	take := min(len(p), f.limit-len(f.buf))
	f.buf = append(f.buf, p[:take]...)
	end, winds := f.resolve()
	if end == 0 {
		if len(f.buf) < f.limit {
			return take, false
		}
		f.broken, end = true, len(f.buf)
	}
	for _, w := range winds {
		f.onWind(w)
	}
	f.buf, f.rest = f.buf[:end], f.buf[end:]
	return take, true
}

// resolve returns where the reply ends, 0 while that is not known.
func (f *countedFrame) resolve() (end int, winds []Indication) {
	off := 0
	for {
		rest := f.buf[off:]
		need := f.count + len(okEnd)
		if len(rest) >= need && bytes.Equal(rest[f.count:need], okEnd) {
			f.data = rest[:f.count]
			f.ended, f.ok = true, true
			return off + need, winds
		}
		if len(rest) < need {
			return 0, nil
		}
		n, wind, state := f.front(rest)
		switch state {
		case frontWind:
			winds = append(winds, wind)
			off += n
		case frontSkip:
			off += n
		case frontRefusal:
			f.verdict.line(bytes.Trim(rest[:n], "\r\n"))
			return off + n, winds
		case frontMore:
			return 0, nil
		default:
			f.broken = true
			return len(f.buf), winds
		}
	}
}

type frontState int

const (
	frontNone frontState = iota
	frontMore
	frontWind
	frontSkip
	frontRefusal
)

// front reads one line at the start of p: n bytes with its end.
func (f *countedFrame) front(p []byte) (n int, wind Indication, state frontState) {
	body := bytes.TrimLeft(p, "\r\n")
	lead := len(p) - len(body)
	if !f.known(body) {
		return 0, wind, frontNone
	}
	at := bytes.IndexAny(body[:min(len(body), maxFront)], "\r\n")
	if at < 0 && len(body) < maxFront {
		return 0, wind, frontMore
	}
	if at < 0 {
		return 0, wind, frontNone
	}
	line := body[:at]
	if body[at] == '\r' && at+1 == len(body) && string(line) != f.command {
		return 0, wind, frontMore // its LF is still to come
	}
	if string(line) == f.command {
		// The module echoes the CR alone; what follows is data.
		return lead + at + 1, wind, frontSkip
	}
	if wind, ok := parseIndication(line); ok && bytes.HasPrefix(line, windMark) {
		return lineEnd(p, lead+at), wind, frontWind
	}
	if _, _, ok := parseRefusal(string(line)); ok {
		return lineEnd(p, lead+at), wind, frontRefusal
	}
	return 0, wind, frontNone
}

// known tells whether p begins, as far as it goes, like something that may
// stand before counted bytes.
func (f *countedFrame) known(p []byte) bool {
	for _, mark := range [][]byte{windMark, []byte("ERROR"), []byte(f.command)} {
		n := min(len(mark), len(p))
		if bytes.Equal(p[:n], mark[:n]) {
			return true
		}
	}
	return false
}

func lineEnd(p []byte, at int) int {
	if at+1 < len(p) && p[at] == '\r' && p[at+1] == '\n' {
		return at + 2
	}
	return at + 1
}

func (f *countedFrame) quiet() time.Duration { return countedQuiet }

// idle ends the frame when all that came is a refusal, between indications.
func (f *countedFrame) idle() bool {
	var winds []Indication
	refusal := []byte(nil)
	for rest := f.buf; len(bytes.Trim(rest, "\r\n")) > 0; {
		n, wind, state := f.front(rest)
		switch state {
		case frontWind:
			winds = append(winds, wind)
		case frontRefusal:
			refusal = bytes.Trim(rest[:n], "\r\n")
		case frontSkip:
		default:
			return false
		}
		rest = rest[n:]
	}
	if refusal == nil {
		return false
	}
	for _, w := range winds {
		f.onWind(w)
	}
	return f.verdict.line(refusal)
}
