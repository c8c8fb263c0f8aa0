package farm

import (
	"context"

	"hil-runner/reports"
)

// ExitStatus is what hil-runner's process ends with.
type ExitStatus int

// The exit statuses. ExitTable has the words for people.
const (
	ExitPassed      ExitStatus = reports.ExitPassed
	ExitFailed      ExitStatus = reports.ExitFailed
	ExitUsage       ExitStatus = reports.ExitUsage
	ExitInfra       ExitStatus = reports.ExitInfra
	ExitNoBoard     ExitStatus = reports.ExitNoBoard
	ExitLeaseLost   ExitStatus = reports.ExitLeaseLost
	ExitInterrupted ExitStatus = reports.ExitInterrupted
)

// ExitRow is one line of the table of exit statuses.
type ExitRow struct {
	Status  ExitStatus
	Meaning string
}

// ExitTable gives every exit status with its meaning, in ascending order.
func ExitTable() []ExitRow {
	var table []ExitRow
	for _, e := range reports.Exits() {
		table = append(table, ExitRow{ExitStatus(e.Code), e.Meaning})
	}
	return table
}

// exitPrecedence says which status is given when several hold. No board and
// usage end a run before it starts, so they come last.
func exitPrecedence() []ExitStatus {
	return []ExitStatus{ExitInterrupted, ExitLeaseLost, ExitFailed, ExitInfra, ExitNoBoard, ExitUsage}
}

// WorstExit gives the status that wins when all of these hold: 130, 5, 1, 3,
// 4, 2, and 0 when there is no other. A status outside the table counts as 3.
func WorstExit(statuses ...ExitStatus) ExitStatus {
	seen := make(map[ExitStatus]bool)
	for _, s := range statuses {
		if s != ExitPassed && !inTable(s) {
			s = ExitInfra
		}
		seen[s] = true
	}
	for _, s := range exitPrecedence() {
		if seen[s] {
			return s
		}
	}
	return ExitPassed
}

// ExitError ends the process with a status of its own, as `with` does with
// its command's. Err may be nil when everything has been said already.
type ExitError struct {
	Status ExitStatus
	Err    error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap gives the error below.
func (e *ExitError) Unwrap() error { return e.Err }

// ExitCode maps an error to the process's exit status. It looks through
// wrapped and joined errors; what it does not know is infrastructure.
func ExitCode(err error) ExitStatus {
	if err == nil {
		return ExitPassed
	}
	if s, ok := ownExit(err); ok {
		return s
	}
	switch x := err.(type) {
	case interface{ Unwrap() []error }:
		var all []ExitStatus
		for _, e := range x.Unwrap() {
			if e != nil {
				all = append(all, ExitCode(e))
			}
		}
		if len(all) > 0 {
			return WorstExit(all...)
		}
	case interface{ Unwrap() error }:
		if inner := x.Unwrap(); inner != nil {
			return notBlaming(err, ExitCode(inner))
		}
	}
	return ExitInfra
}

// notBlaming keeps what an error of the lab or of the test wraps from counting
// against the firmware.
func notBlaming(err error, inner ExitStatus) ExitStatus {
	switch err.(type) {
	case *InfraError, *TestError:
		if inner == ExitFailed || inner == ExitUsage {
			return ExitInfra
		}
	}
	return inner
}

// ownExit knows the errors that have a status of their own, without looking
// below them.
func ownExit(err error) (ExitStatus, bool) {
	switch e := err.(type) {
	case *ExitError:
		return e.Status, true
	case *Interrupted:
		return ExitInterrupted, true
	case *ConfigError, *UsageError:
		return ExitUsage, true
	case *FirmwareError:
		return ExitFailed, true
	case *sentinel:
		return codeExit(e.code)
	case *InfraError:
		return codeExit(e.Code)
	}
	if err == context.Canceled {
		return ExitInterrupted, true
	}
	return 0, false
}

func codeExit(code string) (ExitStatus, bool) {
	switch {
	case isSentinel(ErrLeaseLost, code):
		return ExitLeaseLost, true
	case isSentinel(ErrBoardBusy, code):
		return ExitNoBoard, true
	case code == codeInterrupted:
		return ExitInterrupted, true
	}
	return 0, false
}

func inTable(s ExitStatus) bool {
	for _, row := range ExitTable() {
		if row.Status == s {
			return true
		}
	}
	return false
}
