package link

import (
	"bytes"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// workerFD is the descriptor at which a worker finds its link.
const workerFD = 3

// socketPair gives two connected stream sockets that no other child inherits.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	mine := os.NewFile(uintptr(fds[0]), "worker link")
	theirs := os.NewFile(uintptr(fds[1]), "worker link")
	defer mine.Close()
	conn, err := unixConn(mine)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

func unixConn(f *os.File) (*net.UnixConn, error) {
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	if c, ok := conn.(*net.UnixConn); ok {
		return c, nil
	}
	return nil, errors.Join(errors.New("not a unix socket"), conn.Close())
}

// errNoOwner says that a worker was started by hand.
var errNoOwner = errors.New("link: this process was not started by an owner of a bench; use hil-runner run")

// Inherited is the link that this process was started with, for a worker. It
// is to be called once, before the process starts others.
func Inherited() (net.Conn, error) {
	// Looked at first: in a process that was started by hand this descriptor
	// is something else, perhaps the runtime's, and must stay open.
	var st unix.Stat_t
	if err := unix.Fstat(workerFD, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, errNoOwner
	}
	unix.CloseOnExec(workerFD)
	f := os.NewFile(workerFD, "worker link")
	defer f.Close()
	conn, err := unixConn(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoOwner, err)
	}
	return conn, nil
}

// BuildID identifies the running executable by the id that the Go linker gave
// it; two builds of the same source with the same toolchain share it.
func BuildID() (string, error) {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("link: build id: %w", err)
	}
	defer f.Close()
	section := f.Section(".note.go.buildid")
	if section == nil {
		return "", errors.New("link: build id: the executable has no .note.go.buildid")
	}
	note, err := section.Data()
	if err != nil {
		return "", fmt.Errorf("link: build id: %w", err)
	}
	// ELF note: name size, descriptor size, type, name "Go\0\0", descriptor.
	const head = 16
	if len(note) <= head {
		return "", errors.New("link: build id: the note is empty")
	}
	id := bytes.TrimRight(note[head:], "\x00")
	if i := bytes.LastIndexByte(id, '/'); i >= 0 {
		return string(id[i+1:]), nil
	}
	return hex.EncodeToString(id), nil
}
