package console

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawRead is read(2) on a descriptor that does not block, without telling the
// Go scheduler. A read from a terminal takes some microseconds; the scheduler's
// book-keeping for a call that might block, and its watcher that looks for
// calls that do, cost more CPU than the read itself.
func rawRead(fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	runtime.KeepAlive(p)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// yield gives the processor to whoever else can run: in a burst that is the
// kernel's worker, which has the next bytes of the terminal.
func yield() {
	_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}
