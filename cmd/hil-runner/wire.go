package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aead.dev/minisign"

	"hil-runner/farm"
	"hil-runner/farm/hostlab"
	"hil-runner/farm/virtlab"
	"hil-runner/firmware"
	"hil-runner/gpio"
	"hil-runner/reports"
	"hil-runner/suites/spec"
)

// This file is the only one that names implementations: which hardware stands
// behind a lab, and where its firmware comes from.

// lab is a lab before anything of it was opened.
type lab struct {
	name    string
	wirings []farm.Wiring
	// release is what run flashes unless told otherwise; empty flashes nothing.
	release string
	wifi    spec.WiFi
	// address is where this host serves endpoints.
	address string
	keys    []minisign.PublicKey
	folder  string // of the catalogue; empty for the built-in images
	// virtual is set for the built-in lab.
	virtual *virtlab.Config
	// stateDir keeps passports and lease tokens; empty for the built-in lab,
	// whose modules do not outlive the process.
	stateDir string
}

// builtInBanner is how long a virtual module may take to its banner; they
// have no delays.
const builtInBanner = 3 * time.Second

// defaultRelease is what the built-in lab is flashed with.
const defaultRelease = "3.0.0"

// maxVirtual bounds the built-in lab: each board is a pseudo terminal, and a
// host has some thousand.
const maxVirtual = 1000

// builtInLab describes the lab that needs no lab file: virtual modules
// without delays.
func builtInLab(boards int, seed uint64) (*lab, error) {
	if boards == 0 {
		boards = 4
	}
	if boards < 0 || boards > maxVirtual {
		return nil, &farm.UsageError{Text: fmt.Sprintf("--boards %d: want 1 to %d", boards, maxVirtual)}
	}
	access := virtlab.DefaultAccess()
	l := &lab{name: "virtual lab", release: defaultRelease, address: virtlab.HostAddress,
		wifi:    spec.WiFi{SSID: access.SSID, PSK: access.PSK},
		virtual: &virtlab.Config{Boards: boards, Seed: seed}}
	limits := farm.DefaultLimits()
	// 1 ms is the shortest pulse that is known to reset the module.
	limits.Pulse, limits.Banner, limits.Command = time.Millisecond, builtInBanner, 10*time.Second
	for n := 1; n <= boards; n++ {
		id := fmt.Sprintf("vb%d", n)
		l.wirings = append(l.wirings, farm.Wiring{Baud: farm.DefaultBaud, Idle: farm.IdleRunning,
			Board: farm.Board{ID: id, Model: farm.DefaultModel, Slot: fmt.Sprintf("virtual %d", n), Port: "virtual",
				Tags: map[string]string{"kind": "virtual"}, Virtual: true, Limits: limits}})
	}
	return l, nil
}

// loadLab reads the lab file, or describes the built-in lab when there is none.
func loadLab(path string, boards int, seed uint64) (*lab, error) {
	if path == "" {
		return builtInLab(boards, seed)
	}
	file, err := farm.LoadLab(path)
	if err != nil {
		return nil, err
	}
	l := &lab{name: file.Lab, wirings: file.Wirings(), release: file.Firmware.Release, folder: file.CatalogueDir(),
		wifi: spec.WiFi{SSID: file.Network.SSID, PSK: file.Network.PSK.Reveal()}, address: file.Network.EndpointAddress}
	for _, text := range file.Firmware.Keys {
		var key minisign.PublicKey
		if err := key.UnmarshalText([]byte(text)); err != nil {
			return nil, &farm.UsageError{Text: fmt.Sprintf("lab file %s: firmware key %q: %v", path, text, err)}
		}
		l.keys = append(l.keys, key)
	}
	l.stateDir, err = stateDir()
	return l, err
}

// inject reads a fault file, if there is one, for the built-in lab.
func (l *lab) inject(path string) (err error) {
	if path == "" {
		return nil
	}
	if l.virtual == nil {
		return &farm.UsageError{Text: "--faults is for the built-in virtual lab", Hint: "leave --lab and HIL_LAB out, or give the file to lab up"}
	}
	l.virtual.Faults, err = loadFaults(path, idsOf(l.boards()))
	return err
}

// stateDir is where this host keeps what must outlive a run.
func stateDir() (string, error) {
	base := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(base) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("state folder: %w; set XDG_STATE_HOME", err)
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "hil-runner"), nil
}

// boards lists the lab's boards.
func (l *lab) boards() []farm.Board {
	boards := make([]farm.Board, len(l.wirings))
	for i, w := range l.wirings {
		boards[i] = w.Board
	}
	return boards
}

// openLab is a lab whose devices this process owns.
type openLab struct {
	*hostlab.Lab
	locker  *farm.LocalLocker
	fence   *farm.Fence
	virtual *virtlab.Lab
	scratch *scratch
	// boards are the chosen ones, now with the paths of their UARTs.
	boards []farm.Board
}

// openRequest says what is opened, and for what.
type openRequest struct {
	boards []farm.Board
	// image is what may be flashed; nil for a lab that flashes nothing.
	image *firmware.Image
	// journal gives each board's folder for its journal; nil for the one
	// that a board has outside of runs.
	journal func(board string) string
}

// open takes the devices of the chosen boards.
func (l *lab) open(ctx context.Context, req openRequest) (_ *openLab, err error) {
	o := &openLab{}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close())
		}
	}()
	if o.scratch, err = newScratch(); err != nil {
		return nil, &farm.InfraError{Code: "scratch", Detail: "open the lab", Err: err}
	}
	state := l.stateDir
	if state == "" {
		state = o.scratch.path("state")
	}
	if err := l.startVirtual(o); err != nil {
		return nil, err
	}
	if o.fence, err = farm.OpenFence(filepath.Join(state, "tokens")); err != nil {
		return nil, &farm.InfraError{Code: "state", Detail: "keep state on this host; set XDG_STATE_HOME to a folder that can be written", Err: err}
	}
	cfg := hostlab.Config{StateDir: state, Fence: o.fence}
	if req.image != nil {
		cfg.Image = func(farm.FlashRequest) (firmware.Image, error) { return *req.image, nil }
	}
	if req.journal == nil {
		req.journal = func(board string) string { return filepath.Join(state, "journals", reports.FileName(board)) }
	}
	pins := false
	for _, b := range req.boards {
		w := l.wiring(b.ID)
		pins = pins || hasPins(w)
		cfg.Devices = append(cfg.Devices, hostlab.Device{Wiring: w, Address: l.address, JournalDir: req.journal(b.ID)})
		o.boards = append(o.boards, w.Board)
	}
	if pins && l.virtual == nil {
		if err := gpio.Host(ctx); err != nil {
			return nil, &farm.InfraError{Code: "line", Detail: "open this machine's pins", Err: err}
		}
	}
	o.locker = farm.NewLocalLocker(o.boards, o.fence)
	o.Lab, err = hostlab.Open(ctx, cfg)
	return o, err
}

// startVirtual starts the built-in lab, if this is it, and wires it.
func (l *lab) startVirtual(o *openLab) error {
	if l.virtual == nil {
		return nil
	}
	cfg := *l.virtual
	cfg.Dir = o.scratch.path("lab")
	var err error
	if o.virtual, err = virtlab.New(cfg); err != nil {
		return err
	}
	for i, b := range o.virtual.Boards() {
		line := func(role string) *farm.LineAddress { return &farm.LineAddress{Address: b.ID + "-" + role} }
		l.wirings[i].Board.Port = b.UARTPath
		l.wirings[i].Net = "sock:" + b.ControlPath
		l.wirings[i].Lines = farm.LabLines{Reset: line("reset"), Boot0: line("boot0"), GPIO0: line("gpio0"), Power: line("power")}
	}
	return nil
}

// whoHas adds to the error of a busy board who has it, as far as this host's
// state tells.
func (l *lab) whoHas(board string, err error) error {
	if !errors.Is(err, farm.ErrBoardBusy) {
		return err
	}
	holder := "another process"
	mark, readErr := os.ReadFile(filepath.Join(l.stateDir, "open", reports.FileName(board)))
	if text := strings.TrimSpace(string(mark)); readErr == nil && text != "" {
		holder = text
	}
	return &farm.InfraError{Code: "board_busy", Detail: fmt.Sprintf("board %s is in use by %s; wait for it, or take another board", board, holder), Err: err}
}

func (l *lab) wiring(id string) farm.Wiring {
	for _, w := range l.wirings {
		if w.Board.ID == id {
			return w
		}
	}
	return farm.Wiring{}
}

// hasPins tells whether a board has lines on this machine's own pins.
func hasPins(w farm.Wiring) bool {
	for _, at := range []*farm.LineAddress{w.Lines.Reset, w.Lines.Boot0, w.Lines.GPIO0, w.Lines.Power} {
		if at != nil && !strings.HasPrefix(at.Address, "sock:") {
			return true
		}
	}
	return false
}

// Close parks the boards and gives everything back.
func (o *openLab) Close() error {
	var errs []error
	if o.Lab != nil {
		errs = append(errs, o.Lab.Close())
	}
	if o.locker != nil {
		errs = append(errs, o.locker.Close())
	}
	if o.fence != nil {
		errs = append(errs, o.fence.Close())
	}
	if o.virtual != nil {
		errs = append(errs, o.virtual.Close())
	}
	if o.scratch != nil {
		errs = append(errs, o.scratch.Close())
	}
	return errors.Join(errs...)
}
