package virtlab

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// visits watches hosts open and close terminals, which the module cannot see
// otherwise because it keeps the host's side open itself. With a close a
// terminal forgets exclusive use, as a real port does: TIOCEXCL of a host that
// was killed would lock every other user but root out for ever. An open makes
// all that waits unread in the terminal old.
type visits struct {
	fd   int
	file *os.File // of fd
	done chan struct{}

	mu        sync.Mutex
	terminals map[int32]*ptyDoor // by watch
	buf       []byte
}

// watchVisits starts; without inotify it gives nil, and a nil visits lets
// everything through.
func watchVisits() *visits {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil // out of instances: the lab works without
	}
	v := &visits{fd: fd, file: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{}),
		terminals: map[int32]*ptyDoor{}, buf: make([]byte, 4096)}
	go v.run()
	return v
}

func (v *visits) add(d *ptyDoor) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if w, err := unix.InotifyAddWatch(v.fd, d.name, unix.IN_OPEN|unix.IN_CLOSE); err == nil {
		d.watch = int32(w)
		v.terminals[d.watch] = d
		d.visits.Store(v)
	}
}

// remove must come before the terminal is closed.
func (v *visits) remove(d *ptyDoor) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.terminals[d.watch] == d {
		delete(v.terminals, d.watch)
		_, _ = unix.InotifyRmWatch(v.fd, uint32(d.watch))
	}
}

// printing must come before each print: what comes now is not old.
func (v *visits) printing(d *ptyDoor) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.catchUp() // a host's open is told before its first byte comes
	d.old = false
}

// reset throws away what was printed before the last open, when nothing has
// been printed since: a host that opens the port and resets the module must
// not take an earlier start for the one that follows. A real port has lost
// what was sent to it while it was closed.
func (v *visits) reset(d *ptyDoor) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.catchUp()
	if v.terminals[d.watch] == d && d.old {
		_ = unix.IoctlSetInt(d.slave, unix.TCFLSH, unix.TCIFLUSH)
	}
}

func (v *visits) run() {
	defer close(v.done)
	raw, err := v.file.SyscallConn()
	if err != nil {
		return
	}
	// It ends when the file is closed.
	_ = raw.Read(func(uintptr) bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.catchUp()
		return false
	})
}

// catchUp takes all that has been told; mu is held.
func (v *visits) catchUp() {
	for {
		n, err := unix.Read(v.fd, v.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		for p := v.buf[:n]; len(p) >= unix.SizeofInotifyEvent; {
			v.visit(int32(binary.NativeEndian.Uint32(p)), binary.NativeEndian.Uint32(p[4:]))
			p = p[min(unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(p[12:])), len(p)):]
		}
	}
}

// visit notes opens or closes; mu is held. Opens are not counted, because the
// kernel tells several in a row as one.
func (v *visits) visit(watch int32, what uint32) {
	d, ok := v.terminals[watch]
	switch {
	case !ok:
	case what&unix.IN_OPEN != 0:
		d.old = true
	case what&unix.IN_CLOSE != 0:
		_ = unix.IoctlSetInt(d.slave, unix.TIOCNXCL, 0)
	}
}

func (v *visits) close() {
	if v == nil {
		return
	}
	_ = v.file.Close()
	<-v.done
}
