package link

import (
	"encoding/json"
	"fmt"
	"time"

	"hil-runner/farm"
	"hil-runner/recorder"
	"hil-runner/reports"
)

// Version is the protocol's version. A peer with another one is refused.
const Version = 1

// window is how many rx bytes may be on their way to a peer that has not read
// them. A peer that stops reading costs the owner no memory: its cursor waits.
const window = 256 << 10

const (
	// attachLimit is how long a peer may take to answer the hello.
	attachLimit = 30 * time.Second
	// sendLimit is how long a peer tries to hand one frame to an owner that
	// takes none.
	sendLimit = 30 * time.Second
	// maxCalls is how many calls and writes of one peer may be open at once.
	maxCalls = 64
)

// Hello is what the owner says first: the bench as it is and what the peer is
// asked to do with it.
type Hello struct {
	Version int `json:"version"`
	// Build is the owner's executable; a worker started from another one
	// would speak for code that was not planned.
	Build string     `json:"build"`
	Board farm.Board `json:"board"`
	// Has says which parts the bench has; the others are nil at the peer.
	Has Parts `json:"has"`
	// Address is Bench.Net's address.
	Address string `json:"address,omitempty"`
	// From is where in the journal the peer's view begins.
	From recorder.Offset `json:"from"`
	// Task is the peer's work, in a form that the two ends agree on.
	Task json.RawMessage `json:"task,omitempty"`
}

// Parts lists the optional parts of a bench.
type Parts struct {
	Reset bool `json:"reset"`
	Power bool `json:"power"`
	Flash bool `json:"flash"`
	Net   bool `json:"net"`
}

// Attached is the peer's reply to Hello.
type Attached struct {
	Version int    `json:"version"`
	Build   string `json:"build"`
	PID     int    `json:"pid"`
}

// call is one request of the peer.
type call struct {
	Op string `json:"op"`
	// HoldNS is the pulse of a reset.
	HoldNS int64              `json:"hold_ns,omitempty"`
	Name   string             `json:"name,omitempty"`
	Addr   string             `json:"addr,omitempty"`
	Kind   recorder.Kind      `json:"kind,omitempty"`
	Attrs  json.RawMessage    `json:"attrs,omitempty"`
	Flash  *farm.FlashRequest `json:"flash,omitempty"`
}

// The calls that a peer may make.
const (
	opReset    = "reset"
	opPowerOn  = "power_on"
	opPowerOff = "power_off"
	opFlash    = "flash"
	opName     = "name"
	opEvent    = "event"
)

// progress is one step of a long call.
type progress struct {
	Stage string `json:"stage"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
}

// answer ends a call.
type answer struct {
	Error *wireError      `json:"error,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// wireError is an error on the wire: whose fault it is and its code survive,
// so that the peer can decide on it as the owner could.
type wireError struct {
	Outcome reports.Outcome `json:"outcome"`
	Cause   reports.Cause   `json:"cause"`
}

// asWire makes err ready for the wire; nil stays nil.
func asWire(err error) *wireError {
	if err == nil {
		return nil
	}
	outcome, cause := farm.CauseOf(err)
	return &wireError{outcome, cause}
}

// err is the error that the peer sees.
func (a answer) err() error {
	if a.Error == nil {
		return nil
	}
	return farm.ErrorOf(a.Error.Outcome, a.Error.Cause)
}

// peerKind says whether a peer may put records of a kind onto the journal: what
// the owner did and what the board sent are not its to tell.
func peerKind(k recorder.Kind) bool {
	return k == recorder.KindSpec || k == recorder.KindEndpoint || k == recorder.KindNote
}

// encode marshals what is known to marshal; a failure is the caller's bug and
// reaches it as an error.
func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	return b, nil
}
