package spwf

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// dirtyQuiet is the silence that a console must keep before the next command
// when the one before it failed.
const dirtyQuiet = 50 * time.Millisecond

// dirtyMax ends the wait for that silence on a console that never is quiet.
const dirtyMax = 2 * time.Second

// request is one command on its way.
type request struct {
	command string // without CR
	// shown is the command as errors may show it; empty means command.
	shown   string
	payload []byte
	// secrets are cut out of everything that an error carries. A secret
	// request is handed to the port as such.
	secret  bool
	secrets []string

	limit  string
	within time.Duration
	// renew starts within anew whenever bytes come.
	renew  bool
	hint   string
	onLine func(string)
}

func (q *request) name() string {
	if q.shown != "" {
		return q.shown
	}
	return q.command
}

// run feeds a frame until it is done. at is when the call began.
func (m *Module) run(ctx context.Context, f frame, q *request) error {
	r := watch(ctx, m.port)
	defer r.release()
	began := time.Now()
	last := began
	limit := began.Add(q.within)
	for {
		until, quiet := limit, f.quiet()
		if quiet > 0 && last.Add(quiet).Before(limit) {
			until = last.Add(quiet)
		} else {
			quiet = 0
		}
		n, err := r.read(m.buf, until)
		switch {
		case err == nil:
			last = time.Now()
			used, done := f.feed(m.buf[:n])
			if done {
				if c, ok := f.(*countedFrame); ok {
					m.between(c.rest)
				}
				m.between(m.buf[used:n])
				return nil
			}
			if q.renew {
				limit = last.Add(q.within)
			}
		case errors.Is(err, errSilent) && quiet > 0:
			if f.idle() {
				return nil
			}
			last = time.Now()
		default:
			m.dirty = true
			if f.quiet() > 0 && f.idle() {
				return nil
			}
			return m.unanswered(ctx, err, f, q, time.Since(began))
		}
	}
}

// unanswered makes the error of a frame that did not end.
func (m *Module) unanswered(ctx context.Context, err error, f frame, q *request, took time.Duration) error {
	if _, opaque := f.(*lineFrame); !opaque {
		if err := m.autopsy(f, q); err != nil {
			return err
		}
	}
	t := &TimeoutError{
		Board: m.opt.Board, Command: q.name(), Limit: q.limit, After: took,
		Got: q.scrub(f.raw()), Hint: q.hint, Err: context.DeadlineExceeded,
	}
	switch {
	case errors.Is(err, errSilent):
		return t
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		t.Limit, t.Err = "context", context.Cause(ctx)
		return t
	}
	return fmt.Errorf("%s%w", where(m.opt.Board, q.name()), err)
}

// autopsy looks for a restart or a fault in the bytes of a reply that is not
// searched while it may still be whole.
func (m *Module) autopsy(f frame, q *request) error {
	switch f.(type) {
	case *countedFrame, *contentFrame:
	default:
		return nil
	}
	var s Scanner
	var t trouble
	s.Feed(f.raw(), func(ev Event) bool {
		switch {
		case ev.IsIndication:
			m.keep(ev.Indication)
			return !t.indication(ev.Indication)
		case t.fault != nil:
			return !t.line(ev.Line)
		}
		return true
	})
	return t.err(m.opt.Board, q.name())
}

// between takes bytes that belong to no command.
func (m *Module) between(p []byte) {
	for len(p) > 0 {
		n := m.scanner.Feed(p, func(ev Event) bool {
			var v verdict
			switch {
			case ev.IsIndication:
				m.keep(ev.Indication)
				if ev.Indication.Fault() {
					m.unreported = &ev.Indication
				}
			case v.line(ev.Line):
				m.strays++
			}
			return true
		})
		p = p[n:]
	}
}

// drain takes what is on its way before a command is sent. A console that is
// dirty must fall silent first; one in the middle of a line gets the time to
// end it.
func (m *Module) drain(ctx context.Context) error {
	r := watch(ctx, m.port)
	defer r.release()
	wait, end := m.opt.Drain, time.Now().Add(dirtyMax)
	if m.dirty {
		wait = max(wait, dirtyQuiet)
	}
	for time.Now().Before(end) {
		w := wait
		if m.scanner.Partial() > 0 {
			w = max(w, dirtyQuiet)
		}
		n, err := r.read(m.buf, time.Now().Add(w))
		if errors.Is(err, errSilent) {
			break
		}
		if err != nil {
			return err
		}
		m.between(m.buf[:n])
	}
	m.scanner.Discard()
	m.dirty = false
	return nil
}

// send writes the command and its payload. The payload follows the CR at
// once: the module gives no prompt.
func (m *Module) send(ctx context.Context, q *request) error {
	if w, ok := m.port.(writeDeadliner); ok {
		limit := time.Now().Add(q.within)
		if d, has := ctx.Deadline(); has && d.Before(limit) {
			limit = d
		}
		if err := w.SetWriteDeadline(limit); err != nil {
			return fmt.Errorf("console: set write deadline: %w", err)
		}
	}
	if len(q.payload) > 0 && !q.secret {
		n, err := m.port.Write(append([]byte(q.command+"\r"), q.payload...))
		if err != nil {
			m.owed = min(len(q.payload), len(q.command)+1+len(q.payload)-n)
		}
		return err
	}
	head := m.port.Write
	if q.secret && len(q.payload) == 0 {
		head = m.writeSecret
	}
	if _, err := head([]byte(q.command + "\r")); err != nil || len(q.payload) == 0 {
		return err
	}
	n, err := m.writeSecret(q.payload)
	m.owed = len(q.payload) - n
	return err
}

func (m *Module) writeSecret(p []byte) (int, error) {
	if w, ok := m.port.(SecretWriter); ok {
		return w.WriteSecret(p)
	}
	return m.port.Write(p)
}

// start readies the console and sends. The caller holds the turn.
func (m *Module) start(ctx context.Context, q *request) error {
	if err := checkCommand(q.command); err != nil {
		return fmt.Errorf("%s%w", where(m.opt.Board, q.name()), err)
	}
	if err := m.drain(ctx); err != nil {
		return fmt.Errorf("%s%w", where(m.opt.Board, q.name()), err)
	}
	if err := m.send(ctx, q); err != nil {
		m.dirty = true
		return fmt.Errorf("%ssend: %w", where(m.opt.Board, q.name()), err)
	}
	return nil
}

// lines sends a command and reads an ordinary reply.
func (m *Module) lines(ctx context.Context, q *request) (Reply, error) {
	if err := m.lock(ctx); err != nil {
		return Reply{}, fmt.Errorf("%s%w", where(m.opt.Board, q.name()), err)
	}
	defer m.unlock()
	return m.linesLocked(ctx, q)
}

func (m *Module) linesLocked(ctx context.Context, q *request) (Reply, error) {
	if q.within == 0 {
		q.limit, q.within = "command", m.opt.Limits.Command
	}
	if err := m.start(ctx, q); err != nil {
		return Reply{}, err
	}
	f := &lineFrame{scanner: &m.scanner, command: q.command, payload: q.payload, onWind: m.keep, onLine: q.onLine}
	if err := m.run(ctx, f, q); err != nil {
		return Reply{}, err
	}
	if err := f.trouble.err(m.opt.Board, q.name()); err != nil {
		m.dirty = true
		return Reply{}, err
	}
	reply := Reply{Lines: f.lines, Raw: f.got.buf, Truncated: f.lost}
	return reply, m.judge(&f.verdict, f.got.buf, q)
}

// judge turns a refusal into its error. The payload of a refused command may
// have reached the command parser, so the console must fall silent next.
func (m *Module) judge(v *verdict, raw []byte, q *request) error {
	if v.ok {
		return nil
	}
	m.dirty = m.dirty || len(q.payload) > 0
	return &CommandError{
		Board: m.opt.Board, Command: q.name(), Code: v.code,
		Text: string(q.scrub([]byte(v.text))), Raw: q.scrub(raw),
	}
}

// checkCommand refuses what would become a second command on the wire.
func checkCommand(command string) error {
	if command == "" || len(command) > MaxLine {
		return fmt.Errorf("%w: a command has 1 to %d characters, this one %d", ErrArgument, MaxLine, len(command))
	}
	if at := strings.IndexFunc(command, func(r rune) bool { return r < ' ' || r == 0x7f }); at >= 0 {
		return fmt.Errorf("%w: control character %q", ErrArgument, command[at])
	}
	return nil
}

// checkField refuses a value that cannot stand between two commas.
func checkField(what, value string) error {
	if value == "" {
		return fmt.Errorf("spwf: %s is empty: %w", what, ErrArgument)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f || r == ',' }) {
		return fmt.Errorf("spwf: %s %q holds a comma or a control character: %w", what, cut(value, 80), ErrArgument)
	}
	return nil
}
