package hostlab

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"hil-runner/farm"
	"hil-runner/recorder"
)

// The indications that the watch knows (UM1695, list of WIND messages).
const (
	windPowerOn = 1
	windReset   = 2
)

// incidentCode names the indications that are never part of normal work.
// restarts is true for those after which the module starts anew by itself.
func incidentCode(wind int) (code string, restarts bool) {
	switch wind {
	case 4:
		return farm.IncidentHeapTooSmall, false
	case 5:
		return farm.IncidentWiFiHardware, false
	case 6:
		return farm.IncidentWatchdog, true
	case 8:
		return farm.IncidentHardFault, true
	case 9:
		return farm.IncidentStackOverflow, true
	case 10:
		return farm.IncidentMallocFailed, true
	case 31:
		return farm.IncidentWiFiException, false
	}
	return "", false
}

// banner is a WIND 1 as it was seen.
type banner struct {
	at   recorder.Offset
	text string
}

// watch reads every byte of a board, whoever holds it: it knows when the
// module started anew and marks in the journal what should not happen.
type watch struct {
	journal *recorder.Journal
	cursor  *recorder.Cursor
	// patience is how long a restart that was asked for may take to begin.
	patience time.Duration

	mu      sync.Mutex
	last    banner
	changed chan struct{} // closed and replaced with each banner
	paused  bool          // the boot ROM is speaking
	asked   []asked       // in the order of from
	since   recorder.Offset
	bytes   int  // that came since the newest restart was asked for
	legible bool // and an indication was among them

	// Only follow touches these.
	line  lineBuffer
	sent  restartCommand
	fault *openFault
}

// asked is a restart that is no surprise: it may begin from there on in the
// journal, until then on the clock.
type asked struct {
	from  recorder.Offset
	until time.Time
}

// maxAsked bounds the restarts that are waited for at once.
const maxAsked = 16

// newWatch watches a journal from here on. What the module says before its
// first restart is no surprise either: it may just have got its supply.
func newWatch(j *recorder.Journal, patience time.Duration) *watch {
	w := &watch{journal: j, cursor: j.Cursor(j.End()), patience: patience, changed: make(chan struct{})}
	w.expect(j.End())
	return w
}

// follow reads the journal until ctx or the journal ends.
func (w *watch) follow(ctx context.Context) {
	defer w.cursor.Close()
	for {
		// A banner that is waited for must be seen at once; what a running
		// module says may be gathered.
		w.cursor.Urgent(w.expecting())
		rec, err := w.next(ctx)
		var torn *recorder.CorruptError
		switch {
		case err == nil:
			w.record(rec)
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			w.closeFault()
		case errors.As(err, &torn) && ctx.Err() == nil:
			// The cursor goes on behind it.
		default:
			w.closeFault()
			return
		}
	}
}

// next waits for a record, but not for ever while a fault's dump is open.
func (w *watch) next(ctx context.Context) (recorder.Record, error) {
	if w.fault == nil {
		return w.cursor.Next(ctx)
	}
	ctx, cancel := context.WithDeadline(ctx, w.fault.deadline())
	defer cancel()
	return w.cursor.Next(ctx)
}

func (w *watch) record(rec recorder.Record) {
	switch rec.Kind {
	case recorder.KindRx:
		w.received(rec)
	case recorder.KindTx:
		if w.sent.feed(rec.Data) {
			w.expect(rec.Offset)
		}
	}
}

func (w *watch) received(rec recorder.Record) {
	w.mu.Lock()
	paused := w.paused
	if rec.Offset >= w.since {
		w.bytes += len(rec.Data)
	}
	w.mu.Unlock()
	if paused {
		w.line.reset()
		return
	}
	w.line.feed(rec.Data, func(line []byte) { w.saw(rec.Offset, line) })
}

// windLine finds an indication even behind the noise of a reset.
var windLine = regexp.MustCompile(`\+WIND:(\d{1,3}):(.*)$`)

// saw looks at one line of the module.
func (w *watch) saw(at recorder.Offset, line []byte) {
	var m [][]byte
	if bytes.Contains(line, []byte("+WIND:")) {
		m = windLine.FindSubmatch(line)
	}
	if m == nil {
		if w.fault != nil && w.fault.add(line) {
			w.closeFault()
		}
		return
	}
	w.closeFault()
	number, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return
	}
	w.mu.Lock()
	w.legible = w.legible || at >= w.since
	w.mu.Unlock()
	if number == windPowerOn || number == windReset {
		w.restarted(at, number, string(m[2]))
		return
	}
	if code, restarts := incidentCode(number); code != "" {
		if restarts {
			w.expect(at)
		}
		w.fault = newFault(farm.IncidentSeen{Code: code, Text: string(m[0]), Offset: at})
	}
}

// restarted handles a banner: asked for, or an incident.
func (w *watch) restarted(at recorder.Offset, number int, text string) {
	w.mu.Lock()
	unasked := !w.answer(at)
	if number == windReset {
		// It announces the WIND 1 of the same restart.
		w.ask(at)
	} else {
		w.last = banner{at: at, text: text}
		close(w.changed)
		w.changed = make(chan struct{})
	}
	w.mu.Unlock()
	if unasked {
		w.incident(farm.IncidentSeen{Code: farm.IncidentUnaskedReset, Text: "+WIND:" + strconv.Itoa(number) + ":" + text, Offset: at})
	}
}

// answer finds the newest restart that was asked for at or before an offset and
// forgets it and all before. What was asked for since is still to come. The
// lock is held.
func (w *watch) answer(at recorder.Offset) bool {
	now := time.Now()
	for i := len(w.asked) - 1; i >= 0; i-- {
		if a := w.asked[i]; a.from <= at && now.Before(a.until) {
			w.asked = append(w.asked[:0], w.asked[i+1:]...)
			return true
		}
	}
	return false
}

// ask opens a place for a restart at or after an offset. The lock is held.
func (w *watch) ask(from recorder.Offset) {
	i := len(w.asked)
	for i > 0 && w.asked[i-1].from > from {
		i--
	}
	w.asked = slices.Insert(w.asked, i, asked{from, time.Now().Add(w.patience)})
	if len(w.asked) > maxAsked {
		w.asked = slices.Delete(w.asked, 0, 1)
	}
}

// closeFault marks a fault with the dump that came after it.
func (w *watch) closeFault() {
	if w.fault == nil {
		return
	}
	in := w.fault.seen
	w.fault = nil
	w.incident(in)
}

// incident marks the journal. A journal that cannot take it has said so to
// everybody already; the board's run ends on that.
func (w *watch) incident(in farm.IncidentSeen) {
	_, _ = w.journal.Event(in.EventKind(), in.EventName(), in)
}

// expect says that a restart was asked for: one that begins at from or later
// is no surprise.
func (w *watch) expect(from recorder.Offset) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ask(from)
	w.since, w.bytes, w.legible = from, 0, false
}

func (w *watch) expecting() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked) > 0 && time.Now().Before(w.asked[len(w.asked)-1].until)
}

// heard tells a silent module from one that speaks at another speed: how many
// bytes came since a restart was asked for, and whether an indication was
// among them.
func (w *watch) heard() (n int, legible bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes, w.legible
}

// pause keeps the watch from reading the boot ROM's bytes as text.
func (w *watch) pause(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = on
}

// bannerAfter waits for a banner at or after an offset.
func (w *watch) bannerAfter(ctx context.Context, after recorder.Offset) error {
	for {
		w.mu.Lock()
		b, changed := w.last, w.changed
		w.mu.Unlock()
		if b.text != "" && b.at >= after {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// build gives what the newest banner says of the firmware: the text in its
// parentheses (UM1695, WIND 1).
func (w *watch) build() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, inside, found := strings.Cut(w.last.text, "(")
	build, _, closed := strings.Cut(inside, ")")
	if !found || !closed {
		return ""
	}
	return build
}
