package spec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hil-runner/farm"
	"hil-runner/reports"
	"hil-runner/spwf"
)

// Blame says whose fault an error of a bench or of the driver is. Errors that
// carry their own verdict keep it; what the module said or did wrong is the
// firmware's; everything else is the lab's.
func Blame(err error) (reports.Outcome, reports.Cause) {
	failed := func(code string) (reports.Outcome, reports.Cause) {
		return reports.Failed, reports.Cause{Code: code, Detail: err.Error()}
	}
	var (
		refused *spwf.CommandError
		silent  *spwf.TimeoutError
		restart *spwf.ResetError
		fault   *spwf.FaultError
		lint    spwf.LintError
		join    *spwf.JoinError
	)
	switch {
	case errors.As(err, &fault):
		return failed(farm.IncidentHardFault)
	case errors.As(err, &restart):
		return failed("restarted")
	case errors.As(err, &refused):
		return failed("command_refused")
	case errors.Is(err, spwf.ErrFraming), errors.Is(err, spwf.ErrReply):
		return failed("reply_malformed")
	case errors.As(err, &lint):
		return reports.Errored, reports.Cause{Class: reports.Test, Code: "lint_" + string(lint.Code), Detail: err.Error()}
	case errors.Is(err, spwf.ErrArgument):
		return reports.Errored, reports.Cause{Class: reports.Test, Code: "argument", Detail: err.Error()}
	case errors.As(err, &join) && slices.ContainsFunc(join.Seen, func(i spwf.Indication) bool { return i.ID == spwf.WindJoinFailed }):
		return reports.Errored, reports.Cause{Class: reports.Infra, Code: "join_refused",
			Detail: err.Error() + "; check network.ssid, network.psk and the access point"}
	case errors.As(err, &silent):
		return failed("no_answer")
	}
	return farm.CauseOf(err)
}

// silence settles whose fault it is that the module does not answer: if a
// reset brings it back, its firmware had hung; if not, the board is dead or
// its wiring is, which never counts against the firmware.
func (s *Spec) silence(cause reports.Cause) (reports.Outcome, reports.Cause) {
	if s.Env.Bench.Reset == nil {
		return reports.Failed, cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), s.Env.Bench.Board.Limits.Banner+10*time.Second)
	defer cancel()
	if err := s.Env.Bench.Reset.Reset(ctx, 0); err != nil {
		outcome, dead := farm.CauseOf(err)
		dead.Detail = fmt.Sprintf("%s; a reset did not bring it back: %s", cause.Detail, dead.Detail)
		return outcome, dead
	}
	cause.Detail += "; a reset brought it back"
	return reports.Failed, cause
}
