package recorder

import (
	"context"
	"errors"
	"io"
	"sort"
)

// Cursor reads a live journal from some offset on and waits at its end. A
// cursor that keeps up reads from memory; one that is slow or stopped reads
// from the files and costs the journal nothing. It is for one goroutine, save
// Offset and Close.
type Cursor struct {
	j      *Journal
	w      waiter
	off    Offset
	proven bool // off is known to be the start of a record
	chunk  *chunk
	file   *segmentFile

	skip func(Record) bool
	kept bool // found is the next record
	// found was looked at by an appender while this cursor waited.
	found Record
}

// Cursor returns a cursor whose first record is the one at from, or the next
// one when from is no longer, or never was, the start of a record. 0 is the
// beginning; End, and all that is beyond it, the end.
func (j *Journal) Cursor(from Offset) *Cursor {
	c := &Cursor{j: j, off: min(from, j.End())}
	c.w = waiter{ready: make(chan struct{}, 1), cursor: c}
	return c
}

// Urgent says that this reader wants bytes as they come while it waits in
// Next, as a Stream does; then the console gathers nothing. A new cursor is
// patient: it sees bytes some milliseconds late and costs less.
func (c *Cursor) Urgent(on bool) { c.w.urgent = on }

// Skip makes Next pass over the records for which f is true. f sees each record
// once and in order. While Next waits, f runs in whoever appends, with the
// journal locked, so that records of no interest wake nobody: it must be quick,
// use nothing of the journal, and keep nothing of the record.
func (c *Cursor) Skip(f func(Record) bool) { c.skip = f }

// Next returns the next record and waits for it if need be. Its Data is valid
// until the next call. After the last record of a closed journal it returns
// io.EOF.
func (c *Cursor) Next(ctx context.Context) (Record, error) {
	for {
		rec, state, err := c.poll()
		switch {
		case err != nil:
			return Record{}, err
		case state == atRecord:
			return rec, nil
		case state == atClose:
			return Record{}, io.EOF
		}
		c.j.announce(&c.w)
		select {
		case <-c.w.ready:
		case <-ctx.Done():
			c.j.mu.Lock()
			c.j.unwait(&c.w)
			c.j.mu.Unlock()
			return Record{}, ctx.Err()
		}
	}
}

// Close frees what the cursor holds; the record of the last Next is no longer
// valid. The cursor can be used again.
func (c *Cursor) Close() error {
	c.j.mu.Lock()
	c.hold(nil)
	c.j.mu.Unlock()
	return c.closeFile()
}

func (c *Cursor) closeFile() error {
	f := c.file
	c.file = nil
	return f.close()
}

// Offset is where the next record will be looked for: the resume token.
func (c *Cursor) Offset() Offset {
	if c.kept {
		return c.found.Offset
	}
	return c.off
}

// announce tells the listeners of OnWait that w has begun to wait.
func (j *Journal) announce(w *waiter) {
	listeners := j.onWait.Load()
	if !w.urgent || listeners == nil {
		return
	}
	for _, f := range *listeners {
		(*f)()
	}
}

type pollState int

const (
	atRecord pollState = iota
	atEnd              // the cursor's waiter is listed
	atClose
	atFile // the record is only in a file
	atNone // nothing wanted yet, look again
)

// place is where in the files a record is.
type place struct {
	seg   *segment
	limit Offset // bytes before it are in the file
}

// batch bounds how many records of other kinds are skipped in one go, so that
// a reader of one kind does not hold the lock for long.
const batch = 512

// poll returns the next record of the wanted kind, or lists the waiter when
// there is none yet.
func (c *Cursor) poll() (Record, pollState, error) {
	if c.kept {
		c.kept = false
		return c.found, atRecord, nil
	}
	for {
		rec, state, where := c.pollTail()
		var err error
		if state == atFile {
			rec, state, err = c.pollFile(where)
		}
		if err != nil || state != atNone {
			return rec, state, err
		}
	}
}

// pollTail looks in memory.
func (c *Cursor) pollTail() (Record, pollState, place) {
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	rec, state, where := c.scan()
	if state == atEnd {
		c.j.wait(&c.w)
	}
	return rec, state, where
}

// scan goes to the next wanted record in memory. Called with the journal's mu
// held.
func (c *Cursor) scan() (Record, pollState, place) {
	j := c.j
	for range batch {
		seg := c.settle()
		if c.off == j.end {
			if j.finished {
				return Record{}, atClose, place{}
			}
			return Record{}, atEnd, place{}
		}
		if !c.inChunk() {
			limit := j.written
			if seg.end > 0 {
				limit = min(limit, seg.end)
			}
			return Record{}, atFile, place{seg, limit}
		}
		at := c.off
		f := peekFrame(c.chunk.buf[at-c.chunk.base:])
		c.off += Offset(f.size)
		if rec := c.chunk.seg.record(at, f); c.wants(rec) {
			return rec, atRecord, place{}
		}
	}
	return Record{}, atNone, place{}
}

// look has a waiting cursor look at what was appended, and tells whether it
// must wake. Called with the journal's mu held.
func (c *Cursor) look() (wake bool) {
	if c.skip == nil {
		return true
	}
	rec, state, _ := c.scan()
	if state == atRecord {
		c.found, c.kept = rec, true
	}
	return state != atEnd
}

// settle moves the offset over segment headers and over what was never
// written, and returns its segment. Called with the journal's mu held.
func (c *Cursor) settle() *segment {
	segs := c.j.segs
	last := segs[len(segs)-1]
	if c.off >= last.first() {
		c.off = min(c.off, c.j.end)
		return last
	}
	i := sort.Search(len(segs), func(i int) bool { return segs[i].base > c.off }) - 1
	if i < 0 || c.off >= segs[i].end && segs[i] != last {
		i++
	}
	c.off = max(c.off, segs[i].first())
	return segs[i]
}

// inChunk finds the chunk of the offset. Called with the journal's mu held.
func (c *Cursor) inChunk() bool {
	if c.chunk != nil && c.off >= c.chunk.base && c.off < c.chunk.end() {
		return true
	}
	if c.hold(c.j.find(c.off)); c.chunk == nil {
		return false
	}
	if !c.proven {
		at := c.chunk.base
		for at < c.off {
			at += Offset(peekFrame(c.chunk.buf[at-c.chunk.base:]).size)
		}
		c.off, c.proven = at, true
	}
	if c.file != nil {
		_ = c.closeFile() // caught up; it was only read
	}
	return c.off < c.chunk.end()
}

// hold changes the chunk that the cursor reads. Called with the journal's mu
// held, and only when the last record that was given out is no longer valid.
func (c *Cursor) hold(next *chunk) {
	if c.chunk != nil {
		c.chunk.holders--
	}
	if c.chunk = next; next != nil {
		next.holders++
	}
}

// pollFile looks in the segment file.
func (c *Cursor) pollFile(where place) (Record, pollState, error) {
	if c.file == nil || c.file.seg != where.seg {
		if err := c.closeFile(); err != nil {
			return Record{}, atNone, err
		}
		f, err := openSegment(where.seg)
		if err != nil {
			return Record{}, atNone, err
		}
		c.file = f
	}
	if err := c.prove(where.limit); err != nil {
		return Record{}, atNone, err
	}
	for range batch {
		at := c.off
		f, err := c.file.frame(at, where.limit)
		switch {
		case errors.Is(err, io.EOF):
			return Record{}, atNone, nil
		case errors.Is(err, errBad), errors.Is(err, errShort):
			// What follows in this file has no known start; the next call
			// goes on after it.
			c.off = where.limit
			return Record{}, atNone, &CorruptError{Path: where.seg.path, Offset: at, Reason: "the record there is damaged"}
		case err != nil:
			return Record{}, atNone, err
		}
		c.off += Offset(f.size)
		if rec := where.seg.record(at, f); c.wants(rec) {
			return rec, atRecord, nil
		}
	}
	return Record{}, atNone, nil
}

// prove moves an offset that came from outside to the start of a record.
func (c *Cursor) prove(limit Offset) error {
	if c.proven {
		return nil
	}
	if _, err := c.file.frame(c.off, limit); errors.Is(err, errBad) || errors.Is(err, errShort) {
		at, err := c.file.boundary(c.off, limit)
		if err != nil && !errors.Is(err, errBad) && !errors.Is(err, errShort) {
			return err
		}
		c.off = at
	}
	c.proven = true
	return nil
}

func (c *Cursor) wants(rec Record) bool {
	if rec.Kind == KindSeal || c.w.kind != 0 && rec.Kind != c.w.kind {
		return false
	}
	return c.skip == nil || !c.skip(rec)
}
