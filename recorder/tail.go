package recorder

import (
	"slices"
	"sort"
	"time"
)

// A board that says little takes little memory: chunks grow with use.
const (
	firstChunk = 4 << 10
	chunkSize  = 64 << 10
	// maxSpare is how many full-sized buffers are kept for later.
	maxSpare = 2
)

// chunk is a piece of the journal's end in memory. Bytes are only added, under
// Journal.mu, and never changed while a cursor holds the chunk.
type chunk struct {
	seg     *segment
	base    Offset
	buf     []byte
	holders int // cursors that may have given out its bytes
}

func (c *chunk) end() Offset { return c.base + Offset(len(c.buf)) }

// put frames one record at the end. Called with mu held.
func (j *Journal) put(kind Kind, flags byte, mono time.Duration, data []byte) Offset {
	seg := j.segs[len(j.segs)-1]
	need := frameSize + len(data)
	var c *chunk
	if n := len(j.chunks); n > 0 {
		c = j.chunks[n-1]
	}
	if c == nil || c.seg != seg || cap(c.buf)-len(c.buf) < need {
		size := firstChunk
		if c != nil {
			size = min(2*cap(c.buf), chunkSize)
		}
		c = &chunk{seg: seg, base: j.end, buf: j.space(max(size, need))}
		j.chunks = append(j.chunks, c)
		j.trim()
	}
	at := j.end
	c.buf = appendFrame(c.buf, at, kind, flags, mono-seg.mono, data)
	j.end = c.end()
	return at
}

// trim drops chunks that are in the files and not needed for readers that keep
// up. Called with mu held.
func (j *Journal) trim() {
	n := 0
	for n < len(j.chunks)-1 && j.chunks[n].end() <= j.written &&
		j.end-j.chunks[n].end() >= Offset(j.opt.TailBytes) {
		n++
	}
	for _, c := range j.chunks[:n] {
		if c.holders == 0 && cap(c.buf) == chunkSize && len(j.spare) < maxSpare {
			j.spare = append(j.spare, c.buf[:0])
		}
	}
	j.chunks = slices.Delete(j.chunks, 0, n)
}

// space returns an empty buffer. In a burst the buffers go round, or the
// garbage collector would work as hard as the recorder. Called with mu held.
func (j *Journal) space(size int) []byte {
	if n := len(j.spare); n > 0 && size <= chunkSize {
		b := j.spare[n-1]
		j.spare = j.spare[:n-1]
		return b
	}
	return make([]byte, 0, size)
}

// find returns the chunk that holds off; nil when it is not in memory. Called
// with mu held.
func (j *Journal) find(off Offset) *chunk {
	i := sort.Search(len(j.chunks), func(i int) bool { return j.chunks[i].end() > off })
	if i == len(j.chunks) || j.chunks[i].base > off {
		return nil
	}
	return j.chunks[i]
}

// waiter is a reader that is blocked on the end of the journal.
type waiter struct {
	ready  chan struct{} // capacity 1
	cursor *Cursor
	kind   Kind // 0 for every kind
	urgent bool
	listed bool
}

// wait lists w to be woken by the next record of its kind. Called with mu held.
func (j *Journal) wait(w *waiter) {
	if w.listed {
		return
	}
	w.listed = true
	j.waiters = append(j.waiters, w)
	if w.urgent {
		j.urgent.Add(1)
	}
}

// unwait takes w off the list. Called with mu held.
func (j *Journal) unwait(w *waiter) {
	if !w.listed {
		return
	}
	i := slices.Index(j.waiters, w)
	j.waiters = slices.Delete(j.waiters, i, i+1)
	j.unlist(w)
}

func (j *Journal) unlist(w *waiter) {
	w.listed = false
	if w.urgent {
		j.urgent.Add(-1)
	}
}

// wake wakes those who wait for a record of this kind. Called with mu held.
func (j *Journal) wake(kind Kind) {
	if len(j.waiters) == 0 {
		return
	}
	keep := j.waiters[:0]
	for _, w := range j.waiters {
		if w.kind != 0 && w.kind != kind || !w.cursor.look() {
			keep = append(keep, w)
			continue
		}
		j.unlist(w)
		signal(w.ready)
	}
	clear(j.waiters[len(keep):])
	j.waiters = keep
}

// wakeAll wakes everybody. Called with mu held.
func (j *Journal) wakeAll() {
	for _, w := range j.waiters {
		j.unlist(w)
		signal(w.ready)
	}
	clear(j.waiters)
	j.waiters = j.waiters[:0]
}

// Waiting says whether somebody is blocked on the end and wants bytes as they
// come: a Stream, or a Cursor that was made Urgent. Whoever reads the board
// gathers bytes into large records only while it is false.
func (j *Journal) Waiting() bool { return j.urgent.Load() > 0 }

// OnWait has f called each time that somebody begins to wait as Waiting says.
// f runs in that reader's goroutine and must be quick. The returned function
// takes f off again.
func (j *Journal) OnWait(f func()) (off func()) {
	entry := &f
	j.changeListeners(func(l []*func()) []*func() { return append(l, entry) })
	return func() {
		j.changeListeners(func(l []*func()) []*func() {
			return slices.DeleteFunc(l, func(e *func()) bool { return e == entry })
		})
	}
}

// changeListeners replaces the list, which is read without a lock.
func (j *Journal) changeListeners(change func([]*func()) []*func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var now []*func()
	if old := j.onWait.Load(); old != nil {
		now = slices.Clone(*old)
	}
	now = change(now)
	j.onWait.Store(&now)
}
