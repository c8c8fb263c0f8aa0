package hostlab_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"hil-runner/farm"
	"hil-runner/farm/virtlab"
	"hil-runner/recorder"
)

func TestResetBringsNewerBanner(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.bench("hl1")
	for i := range 3 {
		from := b.Recording.End()
		if err := b.Reset.Reset(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		pulse := waitEvent(t, b.Recording, from, "reset")
		if end := waitEvent(t, b.Recording, from, "reset_ended"); end.Offset <= pulse.Offset || end.fields["ok"] != true {
			t.Errorf("reset %d: pulse at %d, end %+v", i, pulse.Offset, end.fields)
		}
		if got := b.Build(); !strings.HasPrefix(got, "150410-c2e37a3") {
			t.Errorf("build is %q", got)
		}
	}
	if s := h.stats("hl1"); s.Resets < 3 {
		t.Errorf("the module felt %d resets", s.Resets)
	}
}

// A reset that nothing follows names the board, the port, the limit, and what
// came; it is the lab's fault.
func TestResetIneffective(t *testing.T) {
	t.Parallel()
	for _, kind := range []virtlab.FaultKind{virtlab.FaultStuckReset, virtlab.FaultDead} {
		t.Run(string(kind), func(t *testing.T) {
			h := newHost(t, setup{banner: 300 * time.Millisecond, faults: []virtlab.Fault{{Kind: kind}}})
			b := h.bench("hl1")
			err := b.Reset.Reset(t.Context(), 0)
			wantCode(t, err, "reset_ineffective", "hl1", b.Board.Port, "300ms", "limit banner", "0 bytes came", "#reset")
			if !errors.Is(err, farm.ErrResetIneffective) {
				t.Errorf("%v is no ErrResetIneffective", err)
			}
			if level := h.level("hl1", virtlab.LineReset); level != virtlab.Float {
				t.Errorf("the line is left %v", level)
			}
		})
	}
}

// A banner that was there before the pulse does not count.
func TestStaleBannerDoesNotCount(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{banner: 300 * time.Millisecond})
	b := h.fresh("hl1")
	boots := h.stats("hl1").Boots
	h.inject("hl1", virtlab.Fault{Kind: virtlab.FaultStuckReset})
	h.inject("hl1", virtlab.Fault{Kind: virtlab.FaultBrownOut})
	h.until("the module has started anew", func() bool { return h.stats("hl1").Boots > boots })
	h.stats("hl1") // and what it said is in the terminal
	// The pulse is long enough for the port to be read empty, as a real one is.
	if err := b.Reset.Reset(t.Context(), 100*time.Millisecond); !errors.Is(err, farm.ErrResetIneffective) {
		t.Errorf("a reset that the module did not feel gave %v", err)
	}
}

// A module whose saved speed is another one is found and kept.
func TestOtherSpeedIsFound(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{banner: time.Second})
	b := h.fresh("hl1")
	m := module(b)
	if err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.SetConfig(t.Context(), "console1_speed", "9600"), m.Save(t.Context())); err != nil {
		t.Fatal(err)
	}
	from := b.Recording.End()
	if err := b.Reset.Reset(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if e := waitEvent(t, b.Recording, from, "baud_found"); e.text("baud") != "9600" {
		t.Errorf("found %v", e.fields)
	}
	if err := module(b).Sync(t.Context()); err != nil {
		t.Errorf("after the reset: %v", err)
	}
	if s := h.stats("hl1"); s.HostBaud != 9600 || s.Baud != 9600 {
		t.Errorf("host at %d, module at %d", s.HostBaud, s.Baud)
	}
	if got := incidents(t, b.Recording, from); len(got) > 0 {
		t.Errorf("incidents %v", got)
	}
	// A flashing brings the factory's speed back.
	if _, err := b.Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.4"}, nil); err != nil {
		t.Fatal(err)
	}
	if s := h.stats("hl1"); s.HostBaud != 115200 || s.Baud != 115200 {
		t.Errorf("after flashing: host at %d, module at %d", s.HostBaud, s.Baud)
	}
}

// A reset that is broken off releases the line at once.
func TestResetBrokenOff(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.bench("hl1")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the spec died")
	ended := make(chan error, 1)
	from := b.Recording.End()
	go func() { ended <- b.Reset.Reset(ctx, time.Hour) }()
	waitEvent(t, b.Recording, from, "reset")
	cancel(why)
	if err := <-ended; !errors.Is(err, why) {
		t.Errorf("it ended with %v", err)
	}
	if level := h.level("hl1", virtlab.LineReset); level != virtlab.Float {
		t.Errorf("the line is left %v", level)
	}
}

func TestPower(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	if err := b.Power.On(t.Context()); err != nil {
		t.Errorf("switching on what is on: %v", err)
	}
	before := h.stats("hl1").PowerCycles
	from := b.Recording.End()
	if err := b.Power.Off(t.Context()); err != nil {
		t.Fatal(err)
	}
	off := time.Now()
	if s := h.stats("hl1").State; s != virtlab.StateOff {
		t.Fatalf("the module is %v", s)
	}
	if err := b.Power.On(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(off); d < 190*time.Millisecond {
		t.Errorf("the supply was off for %v only", d)
	}
	if got := h.stats("hl1").PowerCycles; got != before+1 {
		t.Errorf("%d power cycles", got-before)
	}
	var seen []string
	for _, e := range events(t, b.Recording, from) {
		if e.Kind == recorder.KindPower {
			seen = append(seen, e.text("on"))
		}
	}
	if strings.Join(seen, " ") != "false true" {
		t.Errorf("the journal has %v", seen)
	}
}

// A board whose supply comes back without a banner names the power.
func TestPowerIneffective(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{banner: 300 * time.Millisecond, faults: []virtlab.Fault{{Kind: virtlab.FaultDead}}})
	b := h.bench("hl1")
	if err := b.Power.Off(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := b.Power.On(t.Context())
	wantCode(t, err, "power_ineffective", "hl1", b.Board.Port, "300ms", "power on")
}

func TestNames(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.bench("hl1")
	if err := b.Net.SetName(t.Context(), "api.example", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	if err := b.Net.SetName(t.Context(), "api.example", ""); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][2]string{{"a\nline reset low", "127.0.0.1"}, {"a b", "127.0.0.1"}, {"", "127.0.0.1"}, {"a", "127.0.0.1\nx"}, {"a", "nowhere"}} {
		wantCode(t, b.Net.SetName(t.Context(), bad[0], bad[1]), "name")
	}
	if level := h.level("hl1", virtlab.LineReset); level != virtlab.Float {
		t.Errorf("the reset line is %v", level)
	}
}
