package spwf

import (
	"context"
	"sync"
	"time"
)

// LengthDialect says which length a payload command declares for n bytes.
type LengthDialect int

const (
	// LengthExact declares n, as UM1695 has it.
	LengthExact LengthDialect = iota
	// LengthMinusOne declares n-1 and still sends n bytes, as the 2.x host
	// library of ST did. The last byte then reaches the command parser.
	LengthMinusOne
)

// Limits bounds what the module may take, apart from the caller's context.
// A zero field means its default.
type Limits struct {
	Command time.Duration // an ordinary command; default 20 s
	Banner  time.Duration // from reset to WIND 1; default 8 s
	Console time.Duration // from the banner to WIND 0; default 8 s
	Boot    time.Duration // from the banner to WIND 32; default 15 s
	Join    time.Duration // from WIND 32 to WIND 24; default 60 s
	Connect time.Duration // SOCKON, TLS handshake included; default 30 s
	Read    time.Duration // one SOCKR; default 13 s
	Scan    time.Duration // default 15 s
	HTTP    time.Duration // default 30 s
	Update  time.Duration // silence within FWUPDATE and while it is applied; default 60 s
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	set(&l.Command, 20*time.Second)
	set(&l.Banner, 8*time.Second)
	set(&l.Console, 8*time.Second)
	set(&l.Boot, 15*time.Second)
	set(&l.Join, 60*time.Second)
	set(&l.Connect, 30*time.Second)
	set(&l.Read, 13*time.Second)
	set(&l.Scan, 15*time.Second)
	set(&l.HTTP, 30*time.Second)
	set(&l.Update, 60*time.Second)
	return l
}

// Options of a Module. The zero value is good.
type Options struct {
	// Board is named in errors.
	Board   string
	Limits  Limits
	Lengths LengthDialect
	// Segment is the most that one SOCKW carries. Default 730 bytes, the
	// size that independent clients found safe.
	Segment int
	// Kept is how many indications wait for Indications or WaitIndication;
	// when more come, the oldest are dropped and counted. Default 256.
	Kept int
	// Drain is how long a command waits for bytes that are on their way
	// before it is sent. Default 500 us; after a failed call 50 ms of
	// silence are wanted instead.
	Drain time.Duration
	// Silence ends a reply of free content (HTTP, files, scans) after its
	// OK. Default 100 ms.
	Silence time.Duration
	// Poll is how often a socket read asks for data when no indication came.
	// Default 100 ms.
	Poll time.Duration
	// OnIndication sees every indication at once, on the goroutine that
	// reads. It must not call the Module.
	OnIndication func(Indication)
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.withDefaults()
	if o.Segment <= 0 {
		o.Segment = 730
	}
	if o.Kept <= 0 {
		o.Kept = 256
	}
	if o.Drain <= 0 {
		o.Drain = 500 * time.Microsecond
	}
	if o.Silence <= 0 {
		o.Silence = 100 * time.Millisecond
	}
	if o.Poll <= 0 {
		o.Poll = 100 * time.Millisecond
	}
	return o
}

// Module is the AT console of one module. Calls may come from several
// goroutines; each waits for the one before it, within its context.
type Module struct {
	port Port
	opt  Options

	turn    chan struct{} // holds a token while no call is under way
	scanner Scanner
	buf     []byte
	// dirty is set when the console may still owe bytes of an earlier call.
	dirty bool
	// unreported is a fault that came between two calls: the next wait ends
	// on it, as it would have if it had begun a moment earlier.
	unreported *Indication
	// owed is how many payload bytes a failed write left unsent.
	owed int
	// strays counts the verdicts that came while no command was open.
	strays int

	mu      sync.Mutex
	kept    []Indication
	dropped int
	count   uint64         // indications so far
	gone    map[int]uint64 // by socket: the count when its peer closed
	hints   map[int]uint64 // by socket: the count when data was announced
}

// New makes a driver for the module behind port. It sends nothing. The first
// call passes over whatever the console still holds.
func New(port Port, opt Options) *Module {
	m := &Module{
		port:  port,
		opt:   opt.withDefaults(),
		turn:  make(chan struct{}, 1),
		buf:   make([]byte, 4<<10),
		dirty: true,
		gone:  make(map[int]uint64),
		hints: make(map[int]uint64),
	}
	m.turn <- struct{}{}
	return m
}

// Indications gives the indications that nobody waited for, oldest first, and
// forgets them.
func (m *Module) Indications() []Indication {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.kept
	m.kept = nil
	return kept
}

// Dropped counts the indications that were lost because too many were kept.
func (m *Module) Dropped() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped
}

func (m *Module) keep(i Indication) {
	m.mu.Lock()
	if len(m.kept) >= m.opt.Kept {
		n := copy(m.kept, m.kept[1:])
		m.kept = m.kept[:n]
		m.dropped++
	}
	m.kept = append(m.kept, i)
	m.note(i)
	m.mu.Unlock()
	if m.opt.OnIndication != nil {
		m.opt.OnIndication(i)
	}
}

// note remembers what an indication says of a socket.
func (m *Module) note(i Indication) {
	m.count++
	if id, ok := i.socket(); ok {
		if i.ID == WindClosed {
			m.gone[id] = m.count
		} else {
			m.hints[id] = m.count
		}
	}
}

func (m *Module) sequence() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

// seen tells OnIndication of an indication that a wait took for itself.
func (m *Module) seen(i Indication) {
	m.mu.Lock()
	m.note(i)
	m.mu.Unlock()
	if m.opt.OnIndication != nil {
		m.opt.OnIndication(i)
	}
}

// take removes the oldest kept indication with one of the ids.
func (m *Module) take(ids []int) (Indication, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, i := range m.kept {
		if wanted(i.ID, ids) {
			m.kept = append(m.kept[:n:n], m.kept[n+1:]...)
			return i, true
		}
	}
	return Indication{}, false
}

func (m *Module) forget() {
	m.unreported = nil
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = nil
	clear(m.gone)
	clear(m.hints)
}

// lock waits for the module's turn.
func (m *Module) lock(ctx context.Context) error {
	select {
	case <-m.turn:
		return nil
	default:
	}
	select {
	case <-m.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *Module) unlock() { m.turn <- struct{}{} }
