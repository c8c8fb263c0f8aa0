package gpio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	// socketPatience bounds a call on a control socket whose ctx has no
	// deadline of its own.
	socketPatience = 5 * time.Second
	// maxReply bounds one answer line of a control socket.
	maxReply = 4096
	// maxSocketPath is what sockaddr_un holds on Linux.
	maxSocketPath = 107
)

// socketDoor drives a line of a control socket. It dials for every call: the
// lab behind it may be restarted between two calls, and a connection that is
// not kept needs no closing.
type socketDoor struct{ path, line string }

// openSocket parses "PATH#line". The socket itself is not touched.
func openSocket(rest string) (door, error) {
	i := strings.LastIndexByte(rest, '#')
	if i <= 0 || i == len(rest)-1 {
		return nil, fmt.Errorf("%w: want sock:PATH#line", ErrAddress)
	}
	path, name := rest[:i], rest[i+1:]
	var names []string
	for _, r := range Roles() {
		names = append(names, string(r))
	}
	if !slices.Contains(names, name) {
		return nil, fmt.Errorf("%w: a control socket has no line %q%s", ErrUnknownLine, name, suggest(name, names))
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("%w: the socket's path has %d bytes, the system allows %d", ErrAddress, len(path), maxSocketPath)
	}
	return socketDoor{path: path, line: name}, nil
}

func (d socketDoor) set(ctx context.Context, l level) error {
	ctx, cancel := context.WithTimeout(ctx, socketPatience)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", d.path)
	if err != nil {
		return fmt.Errorf("%w (is the lab that serves this socket up?)", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	answer, err := exchange(conn, fmt.Sprintf("line %s %s\n", d.line, l))
	if err != nil {
		if cause := ctx.Err(); cause != nil {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return fmt.Errorf("control socket: %w", err)
	}
	if answer == "ok" || strings.HasPrefix(answer, "ok ") {
		return nil
	}
	return fmt.Errorf("%w: it answered %q", ErrRefused, answer)
}

// exchange sends one line and reads one line of bounded length.
func exchange(conn net.Conn, request string) (string, error) {
	if _, err := io.WriteString(conn, request); err != nil {
		return "", err
	}
	r := bufio.NewReaderSize(io.LimitReader(conn, maxReply), maxReply)
	answer, err := r.ReadString('\n')
	switch {
	case err == nil:
		return strings.TrimRight(answer, "\r\n"), nil
	case errors.Is(err, io.EOF) && len(answer) >= maxReply:
		return "", fmt.Errorf("its answer has more than %d bytes", maxReply)
	case errors.Is(err, io.EOF):
		return "", fmt.Errorf("closed before the end of its answer: %w", io.ErrUnexpectedEOF)
	}
	return "", err
}
