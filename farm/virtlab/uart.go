package virtlab

import (
	"bytes"
	"time"

	"hil-runner/farm/virtlab/chip"
)

const (
	appBits = 10 // 8N1
	// slice is the longest stretch of output that is handed over at once when
	// bytes take their time.
	slice = 10 * time.Millisecond
	// catchUp is how late a host may answer the boot ROM without the line
	// counting it as idle: a virtual line's own lateness must not add up over
	// the thousands of turn-arounds of a flashing.
	catchUp = 100 * time.Millisecond
	// ahead is how far the core may run ahead of the clock with input that is
	// still on the line.
	ahead = 50 * time.Millisecond
	// maxOutput bounds output that nobody takes.
	maxOutput = 1 << 20
)

// chunk is output that becomes due at one time.
type chunk struct {
	due time.Duration
	p   []byte
}

// line is the module's side of the UART.
type line struct {
	paced bool
	baud  int
	ready []byte  // due now
	queue []chunk // due later, in order
	size  int     // bytes in queue

	rxFree  time.Duration // when the last byte from the host has arrived
	txFree  time.Duration // when the last byte to the host has left
	lastOut time.Duration // when the host had the last byte that was taken
	romBusy time.Duration // until when the boot ROM is at work
}

// cut loses what is still on the line.
func (l *line) cut() {
	l.queue, l.size = nil, 0
	l.rxFree, l.txFree, l.romBusy = 0, 0, 0
}

func (l *line) fresh() { l.romBusy = 0 }

func (l *line) next() (time.Duration, bool) {
	if len(l.queue) == 0 {
		return 0, false
	}
	return l.queue[0].due, true
}

// span is the time of n bytes of so many bits.
func span(n, bits, baud int) time.Duration {
	if baud <= 0 {
		return 0
	}
	return time.Duration(int64(n) * int64(bits) * int64(time.Second) / int64(baud))
}

// put queues output that starts at a time, and gives how many bytes found no
// room.
func (l *line) put(at, now time.Duration, p []byte, bits, baud int) int {
	if len(l.ready)+l.size+len(p) > maxOutput {
		return len(p)
	}
	if !l.paced {
		if at <= now && len(l.queue) == 0 {
			l.ready = append(l.ready, p...)
			return 0
		}
		l.push(at, p)
		return 0
	}
	start := max(at, l.txFree)
	step := max(int(slice/max(span(1, bits, baud), 1)), 1)
	for sent := 0; sent < len(p); {
		n := min(step, len(p)-sent)
		l.push(start+span(sent+n, bits, baud), p[sent:sent+n])
		sent += n
	}
	l.txFree = start + span(len(p), bits, baud)
	return 0
}

func (l *line) push(due time.Duration, p []byte) {
	l.queue = append(l.queue, chunk{due: due, p: bytes.Clone(p)})
	l.size += len(p)
}

// AppendOutput appends to dst what the host has received by now.
func (c *Core) AppendOutput(dst []byte) []byte {
	l := &c.line
	dst = append(dst, l.ready...)
	l.ready = l.ready[:0]
	done := 0
	for done < len(l.queue) && l.queue[done].due <= c.now {
		dst = append(dst, l.queue[done].p...)
		l.size -= len(l.queue[done].p)
		l.lastOut = l.queue[done].due
		done++
	}
	if done > 0 {
		l.queue = l.queue[:copy(l.queue, l.queue[done:])]
	}
	return dst
}

// Backlog is how long it takes until all input so far has arrived; a host
// that respects the line offers no more before it is short.
func (c *Core) Backlog() time.Duration { return max(c.line.rxFree-c.now, 0) }

// Receive takes bytes that the host has sent at the core's present time.
func (c *Core) Receive(p []byte) {
	c.stimulate()
	for len(p) > 0 {
		n := len(p)
		switch c.state {
		case StateROM:
			n = c.receiveROM(p)
		case StateApp:
			n = c.receiveApp(p)
		}
		c.stats.RxBytes += uint64(n)
		p = p[n:]
	}
}

// receiveROM feeds the boot ROM until p or the ROM's run ends. Before the
// first 0x7F every speed is right; with it the speed is fixed.
func (c *Core) receiveROM(p []byte) int {
	l := &c.line
	heard := p
	if c.rom.Synced() {
		heard = c.hear(p)
	} else if l.baud = c.hostBaud; l.baud <= 0 {
		l.baud = factoryBaud
	}
	start := max(c.now, l.rxFree)
	if base := max(l.rxFree, l.lastOut, l.romBusy); l.paced && c.rom.Synced() && base <= c.now && c.now-base <= catchUp {
		start = base
	}
	for i := 0; i < len(heard) && !c.faults.active(FaultDead); i++ {
		i += c.rom.Absorb(heard[i:])
		at := start
		if l.paced {
			l.rxFree = start + span(min(i+1, len(heard)), chip.BitsPerByte, l.baud)
			at = l.rxFree
		}
		if i == len(heard) {
			break
		}
		c.feedROM(heard[i], max(at, l.romBusy))
		if c.state != StateROM {
			if len(heard) == len(p) {
				return i + 1
			}
			break
		}
	}
	return len(p)
}

// feedROM gives one byte to the boot ROM at a time and does what follows.
func (c *Core) feedROM(b byte, at time.Duration) {
	reply := c.rom.Feed(b)
	c.say(at, reply.Ahead, chip.BitsPerByte)
	if !c.line.paced {
		reply.Busy = c.real(reply.Busy)
	}
	at += reply.Busy
	c.line.romBusy = at
	c.say(at, reply.Out, chip.BitsPerByte)
	if reply.Action != chip.Stay {
		c.act(reply, at)
		c.settle()
	}
}

// act does what follows a reply of the boot ROM.
func (c *Core) act(reply chip.Reply, at time.Duration) {
	if reply.Action == chip.PowerLost {
		return // settle sees it in the flash
	}
	c.now = max(c.now, at)
	if reply.Action == chip.Jump {
		c.jump(reply.Target)
		return
	}
	c.state = StateReset
	c.schedule(selfReset, c.release)
}

// receiveApp feeds the application. A fault that waits for a command strikes
// before the command's CR is seen.
func (c *Core) receiveApp(p []byte) int {
	if c.faults.active(FaultDead) {
		return len(p)
	}
	heard := c.hear(p)
	l := &c.line
	start := max(c.now, l.rxFree)
	for i := 0; i < len(heard) && c.state == StateApp; {
		n := len(heard) - i
		if l.paced {
			n = 1
			l.rxFree = start + span(i+1, appBits, l.baud)
			c.Advance(l.rxFree)
		}
		n, command := c.commands.scan(heard[i : i+n])
		if c.state != StateApp {
			break
		}
		if command {
			// The line without its CR first, then the fault, then the CR.
			c.input(heard[i : i+n-1])
			c.stats.Commands++
			c.faults.count(c, func(k *counters) { k.commands++ })
			c.settle()
			c.input(heard[i+n-1 : i+n])
		} else {
			c.input(heard[i : i+n])
		}
		i += n
	}
	return len(p)
}

func (c *Core) input(p []byte) {
	if c.state != StateApp || len(p) == 0 {
		return
	}
	c.life.software.Input(p)
	c.settle()
}

// hear is what the module's receiver makes of bytes from the host.
func (c *Core) hear(p []byte) []byte {
	if !mismatch(c.hostBaud, c.line.baud) {
		return p
	}
	c.stats.Garbled += uint64(len(p))
	return resample(p, c.hostBaud, c.line.baud)
}

// say sends bytes to the host, as faults and speeds let them through.
func (c *Core) say(at time.Duration, p []byte, bits int) {
	if len(p) == 0 || c.faults.active(FaultDead) {
		return
	}
	c.stats.TxBytes += uint64(len(p))
	seen := c.faults.spoil(c, p)
	if mismatch(c.hostBaud, c.line.baud) {
		c.stats.Garbled += uint64(len(seen))
		seen = resample(seen, c.line.baud, c.hostBaud)
	}
	c.stats.Lost += uint64(c.line.put(at, c.now, seen, bits, c.line.baud))
	c.faults.count(c, func(k *counters) { k.bytes += int64(len(p)) })
}

// lineScanner finds the ends of AT commands in a stream of bytes.
type lineScanner struct{ n int } // bytes of the line so far, -1 for a line that is none

// scan gives the length of p's first part, and whether it ends with the CR of
// a command.
func (s *lineScanner) scan(p []byte) (int, bool) {
	for i, b := range p {
		switch {
		case b == '\r' || b == '\n':
			command := s.n >= 2 && b == '\r'
			s.n = 0
			if command {
				return i + 1, true
			}
		case s.n == 0 && b|0x20 == 'a':
			s.n = 1
		case s.n == 1:
			s.n = -1
			if b|0x20 == 't' {
				s.n = 2
			}
		}
	}
	return len(p), false
}
