package app

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Fault is a way in which the firmware fails by itself.
type Fault int

const (
	// FaultHard prints the registers (WIND 8) and restarts.
	FaultHard Fault = iota
	// FaultStack is WIND 9 and a restart.
	FaultStack
	// FaultMalloc is WIND 10; the module goes on.
	FaultMalloc
	// FaultHeap is WIND 4; the module goes on.
	FaultHeap
	// FaultWiFi is WIND 31: the radio is dead until the next reset.
	FaultWiFi
	// FaultWatchdog is WIND 6 and a restart.
	FaultWatchdog
	// FaultHang stops the console: nothing is answered until the next reset.
	FaultHang
)

// Fault makes the firmware fail. It is for the host, on the loop.
func (a *App) Fault(kind Fault) {
	switch kind {
	case FaultHard:
		a.wind(windHardFault, a.registers())
		a.restart(ResetFault)
	case FaultStack:
		a.wind(windStack, "StackOverflow:TermTask")
		a.restart(ResetFault)
	case FaultMalloc:
		a.wind(windMalloc, "MallocFailed:1624/912")
	case FaultHeap:
		a.wind(windHeap, "Heap too small")
	case FaultWiFi:
		a.disconnect()
		a.radio.hardware, a.radio.off, a.radio.state = false, true, stateOff
		a.wind(windException, "WiFi EXCEPTION: 00000002:00000011:0000a55a")
	case FaultWatchdog:
		a.wind(windTerminating, "Watchdog Terminating, reset pending")
		a.restart(ResetFault)
	case FaultHang:
		a.console.active = false
	}
}

// registers is the dump of WIND 8.
func (a *App) registers() string {
	var raw [6 * 4]byte
	// A source that is exhausted leaves zeros, which are as good.
	_, _ = io.ReadFull(a.host.Rand(), raw[:])
	var out strings.Builder
	out.WriteString("Hard Fault:TermTask:")
	for i, name := range []string{"r0", "r1", "r2", "r3", "r12", "lr"} {
		fmt.Fprintf(&out, " %s %08X,", name, binary.LittleEndian.Uint32(raw[4*i:]))
	}
	fmt.Fprintf(&out, " pc %08X, psr 61000000", 0x08002800|binary.LittleEndian.Uint32(raw[:])&0x3fffe)
	return out.String()
}
