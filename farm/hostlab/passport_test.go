package hostlab_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hil-runner/farm"
	"hil-runner/farm/virtlab"
	"hil-runner/firmware"
)

// writePassport keeps a passport as a flashing would.
func writePassport(h *host, id, build string) {
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
	p.SHA256, p.Build = strings.Repeat("ab", 32), build
	if err := store.Save(p); err != nil {
		h.t.Fatal(err)
	}
}

const factoryBuild = "150410-c2e37a3"

// Somebody drove BOOT0 and reset by hand while no owner was there and left the
// module in its boot ROM: its passport is void.
func TestFoundInBootROM(t *testing.T) {
	t.Parallel()
	h := newVirtual(t, setup{boards: 2})
	writePassport(h, "hl1", factoryBuild)
	writePassport(h, "hl2", factoryBuild)
	b := h.virtual.Board(h.id("hl1"))
	if err := errors.Join(b.SetLine(virtlab.LineBoot0, virtlab.High), b.SetLine(virtlab.LineReset, virtlab.Low),
		b.SetLine(virtlab.LineReset, virtlab.Float)); err != nil {
		t.Fatal(err)
	}
	if s := h.stats("hl1").State; s != virtlab.StateROM {
		t.Fatalf("the module is %v", s)
	}
	h.open()
	if p := h.passport("hl1"); p.Void == nil || !strings.Contains(p.Void.Reason, "found in its boot ROM") {
		t.Errorf("passport %+v", p)
	}
	bench := h.bench("hl1")
	waitEvent(t, bench.Recording, 0, "passport_void")
	if err := module(bench).Sync(t.Context()); err != nil {
		t.Errorf("the module was left there: %v", err)
	}
	// The board beside it has kept its passport, and did not mind the question.
	if p := h.passport("hl2"); p.Void != nil {
		t.Errorf("passport %+v", p.Void)
	}
	if err := module(h.bench("hl2")).At(t.Context()); err != nil {
		t.Error(err)
	}
}

// Somebody else holds BOOT0: a reset that starts the boot ROM says so.
func TestResetIntoBootROM(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{banner: 300 * time.Millisecond})
	writePassport(h, "hl1", factoryBuild)
	b := h.fresh("hl1")
	if err := h.virtual.Board(h.id("hl1")).SetLine(virtlab.LineBoot0, virtlab.High); err != nil {
		t.Fatal(err)
	}
	err := b.Reset.Reset(t.Context(), 0)
	wantCode(t, err, "reset_ineffective", "hl1", "BOOT0 is high", "#boot0")
	if p := h.passport("hl1"); p.Void == nil || !strings.Contains(p.Void.Reason, "boot ROM") {
		t.Errorf("passport %+v", p)
	}
	if err := h.virtual.Board(h.id("hl1")).SetLine(virtlab.LineBoot0, virtlab.Low); err != nil {
		t.Fatal(err)
	}
	if err := b.Reset.Reset(t.Context(), 0); err != nil {
		t.Errorf("after BOOT0 was released: %v", err)
	}
}

// Another module is in the slot, or somebody flashed it: seen at the first
// banner, and at opening when one came before.
func TestPassportOfAnotherBuild(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	writePassport(h, "hl1", factoryBuild+"-SPWF01S")
	if err := b.Power.Off(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Power.On(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := h.passport("hl1"); p.Void != nil {
		t.Errorf("the same build voided the passport: %+v", p.Void)
	}
	writePassport(h, "hl1", "170111-665d284")
	h.bench("hl1")
	if p := h.passport("hl1"); p.Void == nil || !strings.Contains(p.Void.Reason, "665d284") || !strings.Contains(p.Void.Reason, "c2e37a3") {
		t.Errorf("passport %+v", p)
	}
}

// A passport that cannot be read keeps nobody from flashing.
func TestBrokenPassport(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	dir := filepath.Join(h.cfg.StateDir, "passports")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, h.id("hl1")+".json"), []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	from := b.Recording.End()
	out, err := b.Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.4", TrustPassport: true}, nil)
	if err != nil || out.Strategy == "passport" {
		t.Fatalf("%+v, %v", out, err)
	}
	waitEvent(t, b.Recording, from, "passport_void")
	if p := h.passport("hl1"); p.SHA256 != out.SHA256 || p.Void != nil {
		t.Errorf("passport %+v", p)
	}
}
