package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by a journal that was closed.
var ErrClosed = errors.New("journal is closed")

// Options says how a journal is kept. The zero value is good.
type Options struct {
	// Board is written into every segment; at most 255 bytes.
	Board string
	// SegmentBytes is the size at which a new file is begun. Default 64 MiB.
	SegmentBytes int64
	// SyncEvery is how much a power cut may cost. Default 1 s.
	SyncEvery time.Duration
	// TailBytes is how much of the end is kept in memory for readers that
	// keep up. Default 256 KiB, at least 4 KiB. A slower reader reads from the files.
	TailBytes int
}

// minTail is more than any header takes, so that a journal of which only the
// head of a new segment is unwritten never counts as full.
const minTail = 4 << 10

func (o Options) withDefaults() Options {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.SyncEvery <= 0 {
		o.SyncEvery = time.Second
	}
	if o.TailBytes <= 0 {
		o.TailBytes = 256 << 10
	}
	o.TailBytes = max(o.TailBytes, minTail)
	return o
}

// Journal is the record of one bench, held by the one process that writes it.
// All methods may be called from several goroutines.
//
// A record is in memory, and readable by cursors, when Append returns. It is
// handed to the kernel soon after and made durable within SyncEvery, or before
// Event and Sync return. What is durable ends in a seal: the digest of the
// segment up to there.
type Journal struct {
	dir    string
	opt    Options
	opened time.Time
	lock   *os.File
	create func(path string) (segmentWriter, error)

	// io serialises everything that touches the files. It is taken before mu.
	io   sync.Mutex
	disk diskState

	mu       sync.Mutex
	room     sync.Cond // unwritten bytes became fewer, or err was set
	segs     []*segment
	chunks   []*chunk
	spare    [][]byte
	end      Offset
	written  Offset // all before it is in the files
	dirty    bool   // records after the last seal
	err      error
	refused  int  // appends refused since err was set
	closed   bool // no more appends
	finished bool // no more records
	waiters  []*waiter

	slow   atomic.Int64 // until when the disk counts as slow, since opened
	urgent atomic.Int64 // waiters that want bytes as they come
	onWait atomic.Pointer[[]*func()]

	timer *time.Timer
	kick  chan struct{} // much to write
	due   chan struct{} // time to sync
	stop  chan struct{}
	done  chan struct{}
}

// Create opens the journal in dir for writing and makes dir if need be. When
// the last writer died, the torn end is cut off, a note of that is the first
// record, and the journal goes on at an offset that was never handed out. A
// journal that another process writes is refused with ErrBusy.
func Create(dir string, opt Options) (*Journal, error) {
	opt = opt.withDefaults()
	return create(dir, opt, createFile)
}

func create(dir string, opt Options, newFile func(string) (segmentWriter, error)) (*Journal, error) {
	if len(opt.Board) > maxBoard {
		return nil, fmt.Errorf("journal %s: board name of %d bytes, at most %d are allowed", dir, len(opt.Board), maxBoard)
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{
		dir:    dir,
		opt:    opt,
		opened: time.Now(),
		lock:   lock,
		create: newFile,
		kick:   make(chan struct{}, 1),
		due:    make(chan struct{}, 1),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	j.room.L = &j.mu
	note, err := j.begin()
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	j.timer = time.AfterFunc(time.Hour, func() { signal(j.due) })
	j.timer.Stop()
	go j.run()
	if note != "" {
		if _, err := j.Append(KindNote, []byte(note), false); err != nil {
			return nil, errors.Join(err, j.Close())
		}
	}
	return j, nil
}

func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("journal: %w; make a folder that this user may write", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("journal: %w; the folder must belong to this user", err)
	}
	return nil
}

// begin reads what is in the folder and starts a segment of our own.
func (j *Journal) begin() (note string, err error) {
	past, err := recoverDir(j.dir)
	if err != nil {
		return "", err
	}
	seg := &segment{
		board: j.opt.Board,
		wall:  j.opened.Round(0),
		base:  past.next,
		prev:  past.sum,
		path:  filepath.Join(j.dir, segmentName(past.next)),
	}
	seg.size = Offset(len(seg.header()))
	j.segs = append(past.segs, seg)
	j.end, j.written = seg.first(), seg.first()
	if err := j.startSegment(seg); err != nil {
		return "", err
	}
	j.disk.synced = j.end
	return past.note, nil
}

// Append adds one record and returns where it is. Data is copied. Data of more
// than 1 MiB of KindRx or KindTx becomes several records; of any other kind it
// is an error. The error of a failing disk names the file and is also Err.
func (j *Journal) Append(kind Kind, data []byte, secret bool) (Offset, error) {
	if kind == 0 || kind == KindSeal {
		return 0, fmt.Errorf("journal of board %s: records of %v cannot be appended", j.opt.Board, kind)
	}
	if len(data) > maxPayload && kind != KindRx && kind != KindTx {
		return 0, fmt.Errorf("journal of board %s: %v record of %d bytes, at most %d are allowed", j.opt.Board, kind, len(data), maxPayload)
	}
	var flags byte
	if secret {
		flags = flagSecret
	}
	j.mu.Lock()
	if err := j.waitRoom(); err != nil {
		j.mu.Unlock()
		return 0, err
	}
	mono := time.Since(j.opened)
	at := j.put(kind, flags, mono, data[:min(len(data), maxPayload)])
	for len(data) > maxPayload {
		data = data[maxPayload:]
		j.put(kind, flags, mono, data[:min(len(data), maxPayload)])
	}
	if !j.dirty {
		j.dirty = true
		j.timer.Reset(j.opt.SyncEvery)
	}
	j.wake(kind)
	full := j.end-j.written >= Offset(j.opt.TailBytes/2)
	j.mu.Unlock()
	if full {
		j.relieve()
	}
	return at, nil
}

// waitRoom bounds what is in memory only. Called and returns with mu held.
func (j *Journal) waitRoom() error {
	most := Offset(4 * j.opt.TailBytes)
	for !j.closed && j.err == nil && j.end-j.written > most {
		signal(j.kick)
		j.room.Wait()
	}
	if j.closed {
		return fmt.Errorf("journal of board %s: %w", j.opt.Board, ErrClosed)
	}
	if j.err != nil {
		j.refused++
		return j.err
	}
	return nil
}

// Event adds a record {"event":name,"at":...} with the fields of attrs, which
// must encode to a JSON object or be nil. It is durable when Event returns.
func (j *Journal) Event(kind Kind, name string, attrs any) (Offset, error) {
	data, err := eventJSON(name, time.Now(), attrs)
	if err != nil {
		return 0, fmt.Errorf("journal of board %s: event %s: %w", j.opt.Board, name, err)
	}
	at, err := j.Append(kind, data, false)
	if err != nil {
		return 0, err
	}
	return at, j.Sync()
}

func eventJSON(name string, at time.Time, attrs any) ([]byte, error) {
	head, err := json.Marshal(struct {
		Event string `json:"event"`
		At    string `json:"at"`
	}{name, at.UTC().Format("2006-01-02T15:04:05.000000Z")})
	if err != nil {
		return nil, err
	}
	rest, err := json.Marshal(attrs)
	if err != nil {
		return nil, err
	}
	switch {
	case string(rest) == "null" || string(rest) == "{}":
		return head, nil
	case rest[0] != '{':
		return nil, fmt.Errorf("attributes encode to %.20s, not to a JSON object", rest)
	}
	head[len(head)-1] = ','
	return append(head, rest[1:]...), nil
}

// End is the offset at which the next record will be.
func (j *Journal) End() Offset {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end
}

// Err is the error that keeps the journal from recording, nil when all is
// well. A full disk is tried again every SyncEvery and stops being an error
// when there is room; what was refused meanwhile is noted in the journal.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Close seals the journal, makes it durable and waits for everything that the
// journal started. Cursors that have not read all can go on; then they get
// io.EOF.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		<-j.done
		return nil
	}
	j.closed = true
	j.room.Broadcast()
	j.mu.Unlock()
	j.timer.Stop()
	close(j.stop)
	<-j.done

	err := j.finish()
	j.mu.Lock()
	j.finished = true
	j.wakeAll()
	j.mu.Unlock()
	return errors.Join(err, j.lock.Close())
}

// run writes when much has gathered and syncs when it is time.
func (j *Journal) run() {
	defer close(j.done)
	for {
		select {
		case <-j.stop:
			return
		case <-j.kick:
			j.writeOut()
		case <-j.due:
			j.tick()
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// segmentWriter is what the journal needs of a file.
type segmentWriter interface {
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

func createFile(path string) (segmentWriter, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, fs.ErrInvalid) {
		err = nil // a file system that cannot sync folders
	}
	return errors.Join(err, d.Close())
}

// diskState belongs to who holds Journal.io.
type diskState struct {
	file   segmentWriter
	seg    *segment
	hash   hash.Hash
	hashed Offset // all before it went through hash
	synced Offset
	dead   error // a failed sync: the kernel has dropped data, never go on
}
