// Package console is the UART of a board: it opens the port, sets its mode,
// reads all that the board sends and writes what it is given.
//
// The port is set by go.bug.st/serial and then read and written on a
// descriptor of our own, non-blocking, with poll(2): a stuck write then blocks
// nothing, and a closed port never reaches another board's descriptor. A lock
// on the device keeps every other hil-runner away, also for root, whom the
// terminal's own exclusive mode does not bind.
package console

import (
	"errors"
	"fmt"
	"time"

	"go.bug.st/serial"
)

var (
	// ErrUnplugged says that the device is gone: the cable was pulled, the
	// adapter reset, or the other end of a PTY closed. Close the port and look
	// for the board again; the device may come back under another name.
	ErrUnplugged = errors.New("port was unplugged")
	// ErrBusy says that somebody else has the port.
	ErrBusy = errors.New("port is in use")
	// ErrWedged says that the port takes no bytes, though it is there.
	ErrWedged = errors.New("port takes no bytes")
	// ErrClosed says that the port was closed by its owner.
	ErrClosed = errors.New("port is closed")
)

// Parity is the parity of a frame on the wire. PTYs cannot hold one; there it
// is accepted and has no effect.
type Parity int

const (
	// None is no parity: 8N1, what the module's firmware speaks.
	None Parity = iota
	// Even is even parity: 8E1, what the STM32 boot ROM speaks (AN3155 1).
	Even
)

// String gives the frame format, as in "8E1".
func (p Parity) String() string {
	if p == Even {
		return "8E1"
	}
	return "8N1"
}

// Mode is how bytes are framed on the wire: always 8 data bits and 1 stop bit.
type Mode struct {
	// Baud is in bits per second; values outside the usual list are allowed.
	Baud   int
	Parity Parity
}

// String gives the mode as in "115200 8N1".
func (m Mode) String() string { return fmt.Sprintf("%d %v", m.Baud, m.Parity) }

func (m Mode) serial() (*serial.Mode, error) {
	if m.Baud < 50 || m.Baud > 16_000_000 {
		return nil, fmt.Errorf("baud %d is out of range 50 to 16000000", m.Baud)
	}
	out := &serial.Mode{BaudRate: m.Baud, DataBits: 8, StopBits: serial.OneStopBit}
	if m.Parity == Even {
		out.Parity = serial.EvenParity
	}
	return out, nil
}

// Options says how a port is served. The zero value is good.
type Options struct {
	// Loop reads the port. Ports of one process that share a loop cost much
	// less than ports with their own; nil gives the port its own.
	Loop *Loop
	// WedgeAfter is how long the port may take no byte before a write gives up
	// with ErrWedged. Default 5 s.
	WedgeAfter time.Duration
	// NoGather reads bytes as they come also while nobody waits for them.
	NoGather bool
}
