package spwf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Proto is the protocol of a socket.
type Proto int

const (
	// TCP, UDP and TLS (over TCP) are the protocols of SOCKON.
	TCP Proto = iota
	UDP
	TLS
)

// String gives the letter of the command.
func (p Proto) String() string {
	switch p {
	case UDP:
		return "u"
	case TLS:
		return "s"
	}
	return "t"
}

// maxRead bounds one SOCKR.
const maxRead = 16 << 10

// ErrStillPending says that a socket could not be closed because its peer
// keeps sending.
var ErrStillPending = errors.New("the peer keeps sending, the socket cannot be closed; reset the module")

// Socket is an open socket of the module. It is used by one goroutine.
type Socket struct {
	m      *Module
	id     int
	since  uint64 // indications before this one were of an earlier socket
	closed bool
}

// ID is the module's number of the socket, 0 to 7.
func (s *Socket) ID() int { return s.id }

// Open opens a socket with indications (SOCKON=host,port,proto,ind). With TLS
// what the module's slots hold decides the mode: nothing is anonymous, a CA
// is one_way, all is mutual. A refusal is a CommandError.
func (m *Module) Open(ctx context.Context, host string, port int, proto Proto) (*Socket, error) {
	if err := checkField("the host", host); err != nil {
		return nil, err
	}
	if port < 1 || port > 65535 {
		return nil, fmt.Errorf("spwf: port %d: %w", port, ErrArgument)
	}
	command := fmt.Sprintf("AT+S.SOCKON=%s,%d,%s,ind", host, port, proto)
	s := &Socket{m: m, id: -1}
	q := &request{command: command, limit: "connect", within: m.opt.Limits.Connect}
	q.onLine = func(line string) {
		if id, ok := numberAfter(line, "ID:"); ok && id <= maxSocketID {
			// Indications are held while a command runs, so what comes after
			// this line is of the new socket.
			s.id, s.since = id, m.sequence()
		}
	}
	if _, err := m.lines(ctx, q); err != nil {
		return nil, err
	}
	if s.id >= 0 {
		return s, nil
	}
	return nil, fmt.Errorf("%sno ID: %w", where(m.opt.Board, command), ErrReply)
}

// numberAfter reads a line like " ID: 00".
func numberAfter(line, label string) (int, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), label)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(rest))
	return n, err == nil && n >= 0
}

func (s *Socket) command(verb string) string {
	return fmt.Sprintf("AT+S.%s=%02d", verb, s.id)
}

// Write sends p in pieces of Options.Segment bytes. It returns how many bytes
// the module took.
func (s *Socket) Write(ctx context.Context, p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		piece := p[sent:min(len(p), sent+s.m.opt.Segment)]
		if _, err := s.m.DoSized(ctx, s.command("SOCKW"), piece, false); err != nil {
			return sent, err
		}
		sent += len(piece)
	}
	return sent, nil
}

// Query asks how many bytes wait (SOCKQ). For a TLS socket this is what makes
// the module fetch them.
func (s *Socket) Query(ctx context.Context) (int, error) {
	r, err := s.m.Do(ctx, s.command("SOCKQ"))
	if err != nil {
		return 0, err
	}
	for _, line := range r.Lines {
		if n, ok := numberAfter(line, "DATALEN:"); ok {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%sno DATALEN: %w", where(s.m.opt.Board, s.command("SOCKQ")), ErrReply)
}

// Read waits until data is there and returns some of it. It returns io.EOF
// when the peer has closed and all was read. Indications only shorten the
// wait: what counts is the answer to Query.
func (s *Socket) Read(ctx context.Context, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for empty := 0; ; {
		gone := s.peerGone()
		n, err := s.Query(ctx)
		if err != nil {
			return 0, err
		}
		if n > 0 {
			return s.fetch(ctx, p[:min(n, len(p), maxRead)])
		}
		if gone {
			if empty++; empty > 1 {
				return 0, io.EOF
			}
		}
		if err := s.await(ctx); err != nil {
			return 0, err
		}
	}
}

// ReadFull reads exactly len(p) bytes. It returns io.ErrUnexpectedEOF with
// the count when the peer closed before.
func (s *Socket) ReadFull(ctx context.Context, p []byte) (int, error) {
	got := 0
	for got < len(p) {
		n, err := s.Read(ctx, p[got:])
		got += n
		if errors.Is(err, io.EOF) && got > 0 {
			return got, io.ErrUnexpectedEOF
		}
		if err != nil {
			return got, err
		}
	}
	return got, nil
}

// fetch reads exactly len(p) bytes, which must be waiting (SOCKR).
func (s *Socket) fetch(ctx context.Context, p []byte) (int, error) {
	m := s.m
	q := &request{
		command: s.command("SOCKR") + "," + strconv.Itoa(len(p)),
		limit:   "read", within: m.opt.Limits.Read,
	}
	if err := m.lock(ctx); err != nil {
		return 0, fmt.Errorf("%s%w", where(m.opt.Board, q.name()), err)
	}
	defer m.unlock()
	if err := m.start(ctx, q); err != nil {
		return 0, err
	}
	f := newCountedFrame(q.command, len(p), m.keep)
	if err := m.run(ctx, f, q); err != nil {
		return 0, err
	}
	if f.broken {
		m.dirty = true
		if err := m.autopsy(f, q); err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("%s%w, got %s", where(m.opt.Board, q.name()), ErrFraming, cut(strconv.QuoteToASCII(string(f.buf)), 200))
	}
	if err := m.judge(&f.verdict, f.buf, q); err != nil {
		return 0, err
	}
	return copy(p, f.data), nil
}

func (s *Socket) peerGone() bool {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.m.gone[s.id] > s.since
}

// await waits for an indication of this socket, at most for Options.Poll.
func (s *Socket) await(ctx context.Context) error {
	m := s.m
	end := time.Now().Add(m.opt.Poll)
	for !s.hinted() {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		q := &request{shown: s.command("wait for data"), limit: "poll", within: left}
		err := m.watchSocket(ctx, q)
		var silent *TimeoutError
		if errors.As(err, &silent) && silent.Limit == "poll" {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hinted tells whether data was announced since the last call.
func (s *Socket) hinted() bool {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	hint := s.m.hints[s.id] > s.since || s.m.gone[s.id] > s.since
	delete(s.m.hints, s.id)
	return hint
}

// watchSocket returns at the next indication of any socket and leaves it
// among those kept.
func (m *Module) watchSocket(ctx context.Context, q *request) error {
	if err := m.lock(ctx); err != nil {
		return fmt.Errorf("%s%w", where(m.opt.Board, q.name()), err)
	}
	defer m.unlock()
	f := &waitFrame{scanner: &m.scanner, want: []int{WindPending, WindClosed}, strict: true, onWind: m.keep}
	dirty := m.dirty
	if err := m.run(ctx, f, q); err != nil {
		m.dirty = dirty
		return err
	}
	if f.found == nil {
		return f.trouble.err(m.opt.Board, q.name())
	}
	m.keep(*f.found)
	return nil
}

// closeRounds bounds how often Close reads a socket empty.
const closeRounds = 64

// Close reads what still waits, throws it away, and closes the socket
// (SOCKC). A socket of which the peer hung up needs it too. ErrStillPending
// says that the peer sends faster than the socket can be emptied.
func (s *Socket) Close(ctx context.Context) error {
	if s.closed {
		return nil
	}
	var waste [4 << 10]byte
	for range closeRounds {
		for range closeRounds {
			n, err := s.Query(ctx)
			if n == 0 || err != nil {
				break
			}
			if _, err := s.fetch(ctx, waste[:min(n, len(waste))]); err != nil {
				break
			}
		}
		_, err := s.m.Do(ctx, s.command("SOCKC"))
		if err == nil {
			s.closed = true
			return nil
		}
		if !errors.Is(err, ReasonPendingData) {
			return err
		}
	}
	return fmt.Errorf("%s%w", where(s.m.opt.Board, s.command("SOCKC")), ErrStillPending)
}
