// Package endpoint is the other end of the modules' TLS connections: servers
// of the lab's own with a log that is a second witness beside the module's
// answers, a server that looks like Amazon's and cannot be taken for it, and a
// probe that asks from this host whether the real one can be reached.
package endpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"hil-runner/fixtures/certs"
)

// Server is a TLS peer on a port of its own, so that each case of a suite can
// have one. It is safe for concurrent use.
type Server struct {
	cfg  Config
	kind Kind // by how it was started; see KindOf
	ln   net.Listener
	log  *journal
	app  application
	tls  tlsEngine

	cancel context.CancelFunc
	ctx    context.Context
	wg     sync.WaitGroup
	once   sync.Once
	err    error
}

// application is what a server does with a client's data once TLS is up.
type application interface {
	// serve returns when the client is done: nil after the end of its data.
	serve(c *appConn) error
}

// tlsEngine carries one accepted connection to its end. It writes everything
// down but the closing.
type tlsEngine interface {
	serve(ctx context.Context, t *tap, w *witness) (CloseKind, error)
	close() error
}

// Start listens and serves, echoing back whatever clients send. The server
// ends when ctx does or at Close, whichever is first; Close must be called in
// either case.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	return start(ctx, cfg, KindLocal, echo{})
}

func start(ctx context.Context, cfg Config, kind Kind, app application) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, kind: kind, log: newJournal(), app: app}
	s.ctx, s.cancel = context.WithCancel(ctx)
	var err error
	if cfg.Engine == EngineOpenSSL {
		s.tls, err = newOpenSSL(s.ctx, &s.cfg, app)
	} else {
		s.tls = newGoTLS(&s.cfg, app)
	}
	if err != nil {
		s.cancel()
		return nil, err
	}
	if s.ln, err = net.Listen("tcp", cfg.listenAddress()); err != nil {
		s.cancel()
		return nil, errors.Join(fmt.Errorf("endpoint: %w", err), s.tls.close())
	}
	s.wg.Go(s.accept)
	return s, nil
}

func (s *Server) accept() {
	stop := context.AfterFunc(s.ctx, func() { s.ln.Close() })
	defer stop()
	slots := make(chan struct{}, s.cfg.MaxConnections)
	for {
		select {
		case slots <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		conn, err := s.ln.Accept()
		if err != nil {
			// Either the listener is closed or this host is out of descriptors.
			// In both cases it cannot serve any longer, and cases on it become
			// inconclusive because their controls fail.
			s.ln.Close()
			return
		}
		s.wg.Go(func() {
			defer func() { <-slots }()
			s.handle(conn)
		})
	}
}

func (s *Server) handle(conn net.Conn) {
	w := s.log.open(conn.RemoteAddr())
	t := newTap(conn, w)
	stop := context.AfterFunc(s.ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	kind, err := s.tls.serve(s.ctx, t, w)
	if _, start, _, foreign := t.received(); foreign && w.view().Hello == nil {
		w.notTLS(start)
	}
	detail := ""
	if err != nil {
		detail = err.Error()
	}
	w.close(kind, detail)
	linger(conn)
}

// linger takes what the client is still sending: closing a socket with unread
// data resets the connection, and the client may lose the alert that told it
// why.
func linger(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1<<16)) // it is over either way
}

// Addr is where the server listens, "127.0.0.1:40123".
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Port is the number of the TCP port.
func (s *Server) Port() int {
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(port) // comes from the kernel
	return n
}

// Engine is the TLS stack that serves.
func (s *Server) Engine() Engine { return s.cfg.Engine }

// Identity is what the server presents.
func (s *Server) Identity() certs.Identity { return s.cfg.Identity }

// Events gives everything that was seen, oldest first. Of a very long history
// only the newer part is kept.
func (s *Server) Events() []Event { return s.log.allEvents() }

// Connections gives what is known of each connection, oldest first.
func (s *Server) Connections() []Connection { return s.log.connections() }

// Mark is the number of the newest event. A match that asks for a greater Seq
// sees only what comes later.
func (s *Server) Mark() int {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.seq
}

// LastConnection is the number of the newest connection, 0 before the first.
func (s *Server) LastConnection() int {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.nconn
}

// WaitEvent gives the first event that matches, past ones included. The error
// says what was seen instead. match must not call the server.
func (s *Server) WaitEvent(ctx context.Context, match func(Event) bool) (Event, error) {
	var found Event
	next := 0 // the first sequence number not yet looked at
	err := s.log.wait(ctx, func() bool {
		for _, e := range s.log.events {
			if e.Seq >= next {
				next = e.Seq + 1
				if match(e) {
					found = e
					return true
				}
			}
		}
		return false
	})
	return found, err
}

// WaitConnection gives the first connection that matches as it then is, past
// ones included; match is called again whenever one changes. The error says
// what was seen instead. match must not call the server.
func (s *Server) WaitConnection(ctx context.Context, match func(Connection) bool) (Connection, error) {
	var found Connection
	err := s.log.wait(ctx, func() bool {
		for _, w := range s.log.conns {
			if c := w.snapshot(); match(c) {
				found = c
				return true
			}
		}
		return false
	})
	return found, err
}

// Close stops listening, ends all connections and waits until every goroutine
// and process of the server is gone. It may be called more than once.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.cancel()
		s.ln.Close() // closing it twice is no harm
		s.wg.Wait()
		s.err = s.tls.close()
		s.log.shut()
	})
	return s.err
}

// NewNonce gives 32 random bytes in hex, for an echo that nobody can guess and
// that every terminal can show.
func NewNonce() []byte {
	return []byte(rand.Text() + rand.Text() + rand.Text())[:64]
}
