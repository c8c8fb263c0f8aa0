package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// scratchPrefix begins the names of this program's temporary folders.
const scratchPrefix = "hil-runner-"

// scratchLock is the file in a scratch folder that its owner holds locked.
const scratchLock = ".hil-runner-owner"

// scratch is a temporary folder of this process. It holds keys and sockets;
// what a killed process left behind is removed by the next one.
type scratch struct {
	dir  string
	lock *os.File
}

// newScratch makes a folder, and removes those of processes that are gone.
func newScratch() (_ *scratch, err error) {
	sweepScratch(os.TempDir())
	dir, err := os.MkdirTemp("", scratchPrefix)
	if err != nil {
		return nil, fmt.Errorf("temporary folder: %w; make room there or set TMPDIR", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	lock, err := os.OpenFile(filepath.Join(dir, scratchLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("temporary folder: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("temporary folder %s: lock: %w", dir, err), lock.Close())
	}
	return &scratch{dir: dir, lock: lock}, nil
}

// path is a place in the folder.
func (s *scratch) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// Close removes the folder.
func (s *scratch) Close() error {
	return errors.Join(os.RemoveAll(s.dir), s.lock.Close())
}

// sweepScratch removes the folders of this user whose owner is gone. It is a
// courtesy to the disk: what cannot be removed stays.
func sweepScratch(in string) {
	left, err := filepath.Glob(filepath.Join(in, scratchPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		if ownedByUs(dir) {
			removeAbandoned(dir)
		}
	}
}

func ownedByUs(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// removeAbandoned removes a folder whose lock nobody holds. One without a lock
// may be about to get it, or be somebody else's: it goes only if it is old and
// empty.
func removeAbandoned(dir string) {
	lock, err := os.OpenFile(filepath.Join(dir, scratchLock), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		if info, err := os.Lstat(dir); err == nil && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(dir)
		}
		return
	}
	if err != nil {
		return
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		_ = os.RemoveAll(dir)
	}
}
