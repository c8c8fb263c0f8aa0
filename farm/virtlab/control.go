package virtlab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
)

const (
	// maxSocketPath is the longest path of a unix socket on Linux.
	maxSocketPath = 107
	// maxRequest is the longest line of the control protocol.
	maxRequest = 4096
	// maxClients bounds the connections to one control socket.
	maxClients = 32
)

// control serves a board's control socket: one line in, one line out.
//
//	line reset|boot0|gpio0|power low|high|float
//	name HOST ADDR          ADDR "-" removes the name
//	addr                    where the host serves this module
//	stats                   Stats as JSON
//	state                   what the module is doing
//	fault KIND [key=value ...] | fault clear
//
// The answer is "ok", "ok VALUE" or "error: TEXT".
type control struct {
	module   *Module
	listener *net.UnixListener
	work     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
}

func serveControl(m *Module, path string) (*control, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("board %s: control socket %s: path of %d bytes is longer than the %d that the system allows; choose a shorter directory", m.id, path, len(path), maxSocketPath)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("board %s: control socket: %w", m.id, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("board %s: control socket: %w", m.id, err), l.Close())
	}
	c := &control{module: m, listener: l, conns: map[net.Conn]bool{}}
	c.work.Go(c.accept)
	return c, nil
}

func (c *control) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		if !c.enter(conn) {
			_ = conn.Close()
			continue
		}
		c.work.Go(func() {
			defer c.leave(conn)
			c.serve(conn)
		})
	}
}

func (c *control) enter(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.conns) >= maxClients {
		return false
	}
	c.conns[conn] = true
	return true
}

func (c *control) leave(conn net.Conn) {
	c.mu.Lock()
	delete(c.conns, conn)
	c.mu.Unlock()
	_ = conn.Close()
}

func (c *control) serve(conn net.Conn) {
	in := bufio.NewScanner(conn)
	in.Buffer(make([]byte, 0, 512), maxRequest)
	for in.Scan() {
		answer := "ok"
		value, err := c.request(in.Text())
		switch {
		case err != nil:
			answer = "error: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		case value != "":
			answer += " " + value
		}
		if _, err := conn.Write([]byte(answer + "\n")); err != nil {
			return
		}
	}
	if in.Err() != nil {
		_, _ = fmt.Fprintf(conn, "error: a request has at most %d bytes\n", maxRequest)
	}
}

// request carries out one line.
func (c *control) request(text string) (string, error) {
	verb, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	args := strings.Fields(rest)
	want := func(n int, usage string) error {
		if len(args) != n {
			return fmt.Errorf("want %q", usage)
		}
		return nil
	}
	switch verb {
	case "line":
		if err := want(2, "line reset|boot0|gpio0|power low|high|float"); err != nil {
			return "", err
		}
		return "", c.drive(args[0], args[1])
	case "name":
		if err := want(2, "name HOST ADDR|-"); err != nil {
			return "", err
		}
		return "", c.module.SetName(args[0], strings.TrimPrefix(args[1], "-"))
	case "addr":
		return c.module.Address(), want(0, "addr")
	case "state", "stats":
		if err := want(0, verb); err != nil {
			return "", err
		}
		return c.report(verb)
	case "fault":
		if rest == "clear" {
			return "", c.module.Heal()
		}
		f, err := ParseFault(rest)
		if err != nil {
			return "", err
		}
		return "", c.module.Inject(f)
	}
	return "", fmt.Errorf("request %q: want line, name, addr, stats, state or fault", verb)
}

func (c *control) drive(line, level string) error {
	l, err := ParseLine(line)
	if err != nil {
		return err
	}
	v, err := ParseLevel(level)
	if err != nil {
		return err
	}
	return c.module.SetLine(l, v)
}

func (c *control) report(verb string) (string, error) {
	s, err := c.module.Stats()
	if err != nil {
		return "", err
	}
	if verb == "state" {
		return s.State.String(), nil
	}
	p, err := json.Marshal(s)
	return string(p), err
}

// close ends all connections and waits for their goroutines. The socket's
// file goes with it.
func (c *control) close() error {
	err := c.listener.Close()
	c.mu.Lock()
	c.closed = true
	for conn := range c.conns {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.work.Wait()
	return err
}
