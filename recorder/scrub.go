package recorder

import "time"

// maxBreaks is how many line ends in a row may break a secret. More of them
// are not held back.
const maxBreaks = 8

// origin is where bytes come from.
type origin struct {
	at   Offset
	wall time.Time
}

// scrubbed takes a stream without secrets.
type scrubbed interface {
	plain(b []byte, from origin)
	redacted(n int, from origin)
}

// scrubber hides secrets in a stream of bytes. It holds back only bytes that
// may be the begin of a secret.
type scrubber struct {
	to     scrubbed
	a      *automaton
	state  int32
	held   []heldByte
	head   int // held before it is passed on already
	solid  int // held from head on that are no line ends
	breaks int // line ends since the last other byte

	hidden int // bytes of a secret passed and not reported yet
	from   origin
}

type heldByte struct {
	b      byte
	secret bool
	from   origin
}

// use changes the secrets. What is held back is looked at again.
func (s *scrubber) use(a *automaton) {
	if s.a == a {
		return
	}
	held := s.held[s.head:]
	s.a, s.state, s.held, s.head, s.solid, s.breaks = a, 0, nil, 0, 0, 0
	for _, h := range held {
		s.step(h)
	}
}

func (s *scrubber) write(b []byte, from origin) {
	for len(b) > 0 {
		if n := s.clean(b); n > 0 {
			s.report()
			s.to.plain(b[:n], from)
			b = b[n:]
			continue
		}
		s.step(heldByte{b: b[0], from: from})
		b = b[1:]
	}
}

// clean counts bytes that can be passed on without a look at each.
func (s *scrubber) clean(b []byte) int {
	if s.state != 0 || len(s.held) > s.head {
		return 0
	}
	for i, c := range b {
		if s.a.root[c] != 0 {
			return i
		}
	}
	return len(b)
}

func (s *scrubber) step(h heldByte) {
	s.held = append(s.held, h)
	if isLineEnd(h.b) {
		if s.breaks++; s.breaks > maxBreaks {
			s.state = 0
		}
		s.release()
		return
	}
	s.breaks = 0
	s.solid++
	s.state = s.a.next(s.state, h.b)
	if n := s.a.nodes[s.state].match; n > 0 {
		s.mark(int(n))
	}
	s.release()
}

// mark makes the last n bytes, and the line ends between them, a secret.
func (s *scrubber) mark(n int) {
	for i := len(s.held) - 1; i >= s.head && n > 0; i-- {
		s.held[i].secret = true
		if !isLineEnd(s.held[i].b) {
			n--
		}
	}
}

// release passes on what can no longer become part of a secret.
func (s *scrubber) release() {
	keep := int(s.a.nodes[s.state].depth)
	for s.head < len(s.held) && (s.solid > keep || keep == 0) {
		h := s.held[s.head]
		s.head++
		if !isLineEnd(h.b) {
			s.solid--
		}
		s.pass(h)
	}
	if s.head > len(s.held)/2 {
		s.held = s.held[:copy(s.held, s.held[s.head:])]
		s.head = 0
	}
}

func (s *scrubber) pass(h heldByte) {
	if h.secret {
		if s.hidden == 0 {
			s.from = h.from
		}
		s.hidden++
		return
	}
	s.report()
	s.to.plain([]byte{h.b}, h.from)
}

// report tells of a secret that has ended.
func (s *scrubber) report() {
	if s.hidden > 0 {
		n := s.hidden
		s.hidden = 0
		s.to.redacted(n, s.from)
	}
}

// lineEnded is called behind a line that is whole. A few bytes that might be
// the begin of a secret are passed on then, so that the log shows a command
// before its answer: a secret that is typed has no line end in it, and one
// that is broken over lines is known by each of its lines.
func (s *scrubber) lineEnded() {
	if s.solid < minPart {
		s.state, s.breaks = 0, 0
		s.release()
	}
}

// end passes on all that is held back: nothing follows.
func (s *scrubber) end() {
	s.state, s.breaks = 0, 0
	s.release()
	s.report()
}
