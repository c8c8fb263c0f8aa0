package hostlab_test

import (
	"errors"
	"strings"
	"testing"

	"hil-runner/farm"
	"hil-runner/farm/virtlab"
	"hil-runner/recorder"
)

// A hard fault marks the journal with one incident that holds the registers.
func TestHardFaultIsAnIncident(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	from := b.Recording.End()
	h.inject("hl1", virtlab.Fault{Kind: virtlab.FaultHardFault})
	in := waitEvent(t, b.Recording, from, "incident")
	if in.Kind != recorder.KindWatch || in.text("code") != farm.IncidentHardFault {
		t.Errorf("got %v", in.fields)
	}
	for _, name := range []string{"+WIND:8:", "r0 ", "pc ", "psr "} {
		if !strings.Contains(in.text("text"), name) {
			t.Errorf("the text %q lacks %q", in.text("text"), name)
		}
	}
	// The restart that follows the fault is not a second one.
	if err := module(b).Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Reset.Reset(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if got := incidents(t, b.Recording, from); len(got) != 1 {
		t.Errorf("incidents %v", got)
	}
}

func TestUnaskedResetIsAnIncident(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	for range 2 {
		from := b.Recording.End()
		h.inject("hl1", virtlab.Fault{Kind: virtlab.FaultBrownOut})
		in := waitEvent(t, b.Recording, from, "incident")
		if in.text("code") != farm.IncidentUnaskedReset || !strings.Contains(in.text("text"), "Poweron") {
			t.Errorf("got %v", in.fields)
		}
		if err := b.Reset.Reset(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if got := incidents(t, b.Recording, from); len(got) != 1 {
			t.Errorf("incidents %v", got)
		}
	}
}

// What the lab does itself, and what is asked of the module, is no incident.
func TestAskedRestartsAreNoIncidents(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	from := b.Recording.End()
	steps := []struct {
		name string
		run  func() error
	}{
		{"AT+CFUN=1", func() error { _, err := module(b).Restart(t.Context()); return err }},
		{"in lower case behind bytes without an end", func() error {
			if _, err := b.UART.Write([]byte("noise")); err != nil {
				return err
			}
			at := b.Recording.End()
			if _, err := b.UART.Write([]byte("at+cfun=1\r")); err != nil {
				return err
			}
			return waitText(b, at, "+WIND:0:")
		}},
		{"reset", func() error { return b.Reset.Reset(t.Context(), 0) }},
		{"power", func() error { return errors.Join(b.Power.Off(t.Context()), b.Power.On(t.Context())) }},
		{"flash", func() error {
			_, err := b.Flash.Flash(t.Context(), farm.FlashRequest{Release: "3.5.3"}, nil)
			return err
		}},
		{"close and open", func() error {
			if err := b.Close(t.Context()); err != nil {
				return err
			}
			b = h.bench("hl1")
			return b.Reset.Reset(t.Context(), 0)
		}},
	}
	for _, s := range steps {
		if err := s.run(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if got := incidents(t, b.Recording, from); len(got) > 0 {
			t.Fatalf("after %s there are incidents: %v", s.name, got)
		}
	}
	if e := waitEvent(t, b.Recording, from, "boot0"); e.Kind != recorder.KindBoot || e.text("rom") != "true" {
		t.Errorf("BOOT0 on the journal: %v %v", e.Kind, e.fields)
	}
}

// The journal goes on while nobody holds a bench, and so does the watch.
func TestRecordingWithoutABench(t *testing.T) {
	t.Parallel()
	h := newHost(t, setup{})
	b := h.fresh("hl1")
	j := b.Recording
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	from := j.End()
	h.inject("hl1", virtlab.Fault{Kind: virtlab.FaultBrownOut})
	if in := waitEvent(t, j, from, "incident"); in.text("code") != farm.IncidentUnaskedReset {
		t.Errorf("got %v", in.fields)
	}
	if err := waitText(b, from, "+WIND:0:"); err != nil {
		t.Error(err)
	}
}
