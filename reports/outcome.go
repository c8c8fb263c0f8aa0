// Package reports holds what a run found out and shows it: the outcome and
// result model, and its JSON, JUnit, HTML and terminal forms. It knows no
// hardware and decides nothing; verdicts are decided in package farm.
package reports

import "fmt"

// Outcome is how a case ended. The list is closed.
type Outcome string

const (
	// Passed means that every oracle of the case agreed.
	Passed Outcome = "passed"
	// Failed counts against the firmware.
	Failed Outcome = "failed"
	// Flaky passed after at least one failed attempt; Result.Attempts and
	// Result.PassedAttempts say k of n.
	Flaky Outcome = "flaky"
	// Inconclusive means that a positive control failed, so that the case
	// proves nothing either way.
	Inconclusive Outcome = "inconclusive"
	// Skipped means that the case did not run; its cause says why.
	Skipped Outcome = "skipped"
	// Recorded is a characterised behaviour without a baseline. It is never
	// counted as passed.
	Recorded Outcome = "recorded"
	// Errored is the fault of the lab or of the test, never of the firmware;
	// Cause.Class says which.
	Errored Outcome = "error"
)

// Outcomes lists every Outcome in the order in which summaries show them.
func Outcomes() []Outcome {
	return []Outcome{Passed, Flaky, Failed, Errored, Inconclusive, Recorded, Skipped}
}

// Class says whose fault an error is.
type Class string

const (
	// Infra is the lab: wiring, host, network, power, a killed worker.
	Infra Class = "infra"
	// Test is the suite or its inputs, such as credentials that fail the lint.
	Test Class = "test"
)

// Cause is one reason for an outcome. The first cause of a result wins, later
// ones are appended to it.
type Cause struct {
	// Class is set for Errored only.
	Class Class `json:"class,omitempty"`
	// Code is short and stable, such as "reset_ineffective" or
	// "version_mismatch"; scripts may depend on it.
	Code string `json:"code"`
	// Detail is for a person: what was tried, on which board and port, what
	// came back and what to do next.
	Detail string `json:"detail,omitempty"`
}

// String gives "infra: reset_ineffective: detail", leaving out what is empty.
func (c Cause) String() string {
	s := c.Code
	if c.Class != "" {
		s = fmt.Sprintf("%s: %s", c.Class, c.Code)
	}
	if c.Detail != "" {
		s += ": " + c.Detail
	}
	return s
}
