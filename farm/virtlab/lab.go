package virtlab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"hil-runner/farm/virtlab/app"
	"hil-runner/farm/virtlab/chip"
)

// Config describes a lab.
type Config struct {
	// Boards is how many modules there are; their ids are Prefix and a number
	// from 1. Default 4.
	Boards int
	// Prefix of the ids; default "vb". Labs of one process need different
	// ones, because periph's registry of pins is one for the process.
	Prefix string
	// Seed, Speed and Pace are as in Options.
	Seed  uint64
	Speed float64
	Pace  bool
	// Dir takes <board>.uart (a link to the pseudo terminal) and <board>.ctl
	// (the control socket). It is made when it is not there. Empty means a
	// temporary directory that Close removes.
	Dir string
	// Release is in the fresh flash of every board; default DefaultRelease.
	Release string
	// FlashTimes, Access, Names and Outside are as in Options.
	FlashTimes chip.Times
	Access     app.AccessPoint
	Names      map[string]string
	Outside    bool
	// Faults to inject, each on its own board or on all.
	Faults []Fault
}

// Board is one module of a lab with its doors.
type Board struct {
	// ID is the board's name; its pins in periph's registry are ID-reset,
	// ID-boot0, ID-gpio0 and ID-power.
	ID string
	// UARTPath is a stable link to the pseudo terminal, ControlPath the
	// control socket.
	UARTPath    string
	ControlPath string
	// Module is the hardware itself.
	*Module

	control *control
	pins    []*Pin
	tty     *ptyDoor
}

// Lab is a running lab.
type Lab struct {
	boards  []*Board
	dir     string
	private bool // dir is ours to remove
	visits  *visits
}

// New starts a lab. All its boards are on when it returns; Close ends it.
func New(cfg Config) (*Lab, error) {
	if cfg.Boards == 0 {
		cfg.Boards = 4
	}
	if cfg.Boards < 0 || cfg.Boards > maxBoards {
		return nil, fmt.Errorf("virtual lab: %d boards: want 1 to %d", cfg.Boards, maxBoards)
	}
	if cfg.Prefix == "" {
		cfg.Prefix = "vb"
	}
	if err := checkFaults(cfg); err != nil {
		return nil, err
	}
	if cfg.Release == "" {
		cfg.Release = DefaultRelease
	}
	firmware, err := builtIn(cfg.Release)
	if err != nil {
		return nil, fmt.Errorf("virtual lab: %w", err)
	}
	lab := &Lab{dir: cfg.Dir}
	if err := lab.makeDir(); err != nil {
		return nil, err
	}
	lab.visits = watchVisits()
	for n := 1; n <= cfg.Boards; n++ {
		b, err := lab.open(cfg, n, firmware)
		if err != nil {
			return nil, errors.Join(err, lab.Close())
		}
		lab.boards = append(lab.boards, b)
	}
	return lab, nil
}

// checkFaults gives all problems of a configuration's faults at once.
func checkFaults(cfg Config) error {
	known := map[string]bool{"": true, "*": true}
	for n := 1; n <= cfg.Boards; n++ {
		known[cfg.Prefix+strconv.Itoa(n)] = true
	}
	var errs []error
	for i, f := range cfg.Faults {
		if !known[f.Board] {
			errs = append(errs, fmt.Errorf("fault %d: board %q is not in the lab (%s1 to %s%d)", i+1, f.Board, cfg.Prefix, cfg.Prefix, cfg.Boards))
		}
		if err := f.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("fault %d: %w", i+1, err))
		}
	}
	return errors.Join(errs...)
}

func (l *Lab) makeDir() error {
	var err error
	if l.dir == "" {
		l.private = true
		l.dir, err = os.MkdirTemp("", "virtlab-")
	} else {
		err = os.MkdirAll(l.dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("virtual lab: %w", err)
	}
	return nil
}

func (l *Lab) open(cfg Config, n int, firmware []byte) (*Board, error) {
	id := cfg.Prefix + strconv.Itoa(n)
	b := &Board{ID: id, UARTPath: filepath.Join(l.dir, id+".uart"), ControlPath: filepath.Join(l.dir, id+".ctl")}
	tty, err := openPTY(factoryBaud, cfg.Pace)
	if err != nil {
		return nil, fmt.Errorf("board %s: %w", id, err)
	}
	l.visits.add(tty)
	b.Module, err = startModule(Options{
		ID: id, Number: n, Seed: cfg.Seed, Speed: cfg.Speed, Pace: cfg.Pace, Release: cfg.Release, Image: firmware,
		FlashTimes: cfg.FlashTimes, Access: cfg.Access, Names: cfg.Names, Outside: cfg.Outside, Faults: cfg.Faults,
	}, tty)
	if err != nil {
		l.visits.remove(tty)
		return nil, errors.Join(err, tty.close())
	}
	b.tty = tty
	if err := b.expose(tty.name); err != nil {
		l.visits.remove(tty)
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// expose makes the board's paths and pins. What an earlier lab left behind in
// the same directory after a kill is replaced.
func (b *Board) expose(tty string) (err error) {
	if conn, err := net.Dial("unix", b.ControlPath); err == nil {
		_ = conn.Close()
		return fmt.Errorf("board %s: another lab serves %s; choose another directory or end that lab", b.ID, b.ControlPath)
	}
	for _, path := range []string{b.UARTPath, b.ControlPath} {
		if err := removeStale(path); err != nil {
			return fmt.Errorf("board %s: %w", b.ID, err)
		}
	}
	if err := os.Symlink(tty, b.UARTPath); err != nil {
		return fmt.Errorf("board %s: %w", b.ID, err)
	}
	if b.control, err = serveControl(b.Module, b.ControlPath); err != nil {
		return err
	}
	b.pins, err = registerPins(b.Module)
	return err
}

// removeStale removes a link or socket, never anything else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type()&(fs.ModeSymlink|fs.ModeSocket) == 0 {
		return fmt.Errorf("%s is in the way and is neither a link nor a socket", path)
	}
	return os.Remove(path)
}

func (b *Board) close() error {
	err := unregisterPins(b.pins)
	if b.control != nil {
		err = errors.Join(err, b.control.close())
	}
	err = errors.Join(err, b.Module.Close())
	if b.control != nil { // the paths are ours
		err = errors.Join(err, removeStale(b.UARTPath))
	}
	return err
}

// Boards are the lab's boards, in order.
func (l *Lab) Boards() []*Board { return l.boards }

// Board finds a board by its id, nil when there is none.
func (l *Lab) Board(id string) *Board {
	for _, b := range l.boards {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// Dir is where the boards' paths are.
func (l *Lab) Dir() string { return l.dir }

// Close switches all boards off, removes their paths and pins, and waits for
// everything that the lab started.
func (l *Lab) Close() error {
	errs := make([]error, len(l.boards))
	var work sync.WaitGroup
	for i, b := range l.boards {
		work.Go(func() {
			l.visits.remove(b.tty)
			errs[i] = b.close()
		})
	}
	work.Wait()
	l.boards = nil
	l.visits.close()
	l.visits = nil
	if l.private {
		errs = append(errs, os.RemoveAll(l.dir))
	}
	return errors.Join(errs...)
}
