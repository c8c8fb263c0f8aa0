package farm

import (
	"encoding/json"
	"fmt"
	"time"

	"hil-runner/recorder"
	"hil-runner/reports"
)

// Event is something that a worker or the watch says about a board's run. It
// travels in the board's journal as one JSON object: Name under "event", the
// event's own fields beside it.
type Event interface {
	// EventName is the value of "event".
	EventName() string
	// EventKind is the kind of journal record that carries the event.
	EventKind() recorder.Kind
}

// Planned is the first event of a worker: every spec that it will run or
// skip on this board.
type Planned struct {
	Cases []reports.Case `json:"cases"`
}

// SpecStarted says that a planned spec begins.
type SpecStarted struct {
	ID string `json:"id"`
	// Started is the worker's clock.
	Started time.Time `json:"started,omitzero"`
	// Attempt counts from 1.
	Attempt int `json:"attempt,omitempty"`
}

// SpecEvidence is one observation of the running spec, as it is made: what
// was seen before a kill is kept.
type SpecEvidence struct {
	ID string `json:"id"`
	reports.Evidence
}

// SpecEnded is the end of a planned spec, as its worker judges it.
type SpecEnded struct {
	ID      string          `json:"id"`
	Outcome reports.Outcome `json:"outcome"`
	Causes  []reports.Cause `json:"causes,omitempty"`
	Message string          `json:"message,omitempty"`
	// Value is the behaviour of a Recorded case.
	Value string `json:"value,omitempty"`
	// EndpointKind comes from the key that the server proved.
	EndpointKind string             `json:"proved_endpoint_kind,omitempty"`
	Evidence     []reports.Evidence `json:"evidence,omitempty"`
	// Attempts and PassedAttempts may be left 0 for a single attempt.
	Attempts       int           `json:"attempts,omitempty"`
	PassedAttempts int           `json:"passed_attempts,omitempty"`
	Duration       time.Duration `json:"duration_ns,omitempty"`
}

// Done is the last event of a worker. Without it the run on this board is
// not complete, whatever the worker's exit status.
type Done struct {
	// Planned and Ended count specs; they must agree with the events.
	Planned int `json:"planned"`
	Ended   int `json:"ended"`
	// Causes are set when something outside the specs went wrong, such as a
	// failed set-up of the suite; Outcome then says whose fault it was.
	Outcome reports.Outcome `json:"outcome,omitempty"`
	Causes  []reports.Cause `json:"causes,omitempty"`
}

// IncidentSeen is what the watch saw in a board's bytes.
type IncidentSeen struct {
	Code string `json:"code"`
	// Text is what the module said, such as the register dump.
	Text string `json:"text,omitempty"`
	// Offset is where in the journal the bytes are; 0 means the offset of
	// this event.
	Offset recorder.Offset `json:"offset,omitempty"`
}

// EventName is "planned".
func (Planned) EventName() string { return "planned" }

// EventName is "spec_started".
func (SpecStarted) EventName() string { return "spec_started" }

// EventName is "spec_evidence".
func (SpecEvidence) EventName() string { return "spec_evidence" }

// EventName is "spec_ended".
func (SpecEnded) EventName() string { return "spec_ended" }

// EventName is "done".
func (Done) EventName() string { return "done" }

// EventName is "incident".
func (IncidentSeen) EventName() string { return "incident" }

// EventKind is recorder.KindSpec.
func (Planned) EventKind() recorder.Kind { return recorder.KindSpec }

// EventKind is recorder.KindSpec.
func (SpecStarted) EventKind() recorder.Kind { return recorder.KindSpec }

// EventKind is recorder.KindSpec.
func (SpecEvidence) EventKind() recorder.Kind { return recorder.KindSpec }

// EventKind is recorder.KindSpec.
func (SpecEnded) EventKind() recorder.Kind { return recorder.KindSpec }

// EventKind is recorder.KindSpec.
func (Done) EventKind() recorder.Kind { return recorder.KindSpec }

// EventKind is recorder.KindWatch.
func (IncidentSeen) EventKind() recorder.Kind { return recorder.KindWatch }

// ParseEvent reads the data of a journal record of kind recorder.KindSpec or
// recorder.KindWatch. It gives nil for events that are not of this package.
func ParseEvent(kind recorder.Kind, data []byte) (Event, error) {
	var head struct {
		Event string `json:"event"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("event of a board run: %w", err)
	}
	switch kind {
	case recorder.KindSpec:
		switch head.Event {
		case Planned{}.EventName():
			return parseAs[Planned](data)
		case SpecStarted{}.EventName():
			return parseAs[SpecStarted](data)
		case SpecEvidence{}.EventName():
			return parseAs[SpecEvidence](data)
		case SpecEnded{}.EventName():
			return parseAs[SpecEnded](data)
		case Done{}.EventName():
			return parseAs[Done](data)
		}
	case recorder.KindWatch:
		if head.Event == (IncidentSeen{}).EventName() {
			return parseAs[IncidentSeen](data)
		}
	}
	return nil, nil
}

func parseAs[E Event](data []byte) (Event, error) {
	var e E
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("event %q of a board run: %w", e.EventName(), err)
	}
	return e, nil
}
