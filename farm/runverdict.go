package farm

import (
	"hil-runner/reports"
)

// The words of Run.Verdict.
const (
	VerdictPassed       = "passed"
	VerdictFailed       = "failed"
	VerdictError        = "error"
	VerdictInconclusive = "inconclusive"
	VerdictIncomplete   = "incomplete"
	VerdictNoBoard      = "no_board"
	VerdictLeaseLost    = "lease_lost"
	VerdictInterrupted  = "interrupted"
)

// Rules are what a plan may ask of a verdict.
type Rules struct {
	// FlakyFails makes a flaky result count as failed.
	FlakyFails bool
}

// RunVerdict decides a run by the usual rules: see Rules.Decide.
func RunVerdict(run *reports.Run) { Rules{}.Decide(run) }

// Decide sets a run's Verdict and ExitCode from its boards. Interrupted goes
// before a lost lease, that before a failure of the firmware, and that before
// an error of the lab or the test, an inconclusive or an incomplete run. A run
// is incomplete when a required case was skipped, when a board has neither
// results nor causes, or when nothing passed at all. When no board was to be
// had for any of it, the status is that of no board.
func (r Rules) Decide(run *reports.Run) {
	var t tally
	for i := range run.Boards {
		t.board(&run.Boards[i], r)
	}
	verdict, status := t.verdict(run)
	run.Verdict, run.ExitCode = verdict, int(status)
}

// tally counts what decides a run.
type tally struct {
	failed, errored, inconclusive, incomplete int
	passed, leaseLost, interrupted            int
	boards, noBoard                           int
}

func (t *tally) board(b *reports.BoardRun, r Rules) {
	t.boards++
	if len(b.Causes) > 0 && isSentinel(ErrBoardBusy, b.Causes[0].Code) {
		t.noBoard++
	}
	t.codes(b.Causes)
	switch b.Outcome {
	case reports.Failed:
		t.failed++
	case reports.Errored:
		t.errored++
	case reports.Inconclusive:
		t.inconclusive++
	case "", reports.Passed:
		if len(b.Causes) > 0 {
			t.errored++
		}
		if len(b.Results) == 0 {
			t.incomplete++
		}
	default:
		t.incomplete++
	}
	for i := range b.Results {
		t.result(&b.Results[i], r)
	}
}

func (t *tally) result(res *reports.Result, r Rules) {
	t.codes(res.Causes)
	switch res.Outcome {
	case reports.Passed:
		t.passed++
	case reports.Flaky:
		if r.FlakyFails {
			t.failed++
		} else {
			t.passed++
		}
	case reports.Failed:
		t.failed++
	case reports.Inconclusive:
		t.inconclusive++
	case reports.Recorded:
	case reports.Skipped:
		if res.Case.Required || hasCode(res.Causes, CodeNeverRan) {
			t.incomplete++
		}
	default:
		t.errored++
	}
}

// codes looks for the causes that have an exit status of their own, wherever
// in the list they stand: a lost lease is never hidden behind its effects.
func (t *tally) codes(causes []reports.Cause) {
	for _, c := range causes {
		switch {
		case isSentinel(ErrLeaseLost, c.Code):
			t.leaseLost++
		case c.Code == codeInterrupted:
			t.interrupted++
		}
	}
}

func (t *tally) verdict(run *reports.Run) (string, ExitStatus) {
	switch {
	case run.Interrupted != "" || t.interrupted > 0:
		return VerdictInterrupted, ExitInterrupted
	case t.leaseLost > 0:
		return VerdictLeaseLost, ExitLeaseLost
	case t.failed > 0:
		return VerdictFailed, ExitFailed
	case t.boards > 0 && t.noBoard == t.boards:
		return VerdictNoBoard, ExitNoBoard
	case t.errored > 0:
		return VerdictError, ExitInfra
	case t.inconclusive > 0:
		return VerdictInconclusive, ExitInfra
	case t.incomplete > 0 || t.passed == 0:
		return VerdictIncomplete, ExitInfra
	}
	return VerdictPassed, ExitPassed
}

func hasCode(causes []reports.Cause, code string) bool {
	for _, c := range causes {
		if c.Code == code {
			return true
		}
	}
	return false
}
