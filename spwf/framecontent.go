package spwf

import (
	"bytes"
	"time"
)

// contentFrame is a reply whose middle is free: an HTTP answer, a file, a
// list of networks whose names others chose. It may hold anything, OK lines
// included, so it ends with OK or ERROR followed by silence.
type contentFrame struct {
	command string
	onWind  func(Indication)
	// trailer makes a reply that lacks the three 0x1A of an HTTP answer wait
	// longer, since a slow peer's body may pause after anything.
	trailer bool
	silence time.Duration

	verdict
	got  capped
	body []byte
}

func (f *contentFrame) raw() []byte { return f.got.buf }

func (f *contentFrame) feed(p []byte) (int, bool) {
	f.got.put(p)
	return len(p), false
}

func (f *contentFrame) quiet() time.Duration {
	end, _, ok := f.end()
	if !ok {
		return 0
	}
	if f.trailer && bytes.HasPrefix(f.front(f.got.buf[:end], nil), []byte("HTTP/")) && !bytes.HasSuffix(f.got.buf[:end], httpTrailer) {
		return 10 * f.silence
	}
	return f.silence
}

func (f *contentFrame) idle() bool {
	end, last, ok := f.end()
	if !ok || !f.verdict.line(last) {
		return false
	}
	f.body = f.front(f.got.buf[:end], f.onWind)
	f.after(f.got.buf[end:])
	return true
}

// end finds the closing line: the last one that is not an indication.
func (f *contentFrame) end() (at int, last []byte, ok bool) {
	p := f.got.buf
	for tries := 0; tries < 64; tries++ {
		if !bytes.HasSuffix(p, []byte("\r\n")) {
			return 0, nil, false
		}
		inner := p[:len(p)-2]
		start := bytes.LastIndex(inner[max(0, len(inner)-512):], []byte("\r\n"))
		if start < 0 {
			return 0, nil, false
		}
		start += max(0, len(inner)-512)
		line := inner[start+2:]
		if _, isWind := parseIndication(line); isWind {
			p = p[:start]
			continue
		}
		var v verdict
		return start, line, v.line(line)
	}
	return 0, nil, false
}

// front cuts indications and the echo from the start of the reply.
func (f *contentFrame) front(p []byte, onWind func(Indication)) []byte {
	for {
		body := bytes.TrimLeft(p, "\r\n")
		at := bytes.IndexByte(body[:min(len(body), maxFront)], '\r')
		if at < 0 {
			return p
		}
		wind, ok := parseIndication(body[:at])
		switch {
		case ok:
			if onWind != nil {
				onWind(wind)
			}
			p = body[lineEnd(body, at):]
		case f.command != "" && string(body[:at]) == f.command:
			p = body[at+1:]
		default:
			return p
		}
	}
}

// after hands on the indications that were held until the reply was over.
func (f *contentFrame) after(p []byte) {
	var s Scanner
	s.Feed(p, func(ev Event) bool {
		if ev.IsIndication {
			f.onWind(ev.Indication)
		}
		return true
	})
}
