// Package farm is the model of the lab: boards, benches, leases, plans and
// verdicts. It knows no hardware, no Ginkgo and no network; what drives real
// things implements the small interfaces declared here.
package farm

import (
	"context"
	"io"
	"time"

	"hil-runner/recorder"
	"hil-runner/reports"
)

// Board is one module with its lines, as the lab file describes it.
type Board struct {
	// ID is unique within the lab.
	ID    string            `json:"id"`
	Model string            `json:"model"` // "SPWF01SA"
	Slot  string            `json:"slot,omitempty"`
	Port  string            `json:"port"`
	Tags  map[string]string `json:"tags,omitempty"`
	// Virtual is true for a virtual module; reports say so.
	Virtual bool   `json:"virtual"`
	Limits  Limits `json:"limits"`
}

// Limits is the named group of time limits of a board. A verdict names the
// one that fired.
type Limits struct {
	// Pulse is how long reset is held low, Settle how long to wait after
	// release before the first byte is sent. Defaults 100 ms and 0.
	Pulse  time.Duration `json:"pulse"`
	Settle time.Duration `json:"settle"`
	// Banner is how long after a reset a newer banner may take. Default 8 s.
	Banner time.Duration `json:"banner"`
	// Boot ends with the radio started (WIND 32). Default 15 s.
	Boot time.Duration `json:"boot"`
	// Join ends with WiFi up (WIND 24). Default 60 s.
	Join time.Duration `json:"join"`
	// Command bounds one AT command. Default 20 s.
	Command time.Duration `json:"command"`
	// Flash bounds one flashing, Spec one spec, Run the whole board run.
	// Defaults 15 min, 2 min, 2 h.
	Flash time.Duration `json:"flash"`
	Spec  time.Duration `json:"spec"`
	Run   time.Duration `json:"run"`
}

// Bench is an open board. What a board lacks is nil.
type Bench struct {
	Board Board
	// UART is the module's console: bytes as they come, journalled both ways.
	UART UART
	// Reset pulses RESETn and returns when a banner newer than the pulse was
	// seen; otherwise ErrResetIneffective.
	Reset Resetter
	// Power switches the supply; nil for a board without a power line.
	Power Power
	// Flash writes firmware; nil on a bench that may not.
	Flash Flasher
	// Net names endpoints for the module; nil when the lab cannot.
	Net Net
	// Journal takes the events of whoever holds the bench.
	Journal Journal
	// Parker ends the bench; nil on a bench that somebody else ends, as a
	// worker's is.
	Parker Parker
	// Recording is the whole journal, for readers, and From where this bench
	// was opened in it. Recording is nil on a bench that is attached from
	// elsewhere.
	Recording *recorder.Journal
	From      recorder.Offset
	// Build gives what the module said of itself in its newest banner, empty
	// before the first; nil on a bench that is attached from elsewhere.
	Build func() string
}

// Close parks the board and ends the bench: every part of it refuses with
// ErrClosed afterwards. It is safe to call it again, and after a failure.
func (b *Bench) Close(ctx context.Context) error {
	if b == nil || b.Parker == nil {
		return nil
	}
	return b.Parker.Park(ctx)
}

// Parker puts a board into its declared idle state and ends its bench. A
// second call does nothing and gives nil.
type Parker interface {
	Park(ctx context.Context) error
}

// UART is a byte stream to the module. Read returns what is there, at least
// one byte, and os.ErrDeadlineExceeded after the deadline. It may be used by
// one reader and one writer at a time.
type UART interface {
	io.Reader
	io.Writer
	SetReadDeadline(t time.Time) error
}

// Resetter pulses the reset line. hold 0 means the board's own pulse length.
type Resetter interface {
	Reset(ctx context.Context, hold time.Duration) error
}

// Power switches a board's supply. On returns when the banner was seen.
type Power interface {
	Off(ctx context.Context) error
	On(ctx context.Context) error
}

// Flasher puts a catalogued image onto the module and believes only the build
// that the module reports afterwards. progress may be nil; done and total are
// in the stage's own unit.
type Flasher interface {
	Flash(ctx context.Context, req FlashRequest, progress func(stage string, done, total int)) (reports.Flash, error)
}

// FlashRequest names what to flash.
type FlashRequest struct {
	// Release is a label of the catalogue, or File the path of an image.
	Release string `json:"release,omitempty"`
	File    string `json:"file,omitempty"`
	// AllowUnsigned accepts an image without a signature; the report shows it.
	AllowUnsigned bool `json:"allow_unsigned,omitempty"`
	// TrustPassport accepts the passport plus the reported build instead of
	// reading every byte back, when both name this very image.
	TrustPassport bool `json:"trust_passport,omitempty"`
}

// Net makes endpoints reachable by name for this module.
type Net interface {
	// Address is the IP address at which this host serves endpoints for the
	// board.
	Address() string
	// SetName makes name resolve to addr for this board; addr "" removes it.
	SetName(ctx context.Context, name, addr string) error
}

// Journal takes events onto the bench's journal. They are durable when Event
// returns.
type Journal interface {
	Event(ctx context.Context, kind recorder.Kind, name string, attrs any) (recorder.Offset, error)
}
