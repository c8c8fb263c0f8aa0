package recorder

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// clockStep is how far the wall clock may move against the monotonic one
// before a new segment, with the new wall time, is begun.
const clockStep = 500 * time.Millisecond

// piece is a run of bytes of one segment that is not in its file yet.
type piece struct {
	seg *segment
	at  Offset
	b   []byte
}

// pieces returns the bytes in [from, end). Called with mu held.
func (j *Journal) pieces(from Offset) []piece {
	var out []piece
	for _, c := range j.chunks {
		if c.end() <= from {
			continue
		}
		at := max(from, c.base)
		out = append(out, piece{c.seg, at, c.buf[at-c.base:]})
	}
	return out
}

// startSegment makes the file of seg and writes its header durably. Called
// with io held, or before anybody else knows the journal.
func (j *Journal) startSegment(seg *segment) error {
	f, err := j.create(seg.path)
	if err != nil {
		return j.explain("create", seg.path, err)
	}
	head := seg.header()
	if _, err := f.WriteAt(head, 0); err != nil {
		return errors.Join(j.explain("write", seg.path, err), f.Close(), os.Remove(seg.path))
	}
	if err := f.Sync(); err != nil {
		return errors.Join(j.explain("sync", seg.path, err), f.Close(), os.Remove(seg.path))
	}
	j.disk.file, j.disk.seg = f, seg
	if j.disk.hash == nil {
		j.disk.hash = sha256.New()
		j.disk.hash.Write(head)
		j.disk.hashed = seg.first()
	}
	return nil
}

const (
	// slowWrite is what a write to the page cache does not take unless the
	// disk holds it up.
	slowWrite = 5 * time.Millisecond
	// slowTime is how long appenders then leave the writing to run.
	slowTime = 10 * time.Second
)

// relieve gets much of the memory written. The appender does it itself, which
// costs least, unless somebody else is at the files or the disk was slow: then
// bytes go on to gather in memory while run writes.
func (j *Journal) relieve() {
	began := time.Since(j.opened)
	if int64(began) < j.slow.Load() || !j.io.TryLock() {
		signal(j.kick)
		return
	}
	defer j.io.Unlock()
	j.settle(j.flush())
	if now := time.Since(j.opened); now-began > slowWrite {
		j.slow.Store(int64(now + slowTime))
	}
}

// writeOut hands all that is in memory to the kernel.
func (j *Journal) writeOut() {
	j.io.Lock()
	defer j.io.Unlock()
	j.settle(j.flush())
}

// flush writes [written, end). Called with io held.
func (j *Journal) flush() error {
	if j.disk.dead != nil {
		return j.disk.dead
	}
	j.mu.Lock()
	todo := j.pieces(j.written)
	j.mu.Unlock()
	for _, p := range todo {
		if err := j.writePiece(p); err != nil {
			return err
		}
		j.mu.Lock()
		j.written = p.at + Offset(len(p.b))
		j.trim()
		j.room.Broadcast()
		j.mu.Unlock()
	}
	return nil
}

func (j *Journal) writePiece(p piece) error {
	if p.seg != j.disk.seg {
		if err := j.nextFile(p.seg); err != nil {
			return err
		}
	}
	at := int64(p.at - p.seg.base)
	if _, err := j.disk.file.WriteAt(p.b, at); err != nil {
		// What did get written is half a record: the file ends before it, so
		// that a reader sees whole records only.
		return errors.Join(j.explain("write", p.seg.path, err), j.disk.file.Truncate(at))
	}
	j.hash(p)
	return nil
}

// hash runs p through the segment's digest unless that was done already.
func (j *Journal) hash(p piece) {
	end := p.at + Offset(len(p.b))
	if end <= j.disk.hashed {
		return
	}
	j.disk.hash.Write(p.b[max(0, j.disk.hashed-p.at):])
	j.disk.hashed = end
}

// nextFile finishes the open segment and begins seg. Called with io held.
func (j *Journal) nextFile(seg *segment) error {
	if err := j.sync(); err != nil {
		return err
	}
	old, path := j.disk.file, j.disk.seg.path
	if err := j.startSegment(seg); err != nil {
		return err
	}
	if err := old.Close(); err != nil {
		return j.explain("close", path, err)
	}
	return nil
}

func (j *Journal) sync() error {
	if err := j.disk.file.Sync(); err != nil {
		j.disk.dead = j.explain("sync", j.disk.seg.path, err)
		return j.disk.dead
	}
	return nil
}

// Sync makes all that was appended before durable, sealed with a digest.
func (j *Journal) Sync() error {
	want := j.End()
	j.io.Lock()
	defer j.io.Unlock()
	if j.disk.synced >= want {
		return nil // somebody else's sync took ours along
	}
	err := j.sealAndSync(0)
	j.settle(err)
	return err
}

// tick is the sync of each SyncEvery; it also starts new segments and tries a
// full disk again.
func (j *Journal) tick() {
	j.io.Lock()
	defer j.io.Unlock()
	j.mu.Lock()
	idle := j.err == nil && j.disk.synced >= j.end
	j.mu.Unlock()
	if idle {
		return
	}
	j.settle(j.sealAndSync(0))
}

// sealAndSync seals what was written, begins a new segment when it is time,
// and makes all durable. Called with io held.
func (j *Journal) sealAndSync(flags byte) error {
	if err := j.flush(); err != nil {
		return err
	}
	j.mu.Lock()
	end := j.seal(flags)
	j.mu.Unlock()
	if err := j.flush(); err != nil {
		return err
	}
	if err := j.sync(); err != nil {
		return err
	}
	j.disk.synced = end
	return nil
}

// seal adds the digest of all before it and returns the journal's end. Called
// with io and mu held.
func (j *Journal) seal(flags byte) Offset {
	if !j.dirty && flags == 0 {
		return j.end
	}
	j.dirty = false
	mono := time.Since(j.opened)
	j.putSeal(flags, mono)
	seg := j.segs[len(j.segs)-1]
	step := time.Now().Round(0).Sub(seg.wall.Round(0)) - (mono - seg.mono)
	if flags&flagLast == 0 && (int64(j.end-seg.base) >= j.opt.SegmentBytes || step.Abs() > clockStep) {
		j.rotate(mono)
	}
	return j.end
}

func (j *Journal) putSeal(flags byte, mono time.Duration) {
	j.hashRest()
	j.put(KindSeal, flags, mono, j.disk.hash.Sum(nil))
	j.hashRest()
}

func (j *Journal) hashRest() {
	for _, p := range j.pieces(j.disk.hashed) {
		j.hash(p)
	}
}

// rotate ends the segment, which was just sealed. The file of the new one is
// made when its first record is written. Called with io and mu held.
func (j *Journal) rotate(mono time.Duration) {
	old := j.segs[len(j.segs)-1]
	old.end = j.end
	seg := &segment{
		board: j.opt.Board,
		wall:  time.Now().Round(0),
		mono:  mono,
		base:  j.end,
		path:  filepath.Join(j.dir, segmentName(j.end)),
	}
	copy(seg.prev[:], j.disk.hash.Sum(nil))
	head := seg.header()
	seg.size = Offset(len(head))
	j.disk.hash.Reset()
	j.disk.hash.Write(head)
	j.segs = append(j.segs, seg)
	j.end = seg.first()
	j.disk.hashed = j.end
}

// settle takes the outcome of a write: it sets the error that Append returns,
// or takes it back and notes what was refused. Called with io held.
func (j *Journal) settle(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case err != nil:
		j.err = err
		j.room.Broadcast()
	case j.err == nil:
		return
	default:
		note := fmt.Sprintf("recording goes on; %d records were refused after: %v", j.refused, j.err)
		j.err, j.refused = nil, 0
		j.put(KindNote, 0, time.Since(j.opened), []byte(note))
		j.dirty = true
		j.wake(KindNote)
	}
	if j.disk.dead == nil && !j.closed {
		j.timer.Reset(j.opt.SyncEvery)
	}
}

// finish is the last write of a journal.
func (j *Journal) finish() error {
	j.io.Lock()
	defer j.io.Unlock()
	err := j.sealAndSync(flagLast)
	if err != nil {
		j.settle(err)
	}
	return errors.Join(err, j.disk.file.Close())
}

// explain says which file of which board, and what to do.
func (j *Journal) explain(what, path string, err error) error {
	next := "look at the disk and at the kernel's log; recording goes on by itself when the disk does"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		next = "free space on that file system; recording then goes on by itself"
	case what == "sync":
		next = "look at the disk and at the kernel's log; then close and open the journal again"
	}
	return fmt.Errorf("journal of board %s: %s %s: %w; %s", j.opt.Board, what, path, err, next)
}
