package virtlab_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hil-runner/farm/virtlab"
	"hil-runner/farm/virtlab/chip"
)

func newModule(t testing.TB, opt virtlab.Options) *virtlab.Module {
	t.Helper()
	m, err := virtlab.NewModule(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return m
}

// readUntil reads until the text was seen or the time is over.
func readUntil(t testing.TB, p *virtlab.Port, text string, limit time.Duration) string {
	t.Helper()
	if err := p.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	buf := make([]byte, 512)
	for !bytes.Contains(got, []byte(text)) {
		n, err := p.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			t.Fatalf("no %q within %v: %v; came %q", text, limit, err, got)
		}
	}
	return string(got)
}

func send(t testing.TB, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func TestModuleInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModule(t, virtlab.Options{Speed: 1})
		start := time.Now()
		got := readUntil(t, m.Port(), "+WIND:32:", time.Minute)
		if took := time.Since(start); took != 1020*time.Millisecond {
			t.Errorf("radio started after %v of the bubble's clock, want 1.02s", took)
		}
		if !strings.Contains(got, "+WIND:1:Poweron (150410-c2e37a3-SPWF01S)") {
			t.Errorf("banner: %q", got)
		}
		send(t, m.Port(), "AT\r")
		readUntil(t, m.Port(), "\r\nOK\r\n", time.Second)

		if err := m.Reset(t.Context(), 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		got = readUntil(t, m.Port(), "+WIND:32:", time.Minute)
		if !strings.HasPrefix(got, "\xff\x00") {
			t.Errorf("no noise burst after a reset: %q", got)
		}
	})
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModule(t, virtlab.Options{})
		readUntil(t, m.Port(), "+WIND:32:", time.Minute)
		if err := m.Port().SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		buf := make([]byte, 64)
		for {
			_, err := m.Port().Read(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("deadline after %v, want 3s", took)
		}
	})
}

func TestResetEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModule(t, virtlab.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Reset(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("reset: %v", err)
		}
		if level, err := m.Level(virtlab.LineReset); err != nil || level != virtlab.Float {
			t.Errorf("afterwards the line is %v, %v; want released", level, err)
		}
	})
}

// Everything in flash outlives a reset, everything in RAM does not; what the
// module was doing has no effect afterwards.
func TestResetWhileTransmitting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModule(t, virtlab.Options{Speed: 1, Pace: true})
		readUntil(t, m.Port(), "+WIND:32:", time.Minute)
		send(t, m.Port(), "AT&V\r")
		readUntil(t, m.Port(), "Dumping", time.Second)
		drive(t, m, virtlab.LineReset, virtlab.Low)
		if err := m.Port().SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(m.Port())
		if !errors.Is(err, os.ErrDeadlineExceeded) || bytes.Contains(rest, []byte("OK")) {
			t.Errorf("held in reset the module goes on: %q, %v", rest, err)
		}
		drive(t, m, virtlab.LineReset, virtlab.Float)
		readUntil(t, m.Port(), "+WIND:0:", time.Minute)
	})
}

// A host that never reads loses bytes and nothing else.
func TestNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModule(t, virtlab.Options{})
		readUntil(t, m.Port(), "+WIND:32:", time.Minute)
		for range 60 {
			send(t, m.Port(), "AT&V\r")
			time.Sleep(time.Second) // the bubble's clock
		}
		s := stats(t, m)
		if s.Lost == 0 || s.State != virtlab.StateApp {
			t.Errorf("lost %d bytes, module is %s", s.Lost, s.State)
		}
		for {
			_ = m.Port().SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := m.Port().Read(make([]byte, 4096)); err != nil {
				break
			}
		}
		send(t, m.Port(), "AT\r")
		readUntil(t, m.Port(), "\r\nOK\r\n", time.Second)
	})
}

func TestClosedModule(t *testing.T) {
	m, err := virtlab.NewModule(virtlab.Options{ID: "x7"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Close(), m.Close()); err != nil {
		t.Fatal(err)
	}
	if err := m.SetLine(virtlab.LineReset, virtlab.Low); !errors.Is(err, virtlab.ErrClosed) || !strings.Contains(err.Error(), "x7") {
		t.Errorf("line after close: %v", err)
	}
	if _, err := io.ReadAll(m.Port()); err != nil {
		t.Errorf("reading after close: %v", err)
	}
	if _, err := m.Port().Write([]byte("AT\r")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("writing after close: %v", err)
	}
}

func TestROMThroughLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModule(t, virtlab.Options{Pace: true})
		m.Port().SetBaud(115200)
		drive(t, m, virtlab.LineBoot0, virtlab.High)
		if err := m.Reset(t.Context(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		exchange := func(want int, p ...byte) {
			t.Helper()
			if _, err := m.Port().Write(p); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, want)
			_ = m.Port().SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := io.ReadFull(m.Port(), buf); err != nil {
				t.Fatal(err)
			}
		}
		// Drain what the application printed before the reset.
		_ = m.Port().SetReadDeadline(time.Now())
		for {
			if _, err := m.Port().Read(make([]byte, 512)); err != nil {
				break
			}
		}
		exchange(1, chip.Sync)
		exchange(1, chip.CmdErase, ^chip.CmdErase)
		exchange(1, 9, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 9^5^6^7^8^9^10^11^12^13^14)
		took := time.Since(start)
		wire := stats(t, m).ROM.WireTime(115200)
		if diff := took - wire; diff < -time.Millisecond || diff > time.Millisecond {
			t.Errorf("took %v, the line's time is %v", took, wire)
		}
	})
}
