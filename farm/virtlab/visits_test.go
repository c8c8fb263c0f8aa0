package virtlab_test

import (
	"testing"

	"hil-runner/farm/virtlab"
)

// read gives what comes until there is silence.
func read(t *testing.T, p interface{ Read([]byte) (int, error) }) string {
	t.Helper()
	buf := make([]byte, 4096)
	var got []byte
	for {
		n, err := p.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return string(got)
		}
		got = append(got, buf[:n]...)
	}
}

const start = "\xff\x00\r\n+WIND:1:Poweron (150410-c2e37a3-SPWF01S)\r\n" +
	"\r\n+WIND:13:ST SPWF01SA1 IWM: Copyright (c) 2012-2014 STMicroelectronics, Inc. All rights Reserved.\r\n" +
	"\r\n+WIND:3:Watchdog Running\r\n\r\n+WIND:0:Console active\r\n\r\n+WIND:32:WiFi Hardware Started\r\n"

// TestResetTakesTheStartBeforeBack is a client that opens the port of a module
// which has long started, resets it and waits for WIND 0: it must not take the
// earlier start for its own.
func TestResetTakesTheStartBeforeBack(t *testing.T) {
	lab := newLab(t, virtlab.Config{Boards: 1, Prefix: "stale"})
	b := lab.Board("stale1")
	for range 2 { // it has started, and printed
		if _, err := b.Stats(); err != nil {
			t.Fatal(err)
		}
	}
	p := openPort(t, b.UARTPath, 115200)
	setLine(t, b, virtlab.LineReset, virtlab.Low)
	if got := read(t, p); got != "" {
		t.Errorf("from before the reset: %q", got)
	}
	setLine(t, b, virtlab.LineReset, virtlab.Float)
	if got := read(t, p); got != start {
		t.Errorf("%q", got)
	}
	// What was printed to an open port stays, whatever happens to the module.
	setLine(t, b, virtlab.LineReset, virtlab.Low)
	setLine(t, b, virtlab.LineReset, virtlab.Float)
	setLine(t, b, virtlab.LineReset, virtlab.Low)
	setLine(t, b, virtlab.LineReset, virtlab.Float)
	if got := read(t, p); got != start+start {
		t.Errorf("%q", got)
	}
	// Once more, with the next host.
	setLine(t, b, virtlab.LineReset, virtlab.Low)
	setLine(t, b, virtlab.LineReset, virtlab.Float)
	for range 2 {
		if _, err := b.Stats(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = openPort(t, b.UARTPath, 115200)
	setLine(t, b, virtlab.LineReset, virtlab.Low)
	setLine(t, b, virtlab.LineReset, virtlab.Float)
	if got := read(t, p); got != start {
		t.Errorf("the next host: %q", got)
	}
}

func setLine(t *testing.T, b *virtlab.Board, l virtlab.Line, v virtlab.Level) {
	t.Helper()
	if err := b.SetLine(l, v); err != nil {
		t.Fatal(err)
	}
}
