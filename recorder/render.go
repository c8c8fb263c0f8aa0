package recorder

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// maxLogLine is how much text of a board goes onto one line of the log.
	maxLogLine = 4 << 10
	// maxTyped bounds the secrets that are looked at as one.
	maxTyped = 64 << 10
	// staleAfter is how long a line without an end may stay open.
	staleAfter = time.Second

	logTime = "2006-01-02 15:04:05.000"

	arrowRx   = "<- "
	arrowTx   = "-> "
	moreRx    = "<+ "
	moreTx    = "+> "
	eventMark = "# "
)

// Source gives records in order and then io.EOF: a Reader, or a Cursor behind
// a function.
type Source interface {
	Next() (Record, error)
}

// RenderOptions says how a log is written.
type RenderOptions struct {
	// Secrets are hidden wherever they are shown, beside those that the
	// journal marks.
	Secrets [][]byte
	// Zone is the time zone of the log. Default is the local one.
	Zone *time.Location
}

// Render writes the readable log of a journal:
//
//	2026-11-23 20:44:29.123 -> AT+S.STS
//	2026-11-23 20:44:29.131 <- OK
//	2026-11-23 20:44:30.007 # reset pulse hold_ms=100
//
// One line of the board, or to it, is one line of the log, with the time of its
// first byte and of 4 KiB at most; "<+" and "+>" go on with a line that was
// broken off. Empty lines are left out. Control characters and the like are
// escaped as AppendEscaped does, and secrets are "[redacted 1208 bytes]". Bytes
// that come while BOOT0 selects the boot ROM are only counted. The
// memory in use does not depend on the length of the journal, save for the
// returned index, which takes 16 bytes a record.
func Render(w io.Writer, src Source, opt RenderOptions) (*Index, error) {
	r := NewRenderer(w, opt)
	for {
		rec, err := src.Next()
		if errors.Is(err, io.EOF) {
			return r.Index(), r.End()
		}
		if err != nil {
			// What was read before the damage is worth having.
			return r.Index(), errors.Join(err, r.End())
		}
		if err := r.Record(rec); err != nil {
			return r.Index(), err
		}
	}
}

// Renderer writes the log of Render record by record, for a live view. It is
// for one goroutine.
type Renderer struct {
	w      *bufio.Writer
	zone   *time.Location
	redact *Redactor
	index  Index
	lines  int
	rx, tx side
	out    []byte

	// typed is what was sent as secret without anything else in between: an
	// echo does not keep to the records.
	typed []byte
	grown bool

	// rom is set while the boot ROM speaks.
	rom          bool
	romTx, romRx int
	romWall      time.Time
}

// side is one way of the wire.
type side struct {
	scrub scrubber
	text  assembler
}

// NewRenderer returns a renderer that writes to w.
func NewRenderer(w io.Writer, opt RenderOptions) *Renderer {
	if opt.Zone == nil {
		opt.Zone = time.Local
	}
	r := &Renderer{w: bufio.NewWriterSize(w, 16<<10), zone: opt.Zone, redact: NewRedactor(opt.Secrets...)}
	r.rx.text = assembler{log: r, arrow: arrowRx, more: moreRx, before: &r.tx.text}
	r.tx.text = assembler{log: r, arrow: arrowTx, more: moreTx}
	r.rx.scrub.to, r.tx.scrub.to = &r.rx.text, &r.tx.text
	r.relearn()
	return r
}

// Index maps the records rendered so far to lines.
func (r *Renderer) Index() *Index { return &r.index }

// Record adds one record to the log. Lines appear when they are whole.
func (r *Renderer) Record(rec Record) error {
	from := origin{rec.Offset, rec.Wall}
	r.rx.text.stale(rec.Wall)
	r.tx.text.stale(rec.Wall)
	if r.rom && (rec.Kind == KindRx || rec.Kind == KindTx) {
		r.romBytes(rec)
		return nil
	}
	switch rec.Kind {
	case KindRx:
		r.bytes(&r.rx, rec, from)
	case KindTx:
		r.bytes(&r.tx, rec, from)
	case KindSeal:
	default:
		r.event(rec, from)
	}
	return r.flushed()
}

func (r *Renderer) bytes(s *side, rec Record, from origin) {
	if !rec.Secret {
		r.echo(rec.Kind)
		s.scrub.write(rec.Data, from)
		if n := len(rec.Data); n > 0 && isLineEnd(rec.Data[n-1]) {
			s.scrub.lineEnded()
		}
		return
	}
	s.scrub.end()
	s.text.redacted(len(rec.Data), from)
	if n := len(rec.Data); n > 0 && isLineEnd(rec.Data[n-1]) {
		s.text.plain([]byte{'\n'}, from)
	}
	r.redact.learn(rec.Data)
	r.relearn()
	if len(r.typed)+len(rec.Data) <= maxTyped {
		r.typed, r.grown = append(r.typed, rec.Data...), true
	}
}

// echo gets ready for what may be the echo of secrets sent in pieces.
func (r *Renderer) echo(kind Kind) {
	if kind == KindTx {
		r.typed, r.grown = r.typed[:0], false
	}
	if r.grown {
		r.grown = false
		r.redact.learn(r.typed)
		r.relearn()
	}
}

func (r *Renderer) relearn() {
	a := r.redact.automaton()
	r.rx.scrub.use(a)
	r.tx.scrub.use(a)
}

// event writes a record that is no traffic. One that touches the board's lines
// also breaks off what the board was saying.
func (r *Renderer) event(rec Record, from origin) {
	switch rec.Kind {
	case KindReset, KindPower, KindBoot:
		r.rx.text.breakOff()
		r.tx.text.breakOff()
	}
	if rom, ok := bootROM(rec.Data); ok && rec.Kind == KindBoot {
		r.stretch(rom, from)
	}
	text := []byte(nil)
	if rec.Secret {
		text = appendRedacted(nil, len(rec.Data))
	} else {
		text = AppendEscaped(nil, eventText(r.redact.Redact(rec.Data)))
	}
	head := eventMark + rec.Kind.String()
	if len(text) > 0 {
		head += " "
	}
	r.line(from.wall, head, text)
	r.index.add(from.at, r.lines)
}

// stretch opens or ends a stretch of the boot ROM's bytes.
func (r *Renderer) stretch(opens bool, from origin) {
	if r.rom && r.romTx+r.romRx > 0 {
		r.line(r.romWall, eventMark, fmt.Appendf(nil, "%s ROM: %d bytes sent, %d received", KindBoot, r.romTx, r.romRx))
	}
	r.rom, r.romTx, r.romRx, r.romWall = opens, 0, 0, from.wall
	if opens {
		r.rx.text.breakOff()
		r.tx.text.breakOff()
	}
}

// romBytes counts bytes of the boot ROM's protocol; they are on the line of
// the event before them.
func (r *Renderer) romBytes(rec Record) {
	if rec.Kind == KindTx {
		r.romTx += len(rec.Data)
	} else {
		r.romRx += len(rec.Data)
	}
	r.romWall = rec.Wall
	r.index.add(rec.Offset, r.lines)
}

// line writes one line; text is escaped already.
func (r *Renderer) line(wall time.Time, head string, text []byte) {
	r.lines++
	r.out = wall.In(r.zone).AppendFormat(r.out[:0], logTime)
	r.out = append(r.out, ' ')
	r.out = append(r.out, head...)
	r.out = append(r.out, text...)
	r.out = append(r.out, '\n')
	// An error stays with the writer until the next flush.
	_, _ = r.w.Write(r.out)
}

// flushed reports an error of the writer without a flush at each record.
func (r *Renderer) flushed() error {
	if err := r.redact.Err(); err != nil {
		return err
	}
	_, err := r.w.Write(nil)
	return err
}

// Flush hands all whole lines to the writer.
func (r *Renderer) Flush() error { return r.w.Flush() }

// End writes what is left, whole or not.
func (r *Renderer) End() error {
	r.rx.scrub.end()
	r.rx.text.breakOff()
	r.tx.scrub.end()
	r.tx.text.breakOff()
	r.stretch(false, origin{})
	return r.w.Flush()
}
