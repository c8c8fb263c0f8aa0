package spwf

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Reason is the text of a refusal that was seen on real modules. Use it with
// errors.Is on a CommandError.
type Reason string

// Error gives the text.
func (r Reason) Error() string { return string(r) }

// Refusals seen on real modules.
const (
	ReasonLoadCA          Reason = "Unable to load CA certificate"
	ReasonPendingData     Reason = "Pending data"
	ReasonSocketID        Reason = "Illegal Socket ID"
	ReasonTooManySockets  Reason = "Too many sockets"
	ReasonSocket          Reason = "Socket error"
	ReasonNotEnoughData   Reason = "Not enough data in buffer"
	ReasonNoDataMode      Reason = "Data mode not available"
	ReasonNoCommandMode   Reason = "Command mode not available"
	ReasonResolve         Reason = "Failed to resolve name"
	ReasonHostNotFound    Reason = "host not found"
	ReasonHardware        Reason = "Wait for Hardware Starting"
	ReasonFileNotFound    Reason = "File not found"
	ReasonServerUp        Reason = "Socket Server already up and running"
	ReasonServerDown      Reason = "Socket Server not running"
	ReasonUpdateConnect   Reason = "connect() failed, aborting"
	reasonUpdateImageHead        = "Invalid F/W image("
	reasonUpdateModelHead        = "F/W update model '"
)

var (
	// ErrFraming says that a counted reply did not end where its count said.
	ErrFraming = errors.New("the counted bytes were not followed by OK")
	// ErrReply says that OK came without the expected line before it.
	ErrReply = errors.New("the reply lacks the expected line")
	// ErrWedged says that Recover did not get the console back.
	ErrWedged = errors.New("the console does not come back; reset the module")
	// ErrOutOfStep says that answers to earlier commands keep coming.
	ErrOutOfStep = errors.New("answers to earlier commands keep coming; reset the module")
	// ErrArgument is a value that cannot stand in a command.
	ErrArgument = errors.New("not usable in a command")
)

// CommandError is a command that the module refused.
type CommandError struct {
	Board   string
	Command string // without credentials
	// Text is what follows "ERROR:", empty for a bare ERROR. Code is the
	// number of a module with console1_errs set, else 0.
	Text string
	Code int
	// Raw is the reply as it came; credentials are cut out.
	Raw []byte
}

// Error names the board, the command and the refusal, and for known refusals
// what to do next.
func (e *CommandError) Error() string {
	s := where(e.Board, e.Command) + "ERROR"
	if e.Code != 0 {
		s += ":" + strconv.Itoa(e.Code)
	}
	if e.Text != "" {
		s += ": " + printable(e.Text)
	}
	if next := advice(e); next != "" {
		s += " (" + next + ")"
	}
	return s
}

// Is matches a Reason by its text.
func (e *CommandError) Is(target error) bool {
	r, ok := target.(Reason)
	return ok && strings.EqualFold(strings.TrimSpace(e.Text), string(r))
}

func advice(e *CommandError) string {
	switch {
	case errors.Is(e, ReasonLoadCA):
		return "the CA slot holds something that is not a PEM certificate: lint the credentials"
	case errors.Is(e, ReasonPendingData):
		return "read the socket empty before closing it"
	case errors.Is(e, ReasonHardware):
		return "wait for +WIND:32 first"
	}
	return ""
}

// TimeoutError is a call that got no answer in time. It matches
// context.DeadlineExceeded.
type TimeoutError struct {
	Board   string
	Command string // without credentials
	// Limit is the name of the limit that fired: a field of Limits in lower
	// case, or "context" for the caller's own deadline.
	Limit string
	After time.Duration
	// Got is what came back so far; credentials are cut out.
	Got []byte
	// Hint says what this silence often means; it may be empty.
	Hint string
	Err  error
}

// Error names the command, the limit and what came back.
func (e *TimeoutError) Error() string {
	s := fmt.Sprintf("%sno answer within %v (limit %s)", where(e.Board, e.Command), e.After.Round(time.Millisecond), e.Limit)
	if len(e.Got) == 0 {
		s += ", nothing came back"
	} else {
		s += ", got " + cut(strconv.QuoteToASCII(string(e.Got)), 400)
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap gives the cause: that of the caller's context, if it fired.
func (e *TimeoutError) Unwrap() error { return e.Err }

// Is makes every TimeoutError match context.DeadlineExceeded.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// ResetError is a module that restarted while a command was open.
type ResetError struct {
	Board   string
	Command string
	Wind    Indication
}

// Error names the command and the banner.
func (e *ResetError) Error() string {
	return where(e.Board, e.Command) + "the module restarted: " + e.Wind.String()
}

// FaultError is a module that reported a fault of its own.
type FaultError struct {
	Board   string
	Command string
	Wind    Indication
	// Dump holds the lines printed after the indication, such as the
	// registers of a hard fault. At most 64 lines are kept.
	Dump []string
}

// Error names the command and the fault with the first lines of its dump.
func (e *FaultError) Error() string {
	s := where(e.Board, e.Command) + "the module failed: " + e.Wind.String()
	if len(e.Dump) > 0 {
		s += " | " + cut(printable(strings.Join(e.Dump, " | ")), 600)
	}
	return s
}

func where(board, command string) string {
	s := "spwf: "
	if board != "" {
		s += "board " + board + ": "
	}
	if command != "" {
		s += cut(printable(command), 200) + ": "
	}
	return s
}

// parseRefusal reads a line that begins with ERROR. The manual gives
// "ERROR: text"; with console1_errs a number stands before the text, in a
// form that no public source shows, so all plausible ones are read.
func parseRefusal(line string) (text string, code int, ok bool) {
	rest, found := strings.CutPrefix(line, "ERROR")
	if !found || (rest != "" && !strings.ContainsRune(": [(", rune(rest[0]))) {
		return "", 0, false
	}
	rest = strings.TrimLeft(rest, ": [(")
	digits := 0
	for digits < len(rest) && digits < 4 && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	after := rest[digits:]
	if digits > 0 && digits < 4 && (after == "" || strings.ContainsRune(":])", rune(after[0])) || strings.HasPrefix(after, " ")) {
		code, _ = strconv.Atoi(rest[:digits])
		rest = strings.TrimLeft(after, ":]) ")
	}
	return strings.TrimRight(rest, " "), code, true
}
