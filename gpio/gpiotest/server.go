package gpiotest

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Server is a control socket that answers line commands and records them. Its
// protocol is one line in, one line out: "line NAME low|high|float" gives "ok"
// or "error: TEXT".
type Server struct {
	// Path is that of the socket.
	Path string

	mu       sync.Mutex
	commands []string
	states   map[string]State
	answer   func(command string) (string, bool)
	conns    map[net.Conn]bool
	listener net.Listener
	tasks    sync.WaitGroup
}

// NewServer serves a control socket until the test ends.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{Path: filepath.Join(t.TempDir(), "control"), states: map[string]State{}, conns: map[net.Conn]bool{}}
	var err error
	if s.listener, err = net.Listen("unix", s.Path); err != nil {
		t.Fatal(err)
	}
	s.tasks.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

// Answer has f asked first; ok false leaves the answer to the server.
func (s *Server) Answer(f func(command string) (answer string, ok bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// State is what was last done to a line.
func (s *Server) State(line string) State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state, ok := s.states[line]; ok {
		return state
	}
	return Untouched
}

// Commands are all that came, in order.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

func (s *Server) close() {
	s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.tasks.Wait()
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.tasks.Go(func() { s.serve(conn) })
	}
}

func (s *Server) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		answer := s.command(lines.Text())
		if answer == "" {
			return
		}
		if _, err := fmt.Fprintf(conn, "%s\n", answer); err != nil {
			return
		}
	}
}

// command gives the answer to one command; none closes the connection.
func (s *Server) command(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, text)
	if s.answer != nil {
		if answer, ok := s.answer(text); ok {
			return answer
		}
	}
	f := strings.Fields(text)
	if len(f) != 3 || f[0] != "line" || !slices.Contains([]State{Low, High, Float}, State(f[2])) {
		return "error: unknown command"
	}
	s.states[f[1]] = State(f[2])
	return "ok"
}
