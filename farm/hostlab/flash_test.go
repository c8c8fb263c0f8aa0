package hostlab_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"hil-runner/farm"
	"hil-runner/farm/hostlab"
	"hil-runner/farm/virtlab"
	"hil-runner/recorder"
	"hil-runner/reports"
)

// The whole way: image, passport, build, factory settings, and what a trusting
// operator then saves.
func TestFlash(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	m := module(b)
	if err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.SetConfig(t.Context(), "blink_led", "1"), m.Save(t.Context())); err != nil {
		t.Fatal(err)
	}
	from := b.Recording.End()
	stages := map[string]int{}
	out, err := b.Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.0.0"}, func(stage string, done, total int) {
		if done > total {
			t.Errorf("stage %s: %d of %d", stage, done, total)
		}
		stages[stage]++
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.Attempts != 1 || out.Strategy == "" || out.BytesWritten == 0 || out.WireBytes < out.BytesWritten || out.At115200 < 10*time.Second || out.SHA256 == "" {
		t.Errorf("result %+v", out)
	}
	for _, stage := range []string{"sync", "identify", "write"} {
		if stages[stage] == 0 {
			t.Errorf("no progress of stage %s: %v", stage, stages)
		}
	}
	if !strings.HasPrefix(b.Build(), "170310-facade0") {
		t.Errorf("the module reports %q", b.Build())
	}
	p := h.passport("hl1")
	if p.SHA256 != out.SHA256 || p.Build != out.Build || p.Cycles != 1 || p.Failed != 0 || p.Void != nil || p.Interrupted != nil {
		t.Errorf("passport %+v", p)
	}
	// AT&F was done, and what is read starts at the module's last start.
	got, err := readUntil(b, "+WIND:0:")
	if err != nil || !strings.HasPrefix(strings.TrimLeftFunc(got, noise), "\r\n+WIND:") {
		t.Errorf("the bench reads %q, %v", got, err)
	}
	m = module(b)
	if err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := m.Config(t.Context(), "blink_led"); err != nil || v != "0" {
		t.Errorf("blink_led is %q, %v", v, err)
	}
	if e := waitEvent(t, b.Recording, from, "flash_ended"); e.Kind != recorder.KindFlash || e.fields["ok"] != true {
		t.Errorf("on the journal: %v", e.fields)
	}
	trusted(t, h, b, out)
}

// noise is what a module may send around a reset.
func noise(r rune) bool { return r == 0 || r == utf8.RuneError }

// trusted flashes what is there already, on the word of the passport, and then
// after somebody else wrote the flash.
func trusted(t *testing.T, h *host, b *farm.Bench, before reports.Flash) {
	ops := h.stats("hl1").FlashOps
	req := farm.FlashRequest{Release: "3.0.0", TrustPassport: true}
	out, err := b.Flash.Flash(t.Context(), req, nil)
	if err != nil || out.Strategy != "passport" || out.WireBytes != 0 || out.SHA256 != before.SHA256 {
		t.Errorf("trusting the passport: %+v, %v", out, err)
	}
	if now := h.stats("hl1"); now.FlashOps != ops || now.State != virtlab.StateApp {
		t.Errorf("it did %d flash operations; the module is %v", now.FlashOps-ops, now.State)
	}
	// The module reports another build than the passport's: it is void.
	h.inject("hl1", virtlab.Fault{Kind: virtlab.FaultWrongBuild, Build: "200101-1234567"})
	from := b.Recording.End()
	if err := b.Reset.Reset(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	e := waitEvent(t, b.Recording, from, "passport_void")
	if p := h.passport("hl1"); p.Void == nil || p.Void.Reason != e.text("reason") ||
		!strings.Contains(p.Void.Reason, "200101-1234567") || !strings.Contains(p.Void.Reason, "170310-facade0") {
		t.Errorf("passport %+v, void %+v", p, p.Void)
	}
	if err := h.virtual.Board(h.id("hl1")).Heal(); err != nil {
		t.Fatal(err)
	}
	// A void passport is not trusted: every byte is looked at.
	out, err = b.Flash.Flash(t.Context(), req, nil)
	if err != nil || out.Strategy == "passport" || out.BytesRead == 0 {
		t.Errorf("after the passport was void: %+v, %v", out, err)
	}
	if p := h.passport("hl1"); p.Void != nil {
		t.Errorf("a proved flash still has a void passport: %+v", p.Void)
	}
}

func TestFlashWrongBuild(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{faults: []virtlab.Fault{{Kind: virtlab.FaultWrongBuild}}})
	b := h.bench("hl1")
	out, err := b.Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.0.0"}, nil)
	wantCode(t, err, "version_mismatch", "hl1", "170310-facade0", "140101-badbad0")
	if outcome, _ := farm.CauseOf(err); outcome != reports.Failed {
		t.Errorf("it is %s", outcome)
	}
	if out.Attempts != 1 {
		t.Errorf("%d attempts: another one cannot change it", out.Attempts)
	}
	if s := h.stats("hl1").State; s != virtlab.StateApp {
		t.Errorf("the module is %v", s)
	}
}

// A flashing that breaks down is tried again after a power cycle, and counted.
func TestFlashRetry(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	cycles := h.stats("hl1").PowerCycles
	hung := false
	out, err := b.Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.5.3"}, func(stage string, done, _ int) {
		if stage == "write" && done > 8192 && !hung {
			hung = true
			h.inject("hl1", virtlab.Fault{Kind: virtlab.FaultHang})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.Attempts != 2 || len(out.Causes) != 1 || !strings.HasPrefix(out.Causes[0].Code, "flash_") || !strings.Contains(out.Causes[0].Detail, "page ") {
		t.Errorf("result %+v", out)
	}
	if got := h.stats("hl1").PowerCycles - cycles; got != 1 {
		t.Errorf("%d power cycles between the attempts", got)
	}
	if p := h.passport("hl1"); p.Failed != 1 || p.SHA256 != out.SHA256 || p.Interrupted != nil {
		t.Errorf("passport %+v", p)
	}
}

// A module that does not answer its boot ROM fails twice, as the lab's fault.
func TestFlashFails(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{banner: 300 * time.Millisecond, faults: []virtlab.Fault{{Kind: virtlab.FaultDead}}})
	b := h.bench("hl1")
	from := b.Recording.End()
	out, err := b.Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.5.3"}, nil)
	wantCode(t, err, "flash_sync", "hl1", b.Board.Port)
	if outcome, cause := farm.CauseOf(err); outcome != reports.Errored || cause.Class != reports.Infra {
		t.Errorf("it is %s, %+v", outcome, cause)
	}
	if out.Attempts != 2 || len(out.Causes) != 2 {
		t.Errorf("result %+v", out)
	}
	if p := h.passport("hl1"); p.Failed != 2 {
		t.Errorf("passport %+v", p)
	}
	if e := waitEvent(t, b.Recording, from, "flash_ended"); e.fields["ok"] != false || !strings.Contains(e.text("error"), "hl1") {
		t.Errorf("on the journal: %v", e.fields)
	}
	if level := h.level("hl1", virtlab.LineBoot0); level == virtlab.High {
		t.Error("BOOT0 is left high")
	}
}

// A flashing that somebody ends leaves the module out of its boot ROM.
func TestFlashInterrupted(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{banner: 2 * time.Second})
	b := h.fresh("hl1")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := b.Flash.Flash(ctx, farm.FlashRequest{Release: "3.5.3"}, func(stage string, done, _ int) {
		if stage == "write" && done > 8192 {
			cancel(&farm.Interrupted{Signal: "SIGTERM"})
		}
	})
	if farm.ExitCode(err) != farm.ExitInterrupted || !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if boot0, s := h.level("hl1", virtlab.LineBoot0), h.stats("hl1").State; boot0 == virtlab.High || s == virtlab.StateROM {
		t.Errorf("BOOT0 is %v, the module %v", boot0, s)
	}
	if p := h.passport("hl1"); p.Interrupted == nil || p.Failed != 0 {
		t.Errorf("passport %+v", p)
	}
	if s := h.stats("hl1"); s.HostBaud != 115200 {
		t.Errorf("the port is at %d", s.HostBaud)
	}
	// Half a firmware does not start, and the reset says why.
	wantCode(t, b.Reset.Reset(t.Context(), 0), "reset_ineffective", "did not come to its end: flash it again")
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFlashLimitAndRefusals(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{boards: 3, change: func(d *hostlab.Device) {
		switch d.Board.ID[len(d.Board.ID)-3:] {
		case "hl1":
			d.Board.Limits.Flash = 20 * time.Millisecond
		case "hl2":
			d.Board.Model = "SPWF04SA"
		case "hl3":
			d.Lines.Boot0 = nil
		}
	}})
	_, err := h.bench("hl1").Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.5.3"}, nil)
	if _, cause := farm.CauseOf(err); !strings.HasPrefix(cause.Code, "flash_") || !strings.Contains(err.Error(), "limit flash (20ms)") {
		t.Errorf("the limit gave %v", err)
	}
	resets := h.stats("hl2").Resets
	_, err = h.bench("hl2").Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.5.3"}, nil)
	if farm.ExitCode(err) != farm.ExitUsage || !strings.Contains(err.Error(), "SPWF04SA") || h.stats("hl2").Resets != resets {
		t.Errorf("an image for another model gave %v", err)
	}
	_, err = h.bench("hl2").Flash.Flash(t.Context(), farm.FlashRequest{Release: "9.9"}, nil)
	if farm.ExitCode(err) != farm.ExitUsage {
		t.Errorf("an unknown release gave %v", err)
	}
	if b := h.bench("hl3"); b.Flash != nil {
		t.Error("a board without BOOT0 has a flasher")
	}
}
