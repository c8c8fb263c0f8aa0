package hostlab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hil-runner/farm"
	"hil-runner/farm/farmtest"
	"hil-runner/farm/hostlab"
	"hil-runner/farm/virtlab"
	"hil-runner/farm/virtlab/image"
	"hil-runner/firmware"
	"hil-runner/recorder"
	"hil-runner/spwf"
)

// patience bounds every wait of a test on a busy machine.
const patience = 30 * time.Second

// setup is what a test wants of its lab.
type setup struct {
	boards int
	faults []virtlab.Fault
	idle   farm.Idle
	banner time.Duration
	// change may alter a board's wiring.
	change func(d *hostlab.Device)
}

// host is a virtual lab and the host that owns its devices.
type host struct {
	*hostlab.Lab
	t       testing.TB
	prefix  string
	virtual *virtlab.Lab
	cfg     hostlab.Config
	token   uint64
}

// labs counts the virtual labs of this process.
var labs atomic.Int64

// newHost starts a virtual lab without delays and opens it.
func newHost(t testing.TB, s setup) *host {
	t.Helper()
	h := newVirtual(t, s)
	h.open()
	return h
}

// newVirtual starts the virtual lab alone.
func newVirtual(t testing.TB, s setup) *host {
	t.Helper()
	if s.boards == 0 {
		s.boards = 1
	}
	// Pins are registered for the whole process: each lab has ids of its own.
	prefix := fmt.Sprintf("x%dhl", labs.Add(1))
	lab, err := virtlab.New(virtlab.Config{Boards: s.boards, Prefix: prefix, Seed: 1, Faults: s.faults})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lab.Close() })
	dir := t.TempDir()
	fence, err := farm.OpenFence(filepath.Join(dir, "tokens"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fence.Close() })
	h := &host{t: t, prefix: prefix, virtual: lab, cfg: hostlab.Config{StateDir: dir, Fence: fence, Image: virtualImage}}
	for _, b := range lab.Boards() {
		h.cfg.Devices = append(h.cfg.Devices, device(b, filepath.Join(dir, "journal", b.ID), s))
	}
	return h
}

// device wires a virtual board as the built-in lab does.
func device(b *virtlab.Board, journal string, s setup) hostlab.Device {
	limits := farm.DefaultLimits()
	limits.Pulse, limits.Banner, limits.Command = 5*time.Millisecond, 5*time.Second, 10*time.Second
	if s.banner > 0 {
		limits.Banner = s.banner
	}
	line := func(role string) *farm.LineAddress {
		return &farm.LineAddress{Address: "sock:" + b.ControlPath + "#" + role}
	}
	d := hostlab.Device{Address: b.Address(), JournalDir: journal, Wiring: farm.Wiring{
		Net: "sock:" + b.ControlPath, Idle: s.idle,
		Board: farm.Board{ID: b.ID, Model: farm.DefaultModel, Port: b.UARTPath, Virtual: true, Limits: limits},
		Lines: farm.LabLines{Reset: line("reset"), Boot0: line("boot0"), GPIO0: line("gpio0"), Power: line("power")}}}
	if s.change != nil {
		s.change(&d)
	}
	return d
}

// virtualImage gives a built-in release.
func virtualImage(req farm.FlashRequest) (firmware.Image, error) {
	p, ok := image.Find(req.Release)
	if !ok {
		return firmware.Image{}, &farm.UsageError{Text: "no release " + req.Release}
	}
	data, err := image.Build(p)
	if err != nil {
		return firmware.Image{}, err
	}
	return firmware.NewImage(firmware.Entry{Release: req.Release, Build: p.Build(), Model: p.Chip,
		Address: image.Address, Method: firmware.UART, Virtual: true}, data)
}

// id is the real id of the board that the test calls hl1, hl2 and so on.
func (h *host) id(name string) string { return h.prefix + strings.TrimPrefix(name, "hl") }

// open opens the lab's devices; they are closed with the test.
func (h *host) open() {
	h.t.Helper()
	lab, err := hostlab.Open(h.t.Context(), h.cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Lab = lab
	h.t.Cleanup(func() {
		if h.Lab == lab {
			h.close()
		}
	})
}

func (h *host) close() {
	h.t.Helper()
	if err := h.Close(); err != nil && !strings.Contains(err.Error(), "is the lab that serves this socket up?") {
		h.t.Errorf("closing the lab: %v", err)
	}
	h.Lab = nil
}

// bench opens a board with a newer token than before.
func (h *host) bench(id string) *farm.Bench {
	h.t.Helper()
	h.token++
	b, err := h.Open(h.t.Context(), h.id(id), farmtest.NewLease(h.id(id), h.token))
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// fresh opens a board and resets it: what follows is not part of its start.
func (h *host) fresh(id string) *farm.Bench {
	h.t.Helper()
	b := h.bench(id)
	if err := b.Reset.Reset(h.t.Context(), 0); err != nil {
		h.t.Fatal(err)
	}
	return b
}

func (h *host) inject(id string, f virtlab.Fault) {
	h.t.Helper()
	if err := h.virtual.Board(h.id(id)).Inject(f); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) stats(id string) virtlab.Stats {
	h.t.Helper()
	s, err := h.virtual.Board(h.id(id)).Stats()
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// until asks again and again; every question goes through the module's loop.
func (h *host) until(what string, is func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); !is(); {
		if time.Now().After(end) {
			h.t.Fatalf("it never came to pass that %s", what)
		}
	}
}

func (h *host) level(id string, l virtlab.Line) virtlab.Level {
	h.t.Helper()
	level, err := h.virtual.Board(h.id(id)).Level(l)
	if err != nil {
		h.t.Fatal(err)
	}
	return level
}

// passport reads what is kept of a board's module.
func (h *host) passport(id string) *firmware.Passport {
	h.t.Helper()
	store, err := firmware.OpenPassports(filepath.Join(h.cfg.StateDir, "passports"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer store.Close()
	p, err := store.Load(h.id(id))
	if err != nil {
		h.t.Fatal(err)
	}
	p.Pages = nil // long, and not for messages
	return p
}

// module makes a driver of the module of a bench.
func module(b *farm.Bench) *spwf.Module {
	return spwf.New(b.UART, spwf.Options{Board: b.Board.ID, Limits: spwf.Limits{Command: b.Board.Limits.Command, Banner: b.Board.Limits.Banner}})
}

// event is a journal record that holds JSON.
type event struct {
	recorder.Record
	fields map[string]any
}

func (e event) text(key string) string { return fmt.Sprint(e.fields[key]) }

// waitEvent gives the next event of a name at or after an offset.
func waitEvent(t testing.TB, j *recorder.Journal, from recorder.Offset, name string) event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cursor := j.Cursor(from)
	defer cursor.Close()
	for {
		rec, err := cursor.Next(ctx)
		if err != nil {
			t.Fatalf("event %s never came: %v", name, err)
		}
		if e, ok := asEvent(rec); ok && e.text("event") == name {
			return e
		}
	}
}

func asEvent(rec recorder.Record) (event, bool) {
	if rec.Kind == recorder.KindRx || rec.Kind == recorder.KindTx {
		return event{}, false
	}
	e := event{Record: rec}
	return e, json.Unmarshal(rec.Data, &e.fields) == nil
}

// events gives all events that a journal has from an offset to its present
// end.
func events(t testing.TB, j *recorder.Journal, from recorder.Offset) []event {
	t.Helper()
	end, err := j.Event(recorder.KindNote, "end of the test", nil)
	if err != nil {
		t.Fatal(err)
	}
	cursor := j.Cursor(from)
	defer cursor.Close()
	var all []event
	for {
		rec, err := cursor.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if rec.Offset >= end {
			return all
		}
		if e, ok := asEvent(rec); ok {
			all = append(all, e)
		}
	}
}

// incidents counts the incidents since an offset.
func incidents(t testing.TB, j *recorder.Journal, from recorder.Offset) (codes []string) {
	t.Helper()
	for _, e := range events(t, j, from) {
		if e.text("event") == "incident" {
			codes = append(codes, e.text("code"))
		}
	}
	return codes
}

// wantCode checks the cause of an error and that it names what it must.
func wantCode(t testing.TB, err error, code string, names ...string) {
	t.Helper()
	if _, cause := farm.CauseOf(err); err == nil || cause.Code != code {
		t.Errorf("got %v, want the code %s", err, code)
		return
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %q", err, name)
		}
	}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerDir); dir != "" {
		if err := ownUntilKilled(dir); err != nil {
			fmt.Println(err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}
