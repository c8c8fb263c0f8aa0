package spwf

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Reply is what came before the OK of a command.
type Reply struct {
	// Lines are the lines without indications and echo, their leading blanks
	// kept.
	Lines []string
	// Raw is all that came, indications included. At most 64 KiB are kept.
	// It may hold credentials that the command asked for.
	Raw []byte
	// Truncated is true when Lines lacks the end of a reply over 64 KiB.
	Truncated bool
}

// Do sends one command without its CR and waits for OK. Its errors are
// CommandError, TimeoutError, ResetError, FaultError, or the port's own.
// Values of variables that hold keys never show in them. After a TimeoutError
// call Sync, or Recover for a command with a payload, before the next command.
func (m *Module) Do(ctx context.Context, command string) (Reply, error) {
	return m.lines(ctx, ordinary(command))
}

// DoPayload sends a command that already declares its length, and the payload
// right after the CR. A secret payload shows in no error.
func (m *Module) DoPayload(ctx context.Context, command string, payload []byte, secret bool) (Reply, error) {
	q := ordinary(command)
	q.payload, q.secret = payload, q.secret || secret
	return m.lines(ctx, q)
}

// DoSized appends ",length" to command in the dialect of Options.Lengths and
// sends the payload.
func (m *Module) DoSized(ctx context.Context, command string, payload []byte, secret bool) (Reply, error) {
	n := len(payload)
	if m.opt.Lengths == LengthMinusOne && n > 0 {
		n--
	}
	return m.DoPayload(ctx, command+","+strconv.Itoa(n), payload, secret)
}

// ordinary makes the request of a command and finds the credentials in it.
func ordinary(command string) *request {
	q := &request{command: command}
	upper := strings.ToUpper(command)
	value := -1
	switch {
	case strings.HasPrefix(upper, "AT+S.SCFG="):
		name := strings.ToLower(command[len("AT+S.SCFG="):])
		for _, key := range secretKeys {
			if strings.HasPrefix(name, key) {
				value = strings.IndexByte(command, ',')
			}
		}
	case strings.HasPrefix(upper, "AT+S.HTTPPOST="):
		if parts := strings.SplitN(command, ",", 3); len(parts) == 3 {
			value = len(parts[0]) + 1 + len(parts[1])
		}
	}
	if value >= 0 && value+1 < len(command) {
		hidden := command[value+1:]
		q.secret, q.secrets = true, []string{hidden}
		q.shown = command[:value+1] + redacted(len(hidden))
	}
	return q
}

// At sends AT, which a console in order answers with OK.
func (m *Module) At(ctx context.Context) error {
	_, err := m.Do(ctx, "AT")
	return err
}

// Sync brings the driver and the console back into step after a call that
// failed: it lets the console fall silent and repeats AT, each time for at
// most a second, until one OK came that no other OK or ERROR follows. It gives
// up with the last error when Limits.Command is over.
func (m *Module) Sync(ctx context.Context) error {
	if err := m.lock(ctx); err != nil {
		return fmt.Errorf("%s%w", where(m.opt.Board, "AT"), err)
	}
	defer m.unlock()
	return m.syncLocked(ctx)
}

func (m *Module) syncLocked(ctx context.Context) error {
	for end := time.Now().Add(m.opt.Limits.Command); ; {
		err := m.inStep(ctx)
		var silent *TimeoutError
		var refused *CommandError
		again := errors.As(err, &silent) || errors.As(err, &refused) || errors.Is(err, ErrOutOfStep)
		if !again || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
	}
}

// inStep sends one AT and looks whether anything but its OK comes.
func (m *Module) inStep(ctx context.Context) error {
	m.dirty = true
	if _, err := m.linesLocked(ctx, &request{command: "AT", limit: "command", within: time.Second}); err != nil {
		return err
	}
	before := m.strays
	m.dirty = true
	if err := m.drain(ctx); err != nil {
		return fmt.Errorf("%s%w", where(m.opt.Board, "AT"), err)
	}
	if m.strays > before {
		return fmt.Errorf("%s%w", where(m.opt.Board, "AT"), ErrOutOfStep)
	}
	return nil
}

// Recover gets a console back that eats commands because a payload command
// declared more bytes than were sent, or that is in data mode. It sends the
// missing bytes when it knows their count, then the escape sequence, then
// repeats AT up to 4 KiB. What a half-sent SOCKW swallows of this goes to the
// peer of that socket: close it afterwards. ErrWedged means that only a reset
// of the module helps.
func (m *Module) Recover(ctx context.Context) error {
	if err := m.lock(ctx); err != nil {
		return fmt.Errorf("%s%w", where(m.opt.Board, "recover"), err)
	}
	defer m.unlock()
	if m.owed > 0 {
		if _, err := m.port.Write([]byte(strings.Repeat("\n", m.owed))); err != nil {
			return fmt.Errorf("%ssend: %w", where(m.opt.Board, "recover"), err)
		}
		m.owed = 0
	}
	if m.tryAt(ctx) == nil {
		return nil
	}
	if _, err := m.port.Write([]byte(escapeSequence)); err != nil {
		return fmt.Errorf("%ssend: %w", where(m.opt.Board, "recover"), err)
	}
	// The blank lines are ignored by a console in order.
	filler := strings.Repeat("\r", 252) + "AT\r"
	for sent := 0; sent < 4<<10; sent += len(filler) {
		if m.tryAt(ctx) == nil {
			return m.syncLocked(ctx)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s%w", where(m.opt.Board, "recover"), context.Cause(ctx))
		}
		if _, err := m.port.Write([]byte(filler)); err != nil {
			return fmt.Errorf("%ssend: %w", where(m.opt.Board, "recover"), err)
		}
	}
	return fmt.Errorf("%s%w", where(m.opt.Board, "recover"), ErrWedged)
}

func (m *Module) tryAt(ctx context.Context) error {
	m.dirty = true
	_, err := m.linesLocked(ctx, &request{command: "AT", limit: "command", within: 250 * time.Millisecond})
	return err
}

// WaitIndication gives the first indication with one of the ids (any, when
// none is named), from those kept or as it comes. The others stay for
// Indications. It ends at ctx alone; a fault of the module that is not waited
// for ends it with a FaultError.
func (m *Module) WaitIndication(ctx context.Context, ids ...int) (Indication, error) {
	q := &request{shown: waitName(ids), limit: "context", within: forever}
	return m.wait(ctx, q, false, ids)
}

// forever is longer than any call; such calls end at their context.
const forever = 10 * 365 * 24 * time.Hour

func waitName(ids []int) string {
	if len(ids) == 0 {
		return "wait for +WIND"
	}
	names := make([]string, len(ids))
	for n, id := range ids {
		names[n] = strconv.Itoa(id)
	}
	return "wait for +WIND:" + strings.Join(names, "|")
}

func (m *Module) wait(ctx context.Context, q *request, strict bool, ids []int) (Indication, error) {
	if err := m.lock(ctx); err != nil {
		return Indication{}, fmt.Errorf("%s%w", where(m.opt.Board, q.name()), err)
	}
	defer m.unlock()
	return m.waitLocked(ctx, q, strict, ids)
}

func (m *Module) waitLocked(ctx context.Context, q *request, strict bool, ids []int) (Indication, error) {
	if i, ok := m.take(ids); ok {
		return i, nil
	}
	if fault := m.unreported; fault != nil {
		m.unreported = nil
		return Indication{}, &FaultError{Board: m.opt.Board, Command: q.name(), Wind: *fault}
	}
	f := &waitFrame{scanner: &m.scanner, want: ids, strict: strict, onWind: m.keep}
	dirty := m.dirty
	if err := m.run(ctx, f, q); err != nil {
		m.dirty = dirty // waiting leaves nothing open
		return Indication{}, err
	}
	if f.found != nil {
		m.seen(*f.found)
		return *f.found, nil
	}
	return Indication{}, f.trouble.err(m.opt.Board, q.name())
}

// Forget drops what the console holds and all kept indications, so that what
// is waited for next is newer than this call. Use it before a reset pulse.
func (m *Module) Forget(ctx context.Context) error {
	if err := m.lock(ctx); err != nil {
		return fmt.Errorf("%s%w", where(m.opt.Board, "forget"), err)
	}
	defer m.unlock()
	if err := m.drain(ctx); err != nil {
		return fmt.Errorf("%s%w", where(m.opt.Board, "forget"), err)
	}
	m.forget()
	return nil
}
