package spwf

import (
	"bytes"
	"time"
)

// maxReply bounds what one reply may keep.
const maxReply = 64 << 10

// maxDump bounds the lines kept after a fault.
const maxDump = 64

// frame takes bytes until its reply is complete. feed returns how many bytes
// it took and whether it is done. When quiet is positive, that much silence
// calls idle, which may end the frame too. raw is what came so far.
type frame interface {
	feed(p []byte) (used int, done bool)
	quiet() time.Duration
	idle() (done bool)
	raw() []byte
}

// verdict is how a command ended.
type verdict struct {
	ended bool
	ok    bool
	text  string // of an ERROR
	code  int
}

func (v *verdict) line(line []byte) bool {
	if bytes.Equal(line, []byte("OK")) {
		v.ended, v.ok = true, true
		return true
	}
	if text, code, refused := parseRefusal(string(line)); refused {
		v.ended, v.text, v.code = true, text, code
		return true
	}
	return false
}

// tail waits for the LF after the CR that completed a line, so that it cannot
// be taken for the first byte of what the module sends next.
type tail struct {
	waiting bool
}

const tailQuiet = 20 * time.Millisecond

func (t *tail) feed(p []byte) int {
	if len(p) > 0 && p[0] == '\n' {
		return 1
	}
	return 0
}

// trouble collects what says that the module, not the command, is at fault.
type trouble struct {
	fault *Indication
	dump  []string
	reset *Indication
}

const troubleQuiet = 300 * time.Millisecond

// indication returns true when the frame has nothing more to wait for.
func (t *trouble) indication(i Indication) bool {
	switch {
	case t.fault != nil:
		return true // the dump ends at the next indication
	case i.Fault():
		t.fault = &i
	case i.Restart():
		t.reset = &i
		return true
	}
	return false
}

func (t *trouble) line(line []byte) bool {
	t.dump = append(t.dump, string(line))
	return len(t.dump) >= maxDump
}

// err gives the typed error, nil without trouble.
func (t *trouble) err(board, command string) error {
	switch {
	case t.fault != nil:
		return &FaultError{Board: board, Command: command, Wind: *t.fault, Dump: t.dump}
	case t.reset != nil:
		return &ResetError{Board: board, Command: command, Wind: *t.reset}
	}
	return nil
}

// capped keeps the first and the last bytes of what is put in: at most
// maxReply, of which the last 2 KiB follow the gap.
type capped struct {
	buf     []byte
	dropped int
}

const cappedTail = 2 << 10

func (c *capped) put(p []byte) {
	for len(p) > 0 {
		room := maxReply - len(c.buf)
		n := min(room, len(p))
		c.buf = append(c.buf, p[:n]...)
		p = p[n:]
		if len(c.buf) == maxReply && len(p) > 0 {
			head := maxReply - 2*cappedTail
			c.dropped += len(c.buf) - head - cappedTail
			copy(c.buf[head:], c.buf[len(c.buf)-cappedTail:])
			c.buf = c.buf[:head+cappedTail]
		}
	}
}

// lineFrame is the ordinary reply: lines up to OK or ERROR. It drops the echo
// of the command and of its payload, and hands indications on.
type lineFrame struct {
	scanner *Scanner
	command string
	payload []byte
	onWind  func(Indication)
	onLine  func(string)

	verdict
	trouble
	tail
	got   capped
	lines []string
	size  int
	lost  bool // lines beyond maxReply
	echo  []byte
}

func (f *lineFrame) raw() []byte { return f.got.buf }

func (f *lineFrame) feed(p []byte) (int, bool) {
	used := 0
	for used < len(p) {
		if f.tail.waiting {
			n := f.tail.feed(p[used:])
			f.got.put(p[used : used+n])
			return used + n, true
		}
		if n := f.skipEcho(p[used:]); n > 0 {
			used += n
			continue
		}
		n := f.scanner.Feed(p[used:], f.event)
		f.got.put(p[used : used+n])
		used += n
	}
	return used, false
}

// skipEcho passes over the payload that a module with local echo prints after
// the command's own echo.
func (f *lineFrame) skipEcho(p []byte) int {
	n := 0
	for n < len(p) && len(f.echo) > 0 {
		if p[n] != f.echo[0] {
			f.echo = nil
			break
		}
		f.echo = f.echo[1:]
		n++
	}
	return n
}

func (f *lineFrame) event(ev Event) bool {
	if ev.IsIndication {
		f.onWind(ev.Indication)
		f.tail.waiting = f.trouble.indication(ev.Indication)
		return !f.tail.waiting
	}
	if f.fault != nil {
		f.tail.waiting = f.trouble.line(ev.Line)
		return !f.tail.waiting
	}
	if f.command != "" && string(ev.Line) == f.command && len(f.lines) == 0 {
		f.command, f.echo = "", f.payload
		return false
	}
	if f.verdict.line(ev.Line) {
		f.tail.waiting = true
		return false
	}
	f.keep(string(ev.Line))
	return true
}

func (f *lineFrame) keep(line string) {
	if f.onLine != nil {
		f.onLine(line)
	}
	if f.size += len(line) + 2; f.size > maxReply {
		f.lost = true
		return
	}
	f.lines = append(f.lines, line)
}

func (f *lineFrame) quiet() time.Duration {
	switch {
	case f.tail.waiting:
		return tailQuiet
	case f.fault != nil:
		return troubleQuiet
	}
	return 0
}

func (f *lineFrame) idle() bool { return f.tail.waiting || f.fault != nil }

// waitFrame waits for one of some indications. Other lines are passed over.
type waitFrame struct {
	scanner *Scanner
	want    []int
	// strict makes a restart that was not asked for an end.
	strict bool
	// onWind keeps an indication; it is not called for the one waited for.
	onWind func(Indication)

	trouble
	tail
	got   capped
	found *Indication
}

func (f *waitFrame) raw() []byte { return f.got.buf }

func (f *waitFrame) feed(p []byte) (int, bool) {
	if f.tail.waiting {
		return f.tail.feed(p), true
	}
	n := f.scanner.Feed(p, f.event)
	f.got.put(p[:n])
	if f.tail.waiting && n < len(p) {
		return n + f.tail.feed(p[n:]), true
	}
	return n, false
}

func (f *waitFrame) event(ev Event) bool {
	if !ev.IsIndication {
		if f.fault != nil {
			f.tail.waiting = f.trouble.line(ev.Line)
		}
		return !f.tail.waiting
	}
	if f.fault == nil && wanted(ev.Indication.ID, f.want) {
		f.found = &ev.Indication
		f.tail.waiting = true
		return false
	}
	f.onWind(ev.Indication)
	stop := f.trouble.indication(ev.Indication)
	if f.reset != nil && !f.strict {
		f.reset, stop = nil, false
	}
	f.tail.waiting = stop
	return !stop
}

func (f *waitFrame) quiet() time.Duration {
	switch {
	case f.tail.waiting:
		return tailQuiet
	case f.fault != nil:
		return troubleQuiet
	}
	return 0
}

func (f *waitFrame) idle() bool { return f.tail.waiting || f.fault != nil }

func wanted(id int, want []int) bool {
	for _, w := range want {
		if w == id {
			return true
		}
	}
	return len(want) == 0
}
