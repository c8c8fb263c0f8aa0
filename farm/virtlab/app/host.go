// Package app is the firmware that runs on a virtual module: the AT console of
// the SPWF01SA with its configuration, Wi-Fi, sockets, TLS client and files.
// It is written from the module's documentation and knows nothing of the
// driver that will talk to it.
package app

import (
	"context"
	"io"
	"net"
	"time"
)

// Host is what the silicon gives to the firmware. The firmware runs on the
// module's one loop: App's methods and every callback given to After and Go
// are called there, one at a time, and must not block. After a reset or a loss
// of power no callback of the old App is called any more.
type Host interface {
	// Now is the time since the module's power came on, in module time
	// (scaled by the lab's speed).
	Now() time.Duration
	// Print queues bytes for the UART.
	Print(p []byte)
	// After calls f once d of module time has passed, unless stopped.
	After(d time.Duration, f func()) (stop func())
	// Go runs work beside the loop and then the function it returns on the
	// loop. ctx ends when the module is reset or loses power.
	Go(work func(ctx context.Context) (done func()))
	// Area gives a non-volatile area of the module.
	Area(a Area) Store
	// Reset restarts the module from inside, as CFUN=1 or a fault does.
	Reset(reason ResetReason)
	// SetBaud changes the speed of the UART at once.
	SetBaud(baud int)
	// Net is the virtual radio.
	Net() Net
	// Rand is the module's random source, seeded per board.
	Rand() io.Reader
	// GPIO is the level of one of the module's GPIO pins at this moment.
	GPIO(n int) bool
	// SetGPIO drives one of the module's GPIO pins.
	SetGPIO(n int, high bool)
}

// Area names a non-volatile area.
type Area int

const (
	// AreaConfig is the configuration that AT&W writes.
	AreaConfig Area = iota
	// AreaTLS holds the flash slots f_ca, f_cert, f_key and f_domain.
	AreaTLS
	// AreaStage is where FWUPDATE puts an image (external flash, .11 only).
	AreaStage
	// AreaFiles is the external flash file system.
	AreaFiles
)

// Store is one non-volatile area. Both calls act at once on the module's flash
// and survive reset and loss of power.
type Store interface {
	// Load gives the stored bytes, nil when the area is erased.
	Load() []byte
	// Save erases the area and writes p.
	Save(p []byte) error
}

// ResetReason says why a module restarted itself.
type ResetReason int

const (
	// ResetSoft is AT+CFUN.
	ResetSoft ResetReason = iota
	// ResetFault is a hard fault or the watchdog.
	ResetFault
	// ResetUpdate is the restart that applies a staged image.
	ResetUpdate
)

// Net is the virtual radio and IP stack below the module's sockets: genuine
// TCP, with names from the lab's table.
type Net interface {
	// Access is the access point as the module sees it.
	Access() AccessPoint
	// Address is the module's own IP address once it has joined.
	Address() string
	// MAC is the module's hardware address.
	MAC() string
	// Resolve looks a name up in the lab's table.
	Resolve(ctx context.Context, name string) (string, error)
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	Listen(ctx context.Context, network, address string) (net.Listener, error)
}

// AccessPoint is what a scan finds.
type AccessPoint struct {
	SSID    string
	BSSID   string
	Channel int
	RSSI    int
	PSK     string // empty for an open network
	Up      bool
}
