package hostlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"hil-runner/console"
	"hil-runner/farm"
	"hil-runner/gpio"
	"hil-runner/recorder"
)

// owner is the one that touches a board's devices.
type owner struct {
	cfg  Config
	dev  Device
	loop *console.Loop

	journal *recorder.Journal
	port    *console.Port
	lines   map[gpio.Role]gpio.Line
	watch   *watch
	session *presence

	// err is why the board cannot be used at all.
	err error

	// alive ends, with the reason as its cause, when the port does.
	alive   context.Context
	die     context.CancelCauseFunc
	stop    context.CancelFunc
	running sync.WaitGroup

	// control holds a token while a line or flash operation is under way; the
	// fields of state belong to whoever put it there.
	control chan struct{}
	state   lineState

	mu    sync.Mutex
	hands map[*hand]bool
}

func newOwner(cfg Config, d Device, loop *console.Loop) *owner {
	if d.Baud == 0 {
		d.Baud = farm.DefaultBaud
	}
	if d.FlashBaud == 0 {
		d.FlashBaud = farm.DefaultBaud
	}
	o := &owner{cfg: cfg, dev: d, loop: loop, lines: make(map[gpio.Role]gpio.Line),
		control: make(chan struct{}, 1), hands: make(map[*hand]bool)}
	o.alive, o.die = context.WithCancelCause(context.Background())
	return o
}

func (o *owner) id() string { return o.dev.Board.ID }

// where names the board and its port for messages.
func (o *owner) where() string { return fmt.Sprintf("board %s on %s", o.id(), o.dev.Board.Port) }

// start opens everything; what fails is kept in o.err.
func (o *owner) start(ctx context.Context) {
	if o.err = o.open(ctx); o.err != nil {
		o.err = fmt.Errorf("%s: %w", o.where(), o.err)
	}
}

// open takes the port first: its lock says who owns the board, and nobody else
// may touch the lines of a board that somebody uses.
// journalTail is how much of a journal is kept in memory. Readers that fall
// behind read the file, so it need not be more for each of many boards; at
// 115200 baud it bridges 20 s of a disk that stands still.
const journalTail = 64 << 10

func (o *owner) open(ctx context.Context) (err error) {
	b := o.dev.Board
	o.journal, err = recorder.Create(o.dev.JournalDir, recorder.Options{Board: b.ID, TailBytes: journalTail})
	if err != nil {
		return journalError(err)
	}
	o.watch = newWatch(o.journal, b.Limits.Banner)
	o.port, err = console.Open(b.Port, o.consoleMode(), console.Record(o.journal), console.Options{Loop: o.loop})
	if err != nil {
		return openError(err)
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	o.stop = stop
	o.running.Go(func() { o.watch.follow(work) })
	o.running.Go(o.mindPort)
	if err := o.openLines(); err != nil {
		return err
	}
	if o.session, err = openPresence(o.cfg.StateDir, b.ID); err != nil {
		return err
	}
	return o.idle(ctx)
}

// openLines finds the lines that the lab file names.
func (o *owner) openLines() error {
	for role, at := range map[gpio.Role]*farm.LineAddress{gpio.Reset: o.dev.Lines.Reset,
		gpio.Boot0: o.dev.Lines.Boot0, gpio.GPIO0: o.dev.Lines.GPIO0, gpio.Power: o.dev.Lines.Power} {
		if at == nil {
			continue
		}
		line, err := gpio.Open(gpio.LineSpec{Role: role, Address: at.Address, ActiveLow: at.ActiveLow})
		if err != nil {
			return &farm.InfraError{Code: "line", Detail: "open a line", Err: err}
		}
		o.lines[role] = line
	}
	return nil
}

// mindPort waits for the end of the port. One that was not ours to end is an
// incident, and ends every wait for bytes.
func (o *owner) mindPort() {
	<-o.port.Done()
	err := o.port.Err()
	if errors.Is(err, console.ErrClosed) {
		o.die(fmt.Errorf("board %s: %w", o.id(), farm.ErrClosed))
		return
	}
	err = o.uartError(err)
	o.die(err)
	_, cause := farm.CauseOf(err)
	o.watch.incident(farm.IncidentSeen{Code: cause.Code, Text: cause.Detail})
}

func (o *owner) consoleMode() console.Mode {
	return console.Mode{Baud: o.dev.Baud, Parity: console.None}
}

// take waits for the right to operate lines; give gives it back.
func (o *owner) take(ctx context.Context) error {
	select {
	case o.control <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("board %s: another operation is under way: %w", o.id(), context.Cause(ctx))
	}
}

func (o *owner) give() { <-o.control }

// note puts something onto the journal that need not be durable before what
// follows. A journal that cannot take it ends the port, which says so.
func (o *owner) note(kind recorder.Kind, name string, attrs map[string]any) {
	record := map[string]any{"event": name, "at": time.Now().UTC()}
	for key, value := range attrs {
		record[key] = value
	}
	if data, err := json.Marshal(record); err == nil {
		_, _ = o.journal.Append(kind, data, false)
	}
}

// event is note for what must be on disk before it is done.
func (o *owner) event(kind recorder.Kind, name string, attrs any) (recorder.Offset, error) {
	off, err := o.journal.Event(kind, name, attrs)
	if err != nil {
		return 0, &farm.InfraError{Code: "journal", Detail: fmt.Sprintf("board %s: record %s", o.id(), name), Err: err}
	}
	return off, nil
}

// parkLimit bounds parking at the end; the caller's context may be over.
const parkLimit = 10 * time.Second

// close parks the board and releases its devices. The mark of its use stays
// behind when it could not be parked.
func (o *owner) close() error {
	for _, h := range o.endHands(func(*hand) bool { return true }, farm.ErrClosed) {
		h.settle()
	}
	var errs []error
	parked := false
	if o.session != nil {
		ctx, cancel := context.WithTimeout(context.Background(), parkLimit)
		err := o.park(ctx)
		cancel()
		parked = err == nil
		errs = append(errs, err)
	}
	if o.port != nil {
		errs = append(errs, o.port.Close())
	}
	if o.stop != nil {
		o.stop()
	}
	o.running.Wait()
	if o.journal != nil {
		errs = append(errs, o.journal.Close())
	}
	if parked {
		errs = append(errs, o.session.close())
	}
	return errors.Join(errs...)
}
