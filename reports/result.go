package reports

import (
	"time"

	"hil-runner/recorder"
)

// Case is one planned spec on one board.
type Case struct {
	// ID is stable over runs and unique within a suite, such as "tls.one_way.C02".
	ID string `json:"id"`
	// Suite is "smoke", "tls", ...
	Suite string `json:"suite"`
	// Name is the text a person reads.
	Name string `json:"name"`
	// Labels are Ginkgo's labels, such as "mode:one_way" and "endpoint:local".
	Labels []string `json:"labels,omitempty"`
	// Mode is anonymous, one_way or mutual; empty outside TLS.
	Mode string `json:"mode,omitempty"`
	// EndpointKind is what the case was planned against: local,
	// amazon-shaped-local or amazon-live. What the server proved is in
	// Result.EndpointKind.
	EndpointKind string `json:"endpoint_kind,omitempty"`
	// Required makes a skip of this case an incomplete run.
	Required bool `json:"required"`
}

// Result is what became of one case on one board.
type Result struct {
	Case    Case    `json:"case"`
	Outcome Outcome `json:"outcome"`
	// Causes are in the order in which they were found; the first one wins.
	Causes []Cause `json:"causes,omitempty"`
	// Message is the failure text of the spec, hostile bytes included.
	Message string `json:"message,omitempty"`
	// Value is the behaviour of a Recorded case.
	Value string `json:"value,omitempty"`
	// EndpointKind comes from the key that the server proved.
	EndpointKind string        `json:"proved_endpoint_kind,omitempty"`
	Started      time.Time     `json:"started,omitzero"`
	Duration     time.Duration `json:"duration_ns"`
	// Attempts and PassedAttempts are 1 and 1 for a plain pass.
	Attempts       int `json:"attempts"`
	PassedAttempts int `json:"passed_attempts"`
	// From and To bound the case in the board's journal.
	From recorder.Offset `json:"journal_from"`
	To   recorder.Offset `json:"journal_to"`
	// LogLine is the line of serial.log, from 1, that explains the outcome;
	// 0 when there is none.
	LogLine int `json:"log_line,omitempty"`
	// Evidence is what the oracles saw, in order.
	Evidence []Evidence `json:"evidence,omitempty"`
}

// Evidence is one observation by one witness.
type Evidence struct {
	// Witness is "module", "endpoint", "control", "lint", "board", ...
	Witness string `json:"witness"`
	Text    string `json:"text"`
}

// Flash is what flashing one board did and what it would have cost.
type Flash struct {
	Release string `json:"release"`
	Build   string `json:"build"`
	SHA256  string `json:"sha256"`
	// Signature is "virtual, unsigned", "unsigned", or the id of the key.
	Signature string `json:"signature"`
	// Strategy is "dense", "compare" or "passport".
	Strategy string        `json:"strategy"`
	Duration time.Duration `json:"duration_ns"`
	// PagesErased, BytesWritten and BytesRead count flash pages of 2 KiB and
	// payload bytes.
	PagesErased  int `json:"pages_erased"`
	BytesWritten int `json:"bytes_written"`
	BytesRead    int `json:"bytes_read"`
	// WireBytes counts every byte on the UART in both directions.
	WireBytes int `json:"wire_bytes"`
	// At115200 is the time that these wire bytes and flash operations take on
	// a real board at 115200 8E1.
	At115200 time.Duration `json:"at_115200_ns"`
	Attempts int           `json:"attempts"`
	Causes   []Cause       `json:"causes,omitempty"`
}

// Incident is something the watch saw on a board, whoever held it.
type Incident struct {
	At      time.Time       `json:"at"`
	Code    string          `json:"code"` // "hard_fault", "unasked_reset", ...
	Text    string          `json:"text"`
	Offset  recorder.Offset `json:"journal_offset"`
	LogLine int             `json:"log_line,omitempty"`
	// CaseID is the case that was running, if any.
	CaseID string `json:"case_id,omitempty"`
}

// BoardRun is one board's share of a run.
type BoardRun struct {
	Board   string            `json:"board"`
	Model   string            `json:"model"`
	Slot    string            `json:"slot,omitempty"`
	Port    string            `json:"port"`
	Tags    map[string]string `json:"tags,omitempty"`
	Virtual bool              `json:"virtual"`
	// Build is what the module reported; empty if it never did.
	Build string `json:"build,omitempty"`
	Flash *Flash `json:"flash,omitempty"`
	// Causes are set when the board as a whole failed or errored, with
	// Outcome saying which.
	Outcome   Outcome    `json:"outcome,omitempty"`
	Causes    []Cause    `json:"causes,omitempty"`
	Results   []Result   `json:"results"`
	Incidents []Incident `json:"incidents,omitempty"`
	// SerialLog is relative to the run's folder.
	SerialLog string `json:"serial_log"`
	Parked    bool   `json:"parked"`
}

// Endpoint is one TLS peer as this run saw it.
type Endpoint struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Engine string `json:"engine"` // "go", "openssl", "live"
	Detail string `json:"detail,omitempty"`
}

// Run is everything that one run found out.
type Run struct {
	ID      string    `json:"id"`
	Tool    string    `json:"tool"` // version of hil-runner
	Command []string  `json:"command"`
	Lab     string    `json:"lab"`
	Host    string    `json:"host"`
	Owner   string    `json:"owner"`
	Seed    uint64    `json:"seed"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	// Release is the firmware label asked for; empty if nothing was flashed.
	Release   string     `json:"release,omitempty"`
	Boards    []BoardRun `json:"boards"`
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	// Notes are shown at the top of the report: unsigned images, missing tools.
	Notes []string `json:"notes,omitempty"`
	// Interrupted names the signal that ended the run early.
	Interrupted string `json:"interrupted,omitempty"`
	// Verdict and ExitCode are decided by package farm.
	Verdict  string `json:"verdict"`
	ExitCode int    `json:"exit_code"`
}

// Counts tallies the results of all boards by outcome.
func (r *Run) Counts() map[Outcome]int {
	n := make(map[Outcome]int)
	for _, b := range r.Boards {
		for _, res := range b.Results {
			n[res.Outcome]++
		}
	}
	return n
}
