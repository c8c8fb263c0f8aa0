package spwf

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// escapeSequence leaves data mode (the value of escape_seq, without CR).
const escapeSequence = "at+s."

// Listen starts the socket server (SOCKD=port,proto,ind). WIND 61 tells of a
// client, 62 of its end, 64 of data that waits.
func (m *Module) Listen(ctx context.Context, port int, proto Proto) error {
	if port < 1 || port > 65535 || proto == TLS {
		return fmt.Errorf("spwf: socket server on port %d, protocol %s: %w", port, proto, ErrArgument)
	}
	_, err := m.Do(ctx, fmt.Sprintf("AT+S.SOCKD=%d,%s,ind", port, proto))
	return err
}

// StopListening ends the socket server (SOCKD=0).
func (m *Module) StopListening(ctx context.Context) error {
	_, err := m.Do(ctx, "AT+S.SOCKD=0")
	return err
}

// DataMode is the console as a pipe to the client of the socket server. While
// it is open, other calls of the Module wait; Leave must be called.
type DataMode struct {
	m    *Module
	rest []byte
	done bool
}

// EnterDataMode turns the console into a pipe to the client (AT+S.). The
// module answers WIND 60, or refuses with ReasonNoDataMode.
func (m *Module) EnterDataMode(ctx context.Context) (*DataMode, error) {
	q := &request{command: "AT+S.", limit: "command", within: m.opt.Limits.Command}
	if err := m.lock(ctx); err != nil {
		return nil, fmt.Errorf("%s%w", where(m.opt.Board, q.name()), err)
	}
	d, err := m.enter(ctx, q)
	if err != nil {
		m.unlock()
	}
	return d, err
}

func (m *Module) enter(ctx context.Context, q *request) (*DataMode, error) {
	if err := m.start(ctx, q); err != nil {
		return nil, err
	}
	f := &enterFrame{lineFrame: lineFrame{scanner: &m.scanner, command: q.command}}
	f.onWind = func(i Indication) {
		f.entered = f.entered || i.ID == WindDataMode
		m.keep(i)
	}
	if err := m.run(ctx, f, q); err != nil {
		return nil, err
	}
	if err := f.trouble.err(m.opt.Board, q.name()); err != nil {
		return nil, err
	}
	if !f.entered {
		if err := m.judge(&f.verdict, f.got.buf, q); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%sOK instead of +WIND:60: %w", where(m.opt.Board, q.name()), ErrReply)
	}
	return &DataMode{m: m, rest: f.data}, nil
}

// enterFrame is the reply to AT+S.: WIND 60, or a refusal. What follows 60 is
// the client's data.
type enterFrame struct {
	lineFrame
	entered bool
	data    []byte
}

// feed goes byte by byte, so that nothing of the data is taken for a line.
func (f *enterFrame) feed(p []byte) (int, bool) {
	for n := range p {
		if f.entered {
			used := n + f.tail.feed(p[n:])
			f.data = append([]byte(nil), p[used:]...)
			return len(p), true
		}
		if used, done := f.lineFrame.feed(p[n : n+1]); done {
			return n + used, true
		}
		f.tail.waiting = f.tail.waiting || f.entered
	}
	return len(p), false
}

// Write sends bytes to the client. Bytes that spell the escape sequence in one
// write would end data mode.
func (d *DataMode) Write(ctx context.Context, p []byte) (int, error) {
	if d.done {
		return 0, fmt.Errorf("spwf: data mode was left: %w", ErrArgument)
	}
	if err := ctx.Err(); err != nil {
		return 0, context.Cause(ctx)
	}
	return d.m.port.Write(p)
}

// Read returns bytes as the console prints them: the client's, and between
// them any indication of the module, which cannot be told apart safely.
func (d *DataMode) Read(ctx context.Context, p []byte) (int, error) {
	if d.done {
		return 0, fmt.Errorf("spwf: data mode was left: %w", ErrArgument)
	}
	if len(d.rest) > 0 {
		n := copy(p, d.rest)
		d.rest = d.rest[n:]
		return n, nil
	}
	r := watch(ctx, d.m.port)
	defer r.release()
	n, err := r.read(p, time.Now().Add(forever))
	if err != nil {
		return 0, fmt.Errorf("%s%w", where(d.m.opt.Board, "data mode"), err)
	}
	return n, nil
}

// Leave sends the escape sequence and waits for WIND 59. It returns the bytes
// that came before it and were not read. The console is given back to other
// calls whatever it returns.
func (d *DataMode) Leave(ctx context.Context) ([]byte, error) {
	if d.done {
		return nil, nil
	}
	m := d.m
	d.done = true
	defer m.unlock()
	m.scanner.Discard()
	if _, err := m.port.Write([]byte(escapeSequence)); err != nil {
		m.dirty = true
		return d.rest, fmt.Errorf("%ssend: %w", where(m.opt.Board, escapeSequence), err)
	}
	q := &request{command: escapeSequence, limit: "command", within: m.opt.Limits.Command}
	f := &leaveFrame{}
	f.got.put(d.rest)
	err := m.run(ctx, f, q)
	if err != nil {
		return f.data, err
	}
	m.between(f.after)
	return f.data, m.judge(&f.verdict, f.got.buf, q)
}

var leftMark = []byte("\r\n+WIND:59:")

// leaveFrame waits for WIND 59 or a refusal behind data of any kind. The mark
// counts when its line is the last one of the data.
type leaveFrame struct {
	verdict
	got   capped
	data  []byte
	after []byte
}

func (f *leaveFrame) raw() []byte { return f.got.buf }

func (f *leaveFrame) feed(p []byte) (int, bool) {
	f.got.put(p)
	return len(p), false
}

func (f *leaveFrame) quiet() time.Duration {
	if f.split() {
		return countedQuiet
	}
	return 0
}

func (f *leaveFrame) idle() bool {
	return f.split()
}

// split finds the last mark; only whole lines of the module may follow it.
func (f *leaveFrame) split() bool {
	p := f.got.buf
	if at := bytes.LastIndex(p, leftMark); at >= 0 {
		if end := bytes.Index(p[at+2:], []byte("\r\n")); end >= 0 {
			f.data, f.after = p[:at], p[at+2+end+2:]
			f.ended, f.ok = true, true
			return true
		}
		return false
	}
	if bytes.HasSuffix(p, []byte("\r\n")) {
		at := bytes.LastIndex(p[:len(p)-2], []byte("\r\nERROR"))
		if at >= 0 && f.verdict.line(bytes.Trim(p[at:], "\r\n")) {
			f.data = p[:at]
			return true
		}
	}
	return false
}
