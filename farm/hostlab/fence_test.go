package hostlab_test

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"hil-runner/farm"
	"hil-runner/farm/farmtest"
	"hil-runner/farm/hostlab"
	"hil-runner/farm/virtlab"
	"hil-runner/recorder"
)

// An older token can do nothing once a newer one was seen, though no new bench
// was opened with it.
func TestOlderTokenIsRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	if err := h.cfg.Fence.Admit(h.id("hl1"), h.token+1); err != nil {
		t.Fatal(err)
	}
	before := h.stats("hl1")
	_, writeErr := b.UART.Write([]byte("AT\r"))
	_, secretErr := b.UART.(interface{ WriteSecret([]byte) (int, error) }).WriteSecret([]byte("AT\r"))
	_, flashErr := b.Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.0.0"}, nil)
	_, eventErr := b.Journal.Event(t.Context(), recorder.KindSpec, "stale", nil)
	for what, err := range map[string]error{
		"write": writeErr, "secret": secretErr, "flash": flashErr, "event": eventErr,
		"reset": b.Reset.Reset(t.Context(), 0), "off": b.Power.Off(t.Context()), "on": b.Power.On(t.Context()),
		"name": b.Net.SetName(t.Context(), "a", "127.0.0.1"),
	} {
		if !errors.Is(err, farm.ErrLeaseLost) {
			t.Errorf("%s gave %v", what, err)
		}
	}
	if err := b.Close(t.Context()); err != nil {
		t.Errorf("close of an overtaken bench gave %v", err)
	}
	after := h.stats("hl1")
	if after.Commands != before.Commands || after.Resets != before.Resets || after.PowerCycles != before.PowerCycles {
		t.Errorf("the module felt something: %+v, then %+v", before, after)
	}
	if _, err := h.Open(t.Context(), h.id("hl1"), farmtest.NewLease(h.id("hl2"), 99)); err == nil {
		t.Error("the lease of another board opened this one")
	}
}

// Opening with a newer token ends what the older one had under way, and when
// it returns nothing of that goes on.
func TestNewerTokenEndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	old := h.fresh("hl1")
	from := old.Recording.End()
	reset, read := make(chan error, 1), make(chan error, 1)
	go func() { reset <- old.Reset.Reset(t.Context(), time.Hour) }()
	go func() {
		_, err := io.Copy(io.Discard, old.UART)
		read <- err
	}()
	waitEvent(t, old.Recording, from, "reset")
	young := h.bench("hl1")
	if level := h.level("hl1", virtlab.LineReset); level != virtlab.Float {
		t.Errorf("the new bench was given with reset %v", level)
	}
	for what, ended := range map[string]chan error{"reset": reset, "read": read} {
		if err := <-ended; !errors.Is(err, farm.ErrLeaseLost) {
			t.Errorf("the old %s ended with %v", what, err)
		}
	}
	if err := old.Close(t.Context()); err != nil {
		t.Errorf("close of the old bench: %v", err)
	}
	if err := module(young).Sync(t.Context()); err != nil {
		t.Errorf("the new bench: %v", err)
	}
}

// Parking brings the state that the lab file declares, and a bench brings the
// board back.
func TestIdleStates(t *testing.T) {
	t.Parallel()
	for idle, c := range map[farm.Idle]struct {
		reset virtlab.Level
		state virtlab.State
	}{
		farm.IdleRunning: {virtlab.Float, virtlab.StateApp},
		farm.IdleHeld:    {virtlab.Low, virtlab.StateReset},
		farm.IdleOff:     {virtlab.Float, virtlab.StateOff},
	} {
		t.Run(string(idle), func(t *testing.T) {
			h := newHost(t, setup{idle: idle})
			parked := func(when string) {
				t.Helper()
				if reset, state := h.level("hl1", virtlab.LineReset), h.stats("hl1").State; reset != c.reset || state != c.state {
					t.Errorf("%s: reset %v, module %v", when, reset, state)
				}
				if boot0 := h.level("hl1", virtlab.LineBoot0); boot0 == virtlab.High {
					t.Errorf("%s: BOOT0 is high", when)
				}
			}
			if idle != farm.IdleRunning { // that one may still be starting
				parked("after opening the lab")
			}
			b := h.fresh("hl1")
			if err := module(b).Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := incidents(t, b.Recording, b.From); len(got) > 0 {
				t.Errorf("incidents %v", got)
			}
			if err := b.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			parked("after closing the bench")
			if err := h.Park(t.Context(), h.id("hl1")); err != nil {
				t.Fatal(err)
			}
			parked("after parking again")
			j := b.Recording
			if e := waitEvent(t, j, b.From, "parked"); e.Kind != recorder.KindControl || e.fields["ok"] != true {
				t.Errorf("parked as %v", e.fields)
			}
		})
	}
}

func TestClosedBench(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, readErr := b.UART.Read(make([]byte, 8))
	_, eventErr := b.Journal.Event(t.Context(), recorder.KindNote, "late", nil)
	for what, err := range map[string]error{"read": readErr, "event": eventErr, "deadline": b.UART.SetReadDeadline(time.Time{})} {
		if !errors.Is(err, farm.ErrClosed) {
			t.Errorf("%s gave %v", what, err)
		}
	}
	if err := h.Park(t.Context(), "nobody"); farm.ExitCode(err) != farm.ExitUsage {
		t.Errorf("parking a board that is not there gave %v", err)
	}
}

// A board that cannot be opened does not keep the others from being used.
func TestOneBoardIsMissing(t *testing.T) {
	t.Parallel()
	h := newVirtual(t, setup{boards: 2})
	h.cfg.Devices[0].Board.Port = "/dev/no-such-port"
	h.open()
	_, err := h.Open(t.Context(), h.id("hl1"), farmtest.NewLease(h.id("hl1"), 1))
	wantCode(t, err, "uart_open", "hl1", "/dev/no-such-port")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := module(h.fresh("hl2")).Sync(t.Context()); err != nil {
		t.Error(err)
	}
	twice := h.cfg
	twice.Devices = []hostlab.Device{h.cfg.Devices[1], h.cfg.Devices[1]}
	if _, err := hostlab.Open(t.Context(), twice); farm.ExitCode(err) != farm.ExitUsage {
		t.Errorf("one board twice gave %v", err)
	}
}
