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
}

// Cursor returns a cursor whose first record is the one at from, or the next
// one when from is no longer, or never was, the start of a record. 0 is the
// beginning; End, and all that is beyond it, the end.
func (j *Journal) Cursor(from Offset) *Cursor {
	return &Cursor{j: j, off: min(from, j.End()), w: waiter{ready: make(chan struct{}, 1)}}
}

// Urgent says that this reader wants bytes as they come while it waits in
// Next, as a Stream does; then the console gathers nothing. A new cursor is
// patient: it sees bytes some milliseconds late and costs less.
func (c *Cursor) Urgent(on bool) { c.w.urgent = on }

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

// Close frees the file that a slow cursor holds. The cursor can be used again.
func (c *Cursor) Close() error {
	f := c.file
	c.file = nil
	return f.close()
}

// Offset is where the next record will be looked for: the resume token.
func (c *Cursor) Offset() Offset { return c.off }

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
	j := c.j
	j.mu.Lock()
	defer j.mu.Unlock()
	for range batch {
		seg := c.settle()
		if c.off == j.end {
			if j.finished {
				return Record{}, atClose, place{}
			}
			j.wait(&c.w)
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
		if c.wants(f.kind) {
			return c.chunk.seg.record(at, f), atRecord, place{}
		}
	}
	return Record{}, atNone, place{}
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
	if c.chunk = c.j.find(c.off); c.chunk == nil {
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
		c.file.close() // caught up; it was only read
		c.file = nil
	}
	return c.off < c.chunk.end()
}

// pollFile looks in the segment file.
func (c *Cursor) pollFile(where place) (Record, pollState, error) {
	if c.file == nil || c.file.seg != where.seg {
		if err := c.Close(); err != nil {
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
		if c.wants(f.kind) {
			return where.seg.record(at, f), atRecord, nil
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

func (c *Cursor) wants(k Kind) bool {
	if c.w.kind != 0 {
		return k == c.w.kind
	}
	return k != KindSeal
}
