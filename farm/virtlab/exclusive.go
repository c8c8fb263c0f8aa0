package virtlab

import (
	"encoding/binary"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// exclusives takes exclusive use of a terminal back when its user is gone. A
// host that sets TIOCEXCL and is then killed would lock every other user but
// root out for ever, because the terminal stays open on the module's side; a
// real port forgets it with the last close.
type exclusives struct {
	file *os.File
	fd   int
	done chan struct{}

	mu        sync.Mutex
	terminals map[int32]int // watch to descriptor
}

// watchExclusives starts; without inotify it gives nil, and a nil exclusives
// does nothing.
func watchExclusives() *exclusives {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil // out of instances: the lab works without
	}
	e := &exclusives{fd: fd, file: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{}), terminals: map[int32]int{}}
	go e.run()
	return e
}

func (e *exclusives) add(d *ptyDoor) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if w, err := unix.InotifyAddWatch(e.fd, d.name, unix.IN_CLOSE); err == nil {
		e.terminals[int32(w)] = d.slave
	}
}

// remove must come before the terminal is closed.
func (e *exclusives) remove(d *ptyDoor) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for w, fd := range e.terminals {
		if fd == d.slave {
			delete(e.terminals, w)
			_, _ = unix.InotifyRmWatch(e.fd, uint32(w))
		}
	}
}

func (e *exclusives) run() {
	defer close(e.done)
	buf := make([]byte, 4096)
	for {
		n, err := e.file.Read(buf)
		if err != nil {
			return
		}
		for p := buf[:n]; len(p) >= unix.SizeofInotifyEvent; {
			e.release(int32(binary.NativeEndian.Uint32(p)))
			p = p[min(unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(p[12:])), len(p)):]
		}
	}
}

func (e *exclusives) release(watch int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if fd, ok := e.terminals[watch]; ok {
		_ = unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
	}
}

func (e *exclusives) close() {
	if e == nil {
		return
	}
	_ = e.file.Close()
	<-e.done
}
