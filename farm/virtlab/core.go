package virtlab

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"hil-runner/farm/virtlab/app"
	"hil-runner/farm/virtlab/chip"
	"hil-runner/farm/virtlab/image"
)

// Core is a module without a loop: bytes and levels go in, bytes come out, and
// the caller says what time it is. It must be used by one goroutine at a time.
// All times are counted from the making of the Core.
type Core struct {
	opt    Options
	flash  *chip.Flash
	rom    *chip.ROM
	levels [lineCount]Level
	state  State
	stats  Stats

	now     time.Duration
	skew    time.Duration // how far timers run ahead of now when delays cost nothing
	jumps   int           // how often skew grew since the last stimulus
	timers  timers        // of the running software, scaled
	alarms  timers        // of the silicon and of faults, in real time
	powered time.Duration // when power came on

	line     line
	life     *life
	restart  bool // the software has asked for one
	held     bool // a restart from inside waits for RESETn
	cold     bool // the next start is the first after power-on
	commands lineScanner
	faults   faults
	external map[app.Area][]byte // external flash
	radio    *radio
	random   *random

	work     sync.WaitGroup
	post     func(func())
	mailbox  mailbox
	hostBaud int
}

// NewCore makes a module and switches it on. Its lines float: it starts from
// its flash.
func NewCore(opt Options) (*Core, error) {
	opt, err := opt.complete()
	if err != nil {
		return nil, err
	}
	flash, err := opt.factory()
	if err != nil {
		return nil, err
	}
	c := &Core{opt: opt, flash: flash, state: StateOff, external: map[app.Area][]byte{}}
	c.stats.Board = opt.ID
	c.stats.Faults = map[FaultKind]uint64{}
	c.random = newRandom(opt.Seed, opt.Number)
	c.rom = chip.NewROM(flash, uid(opt))
	c.radio = newRadio(opt)
	c.mailbox.ready = make(chan struct{}, 1)
	c.post = c.mailbox.put
	c.line.baud, c.line.paced = factoryBaud, opt.Pace
	c.faults.seed = opt.Seed
	for _, f := range opt.Faults {
		if f.Applies(opt.ID) {
			c.inject(f)
		}
	}
	c.powerOn()
	c.settle()
	return c, nil
}

// uid is the part's unique number, from the board's seed and number.
func uid(opt Options) (id [12]byte) {
	binary.LittleEndian.PutUint32(id[0:], uint32(opt.Number))
	binary.LittleEndian.PutUint64(id[4:], opt.Seed^0x5350574630315341)
	return id
}

// random is a module's source of randomness; its TLS client reads it beside
// the loop.
type random struct {
	mu  sync.Mutex
	src *rand.ChaCha8
}

func newRandom(seed uint64, number int) *random {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], uint64(number))
	return &random{src: rand.NewChaCha8(key)}
}

// Read fills p.
func (r *random) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.src.Read(p)
}

// Now is the core's clock.
func (c *Core) Now() time.Duration { return c.now }

// State is what the module is doing.
func (c *Core) State() State { return c.state }

// Flash is the module's flash, for hooks and for looking at it.
func (c *Core) Flash() *chip.Flash { return c.flash }

// Stats counts what has happened so far.
func (c *Core) Stats() Stats {
	s := c.stats
	s.State, s.Baud, s.HostBaud = c.state, c.line.baud, c.hostBaud
	s.ROM = c.rom.Stats()
	s.FlashOps, s.FlashCRC = c.flash.Ops(), c.flash.Sum()
	s.Faults = map[FaultKind]uint64{}
	for k, n := range c.stats.Faults {
		s.Faults[k] = n
	}
	return s
}

// SetHostBaud tells the speed of the host's UART; 0 is unknown and always
// right.
func (c *Core) SetHostBaud(baud int) { c.hostBaud = baud }

// SetName makes name resolve to the IP address addr for this module; addr ""
// removes it.
func (c *Core) SetName(name, addr string) error { return c.radio.setName(name, addr) }

// maxJumps bounds how often timers may be brought forward after one stimulus
// when delays cost nothing: software that sets a timer for ever would spin.
const maxJumps = 512

// Advance moves the clock to now and runs what is due.
func (c *Core) Advance(now time.Duration) {
	c.now = max(c.now, now)
	for {
		if t := c.alarms.first(); t != nil && t.due <= c.now {
			c.alarms.stop(t)
			t.f()
			c.settle()
			continue
		}
		t := c.timers.first()
		if t == nil {
			return
		}
		if t.due > c.now+c.skew {
			if c.opt.Speed > 0 || c.jumps >= maxJumps {
				return
			}
			c.jumps++
			c.skew = t.due - c.now
		}
		c.timers.stop(t)
		t.f()
		c.settle()
	}
}

// Next is when the core wants to be advanced again, for a timer or for output
// that becomes due. ok is false when nothing is pending.
func (c *Core) Next() (at time.Duration, ok bool) {
	consider := func(t time.Duration) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	if t := c.alarms.first(); t != nil {
		consider(t.due)
	}
	if t := c.timers.first(); t != nil {
		consider(t.due - c.skew)
	}
	if due, pending := c.line.next(); pending {
		consider(due)
	}
	return at, ok
}

// schedule runs f after d of module time.
func (c *Core) schedule(d time.Duration, f func()) *timer {
	d = max(d, 0)
	if c.opt.Speed > 0 {
		return c.timers.add(c.now+time.Duration(float64(d)/c.opt.Speed), f)
	}
	return c.timers.add(c.now+c.skew+d, f)
}

// real is the real time that d of module time takes; no time at speed 0.
func (c *Core) real(d time.Duration) time.Duration {
	if c.opt.Speed <= 0 {
		return 0
	}
	return time.Duration(float64(d) / c.opt.Speed)
}

// Do runs work that was posted from beside the core: results of the module's
// network operations. It reports whether there was any.
func (c *Core) Do() bool {
	work := c.mailbox.take()
	for _, f := range work {
		c.stimulate()
		f()
		c.settle()
	}
	return len(work) > 0
}

// Wait blocks until there is work for Do, or ctx ends.
func (c *Core) Wait(ctx context.Context) error {
	select {
	case <-c.mailbox.ready:
		c.mailbox.signal() // Do takes it
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close switches the module off and waits for what it has going.
func (c *Core) Close() {
	c.powerOff(StateOff)
	c.work.Wait()
}

func (c *Core) stimulate() { c.jumps = 0 }

// mailbox takes functions from other goroutines.
type mailbox struct {
	mu    sync.Mutex
	list  []func()
	ready chan struct{}
}

func (m *mailbox) put(f func()) {
	m.mu.Lock()
	m.list = append(m.list, f)
	m.mu.Unlock()
	m.signal()
}

func (m *mailbox) signal() {
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.list
	m.list = nil
	select {
	case <-m.ready:
	default:
	}
	return list
}

// applicationImage is the image in flash.
func (c *Core) applicationImage() (image.Profile, error) {
	return image.Parse(c.flash.View(image.Address, image.Size))
}
