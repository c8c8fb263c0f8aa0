package console

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// gather is how long bytes are left in the kernel while nobody waits. At
	// 921600 baud that is 920 bytes of the 4 KiB that a terminal holds.
	gather = 10 * time.Millisecond
	// gatherBrief is the same while somebody waits in a stream of bytes that
	// answers nothing.
	gatherBrief = 4 * time.Millisecond
	// fullRead is a read so large that the next must not wait.
	fullRead = 2 << 10
	// answerTime is how long after a write bytes count as its answer.
	answerTime = 100 * time.Millisecond
	// waitMemory is how long after somebody waited the bytes still go to them
	// at once: between two waits a reader thinks.
	waitMemory = 20 * time.Millisecond
	// burstSize is how much of a burst becomes one record, and what a port
	// gets before the next one has its turn. Two such records fit into one
	// buffer of the journal.
	burstSize = 31 << 10
	// aheadSize is how much a writer reads before it writes.
	aheadSize = 4 << 10
	// maxYields is how often a port in a burst lets the kernel carry on the
	// next bytes before it goes to sleep, which costs several times as much.
	maxYields = 2
)

// The states of a pause.
const (
	pauseNone  = iota
	pauseBrief // somebody waits; ends by time
	pauseLong  // nobody waits; Hurry ends it
)

// pace decides when a port is read. What is not marked otherwise belongs to
// the loop.
type pace struct {
	ready    bool      // the last poll said there is something
	hangup   bool      // or that the other end is gone
	more     bool      // the last read left something
	armed    uint32    // events that the poller waits for
	resume   time.Time // end of the pause
	lastRead time.Time
	waited   time.Time // when somebody was last seen waiting

	pausing atomic.Int32 // for anybody

	reading sync.Mutex // keeps reads in order
}

// Hurry ends a pause: somebody waits for bytes now. A port whose sink has
// OnWait calls it by itself.
func (p *Port) Hurry() {
	if p.pausing.CompareAndSwap(pauseLong, pauseNone) {
		p.loop.bell.ring()
	}
}

// interest tells the loop which events to poll for and how long the port wants
// to be left alone; a negative time is no wish.
func (p *Port) interest(now time.Time) (events uint32, pause time.Duration) {
	p.ready, p.hangup = false, false
	if p.isDone() {
		return 0, -1
	}
	if p.wantRoom.Load() {
		events = unix.EPOLLOUT
	}
	switch {
	case p.more:
		return events | unix.EPOLLIN, 0
	case p.resume.IsZero():
		return events | unix.EPOLLIN, -1
	case p.pausing.Load() == pauseNone:
		return events, 0 // hurried
	}
	return events, max(0, p.resume.Sub(now))
}

// happened takes what the poller saw, which it does not look for again until
// it is armed.
func (p *Port) happened(events uint32) {
	const bad = unix.EPOLLHUP | unix.EPOLLERR
	p.armed = 0
	p.hangup = events&bad != 0
	p.ready = p.hangup || events&unix.EPOLLIN != 0
	if events&(unix.EPOLLOUT|bad) != 0 && p.wantRoom.CompareAndSwap(true, false) {
		signal(p.room)
	}
}

// serve reads the port if it is time.
func (p *Port) serve(now time.Time) {
	if p.isDone() {
		return
	}
	paused := !p.resume.IsZero()
	if !p.ready && !p.more && (!paused || p.pausing.Load() != pauseNone && now.Before(p.resume)) {
		return
	}
	p.resume = time.Time{}
	p.pausing.Store(pauseNone)
	if p.sink.Waiting() {
		p.waited = now
	}
	got, err := p.read(p.loop.buf)
	p.more = got == readFull
	switch {
	case err == nil && got == readPart && now.Sub(p.waited) < waitMemory:
		p.lastRead = now // the rest is on its way to who waits
	case err != nil:
		p.fail(err)
	case got == readNothing && p.hangup:
		p.fail(fmt.Errorf("port %s: %w", p.path, ErrUnplugged))
	case got == readSome, got == readPart:
		p.pause(now)
		p.lastRead = now
	}
}

// pause leaves the next bytes in the kernel for a while, if nobody is the
// worse for it. One wake-up for many bytes is what makes many consoles cheap.
func (p *Port) pause(now time.Time) {
	kind, length := int32(pauseLong), gather
	if now.Sub(p.waited) < waitMemory {
		answer := p.loop.clock() - time.Duration(p.lastWrite.Load())
		if answer < answerTime || now.Sub(p.lastRead) > gather {
			return
		}
		kind, length = pauseBrief, gatherBrief
	}
	if p.opt.NoGather {
		return
	}
	// On a common grid, so that one wake-up serves many ports.
	p.resume = p.loop.start.Add(now.Sub(p.loop.start)/length*length + length)
	p.pausing.Store(kind)
	if kind == pauseLong && p.sink.Waiting() {
		// Began to wait since we looked, and found no pause to end.
		p.pausing.Store(pauseNone)
		p.resume = time.Time{}
	}
}

// readResult says how a read ended.
type readResult int

const (
	readNothing readResult = iota
	readSome               // all that there was
	readPart               // the kernel is about to carry on more
	readFull               // there may be more than buf holds
)

// read takes what the kernel has, as far as buf holds it, and gives it to the
// sink.
func (p *Port) read(buf []byte) (readResult, error) {
	p.reading.Lock()
	defer p.reading.Unlock()
	n, result, err := p.fill(buf)
	if n == 0 {
		return readNothing, err
	}
	if serr := p.sink.Received(buf[:n]); serr != nil {
		return result, fmt.Errorf("port %s: record received bytes: %w", p.path, serr)
	}
	return result, err
}

// fill reads until the kernel has nothing more or buf is full. A terminal gives
// at most 4 KiB at a time, however much has come.
func (p *Port) fill(buf []byte) (n int, result readResult, err error) {
	for yields := 0; n < len(buf); {
		k, err := retry(func() (int, error) { return rawRead(p.fd, buf[n:]) })
		switch {
		case errors.Is(err, unix.EAGAIN):
			if n == 0 {
				return 0, readNothing, nil
			}
			if yields == maxYields {
				return n, readPart, nil
			}
			yields++
			yield()
			continue
		case gone(err), err == nil && k == 0:
			return n, readSome, fmt.Errorf("port %s: %w", p.path, ErrUnplugged)
		case err != nil:
			return n, readSome, fmt.Errorf("port %s: read: %w", p.path, err)
		}
		n += k
		yields = 0
		if k < fullRead {
			return n, readSome, nil
		}
	}
	return n, readFull, nil
}
