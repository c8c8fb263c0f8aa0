package farm

import (
	"context"
	"errors"
	"fmt"

	"hil-runner/reports"
)

// sentinel is an error whose code also appears as the code of a cause, so
// that an error which travelled as code and text still matches errors.Is.
type sentinel struct {
	code string
	text string
}

func (s *sentinel) Error() string { return s.text }

// The conditions that callers decide on. Each also matches a typed error of
// this package that carries the same code.
var (
	// ErrResetIneffective means that no banner newer than the reset pulse
	// came: the line, the power or the UART is not what the lab file says.
	ErrResetIneffective error = &sentinel{"reset_ineffective", "reset without effect: no banner newer than the pulse"}
	// ErrNoAnswer means that the module said nothing at all.
	ErrNoAnswer error = &sentinel{"no_answer", "the module does not answer"}
	// ErrBoardBusy means that no board was to be had in time.
	ErrBoardBusy error = &sentinel{"board_busy", "no board to be had in time"}
	// ErrLeaseLost means that the board now belongs to a newer lease.
	ErrLeaseLost error = &sentinel{"lease_lost", "lease lost"}
	// ErrUARTLost means that the port went away.
	ErrUARTLost error = &sentinel{"uart_lost", "the board's UART went away"}
	// ErrClosed means that the bench was closed.
	ErrClosed error = &sentinel{"bench_closed", "the bench is closed"}
)

// InfraError is the lab's fault, never the firmware's.
type InfraError struct {
	// Code is short and stable, such as "flash_verify".
	Code string
	// Detail says what was tried, on which board and port, what came back
	// and what to do next.
	Detail string
	// Err is the error below, if any.
	Err error
}

func (e *InfraError) Error() string { return faultText("infra", e.Code, e.Detail, e.Err) }

// Unwrap gives the error below.
func (e *InfraError) Unwrap() error { return e.Err }

// Is matches the sentinel that has the same code.
func (e *InfraError) Is(target error) bool { return isSentinel(target, e.Code) }

// FirmwareError counts against the firmware, as a verified image whose module
// reports another build does.
type FirmwareError struct {
	Code   string
	Detail string
	Err    error
}

func (e *FirmwareError) Error() string { return faultText("firmware", e.Code, e.Detail, e.Err) }

// Unwrap gives the error below.
func (e *FirmwareError) Unwrap() error { return e.Err }

// TestError is the fault of the suite or of its inputs, as credentials that
// fail the lint are.
type TestError struct {
	Code   string
	Detail string
	Err    error
}

func (e *TestError) Error() string { return faultText("test", e.Code, e.Detail, e.Err) }

// Unwrap gives the error below.
func (e *TestError) Unwrap() error { return e.Err }

// UsageError is a wrong argument: a board, tag or suite that does not exist.
type UsageError struct {
	Text string
	// Hint says what would have been right, such as "did you mean vm02?".
	Hint string
}

func (e *UsageError) Error() string {
	if e.Hint == "" {
		return e.Text
	}
	return e.Text + "; " + e.Hint
}

// Interrupted means that a signal ended the work early.
type Interrupted struct{ Signal string }

func (e *Interrupted) Error() string {
	if e.Signal == "" {
		return "interrupted"
	}
	return "interrupted by " + e.Signal
}

// Is makes an Interrupted match context.Canceled.
func (e *Interrupted) Is(target error) bool { return target == context.Canceled }

// LimitError names the time limit that fired.
type LimitError struct {
	// Limit is the key of the limit in the lab file, such as "banner".
	Limit string
	// After is the limit's value as written for people, such as "8s".
	After string
	// Doing says what was being waited for.
	Doing string
	Err   error
}

func (e *LimitError) Error() string {
	s := fmt.Sprintf("limit %s (%s) reached", e.Limit, e.After)
	if e.Doing != "" {
		s = e.Doing + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the error below.
func (e *LimitError) Unwrap() error { return e.Err }

// CauseOf says what an error does to a case or a board: its outcome and the
// cause that goes into the report. Errors that are not of this package are
// infrastructure with the code "internal"; a nil error gives Passed.
func CauseOf(err error) (reports.Outcome, reports.Cause) {
	if err == nil {
		return reports.Passed, reports.Cause{}
	}
	detail := clip(err.Error())
	switch e := blamer(err).(type) {
	case *FirmwareError:
		return reports.Failed, reports.Cause{Code: e.Code, Detail: detail}
	case *TestError:
		return reports.Errored, reports.Cause{Class: reports.Test, Code: e.Code, Detail: detail}
	case *InfraError:
		return reports.Errored, reports.Cause{Class: reports.Infra, Code: e.Code, Detail: detail}
	}
	return reports.Errored, reports.Cause{Class: reports.Infra, Code: infraCode(err), Detail: detail}
}

// blamer gives the outermost error that says whose fault it is, the first one
// among joined errors, or nil.
func blamer(err error) error {
	switch x := err.(type) {
	case *FirmwareError, *TestError, *InfraError:
		return err
	case interface{ Unwrap() []error }:
		for _, e := range x.Unwrap() {
			if b := blamer(e); b != nil {
				return b
			}
		}
	case interface{ Unwrap() error }:
		return blamer(x.Unwrap())
	}
	return nil
}

// ErrorOf is the reverse of CauseOf for errors that travelled as data.
func ErrorOf(outcome reports.Outcome, c reports.Cause) error {
	switch {
	case outcome == reports.Passed:
		return nil
	case outcome == reports.Failed:
		return &FirmwareError{Code: c.Code, Detail: c.Detail}
	case c.Class == reports.Test:
		return &TestError{Code: c.Code, Detail: c.Detail}
	case c.Code == codeInterrupted:
		return &Interrupted{}
	}
	return &InfraError{Code: c.Code, Detail: c.Detail}
}

const codeInterrupted = "interrupted"

// infraCode gives the code of an error that does not blame anybody.
func infraCode(err error) string {
	if s, ok := errors.AsType[*sentinel](err); ok {
		return s.code
	}
	if e, ok := errors.AsType[*LimitError](err); ok {
		return "limit_" + e.Limit
	}
	if errors.Is(err, context.Canceled) {
		return codeInterrupted
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "limit"
	}
	return "internal"
}

func isSentinel(target error, code string) bool {
	s, ok := target.(*sentinel)
	return ok && s.code == code
}

func faultText(class, code, detail string, err error) string {
	s := class + ": " + code
	if detail != "" {
		s = detail
	}
	if err != nil {
		s += ": " + err.Error()
	}
	return s
}
