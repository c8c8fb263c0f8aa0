package farm

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"hil-runner/recorder"
	"hil-runner/reports"
)

// End says how a worker's run on a board came to its end. A worker's exit
// status is not part of it: it is never a verdict.
type End struct {
	// Cause says why the run ended early, such as worker_died or limit_run;
	// its Code is empty when the worker ended by itself.
	Cause reports.Cause
	// Outcome belongs to Cause; Errored unless set.
	Outcome reports.Outcome
	// At and Offset are when and where in the journal.
	At     time.Time
	Offset recorder.Offset
}

// Causes of results that did not run to their end.
const (
	// CodeWorkerDied is the cause of the spec that ran when its worker went.
	CodeWorkerDied = "worker_died"
	// CodeNeverRan is the cause of the planned specs after it.
	CodeNeverRan = "never_ran"
)

// Decide fills in the results, incidents, outcome and causes of a board from
// all that was heard. A spec passed when it was planned, ended as passed and
// met no incident; the board did when, besides, the worker said that it was
// done. The spec that was running at an early end is an error of the lab, what
// came after it never ran. Causes that the board has already stay first.
func (c *Collector) Decide(run *reports.BoardRun, end End) {
	c.mu.Lock()
	defer c.mu.Unlock()
	early := c.earlyEnd(end)
	run.Results = make([]reports.Result, 0, len(c.planned))
	for _, k := range c.planned {
		run.Results = append(run.Results, c.decideSpec(k, c.specs[k.ID], early, end))
	}
	for _, id := range c.strangers {
		if c.known[id] {
			continue
		}
		res := c.decideSpec(reports.Case{ID: id, Name: id}, c.specs[id], early, end)
		blame(&res, reports.Errored, reports.Cause{Class: reports.Test, Code: "not_planned",
			Detail: "the worker ran a spec that was not in its plan"})
		run.Results = append(run.Results, res)
	}
	run.Incidents = append(run.Incidents, c.incidents...)
	c.decideBoard(run, early, end)
}

// earlyEnd gives the cause of an early end; its code is empty when the worker
// said that it was done and nothing stopped it.
func (c *Collector) earlyEnd(end End) reports.Cause {
	if end.Cause.Code != "" {
		if cmp.Or(end.Outcome, reports.Errored) == reports.Errored && end.Cause.Class == "" {
			end.Cause.Class = reports.Infra
		}
		return end.Cause
	}
	if c.done == nil {
		return reports.Cause{Class: reports.Infra, Code: CodeWorkerDied, Detail: "the worker ended without saying that it was done"}
	}
	return reports.Cause{}
}

func (c *Collector) decideBoard(run *reports.BoardRun, early reports.Cause, end End) {
	for _, in := range c.outside {
		if outcome, cause := incidentCause(in); outcome == reports.Failed {
			blameBoard(run, outcome, cause)
		}
	}
	if early.Code != "" {
		blameBoard(run, cmp.Or(end.Outcome, reports.Errored), early)
	}
	if len(c.planned) == 0 {
		blameBoard(run, reports.Errored, reports.Cause{Class: reports.Infra, Code: "no_plan",
			Detail: "the worker never said what it would run"})
	}
	for _, cause := range c.bad {
		blameBoard(run, reports.Errored, cause)
	}
	if c.done == nil {
		return
	}
	for _, cause := range c.done.Causes {
		outcome := cmp.Or(c.done.Outcome, reports.Errored)
		if outcome == reports.Errored && cause.Class == "" {
			cause.Class = reports.Test
		}
		blameBoard(run, outcome, cause)
	}
	if ended := c.endedPlanned(); early.Code == "" && (c.done.Planned != len(c.planned) || c.done.Ended != ended) {
		blameBoard(run, reports.Errored, reports.Cause{Class: reports.Infra, Code: "events_missing",
			Detail: fmt.Sprintf("the worker counts %d planned and %d ended specs, its events say %d and %d",
				c.done.Planned, c.done.Ended, len(c.planned), ended)})
	}
	if c.cut > 0 {
		blameBoard(run, reports.Errored, reports.Cause{Class: reports.Test, Code: "too_much_evidence",
			Detail: fmt.Sprintf("%d events were left out of the report; they are in the journal", c.cut)})
	}
}

func (c *Collector) endedPlanned() int {
	n := 0
	for _, k := range c.planned {
		if s := c.specs[k.ID]; s != nil && s.ended {
			n++
		}
	}
	return n
}

// decideSpec gives the result of one spec; s is nil when nothing was heard.
func (c *Collector) decideSpec(k reports.Case, s *spec, early reports.Cause, end End) reports.Result {
	res := reports.Result{Case: k}
	if s == nil || !s.begun && !s.ended {
		neverRan(&res, early)
		if s != nil {
			res.Evidence = s.evidence
		}
		return res
	}
	res.Started, res.From, res.To, res.Evidence = s.started, s.from, s.to, s.evidence
	if !s.ended {
		cutOff(&res, s, early, end)
		return res
	}
	for _, in := range s.incidents {
		outcome, cause := incidentCause(in)
		blame(&res, outcome, cause)
	}
	takeEnd(&res, s.end)
	for _, cause := range s.causes {
		blame(&res, reports.Errored, cause)
	}
	checkEndpoint(&res)
	return res
}

// neverRan ends a planned spec of which nothing was heard.
func neverRan(res *reports.Result, early reports.Cause) {
	detail := "the worker said that it was done without it"
	if early.Code != "" {
		detail = early.String()
	}
	res.Outcome = reports.Skipped
	res.Causes = []reports.Cause{{Code: CodeNeverRan, Detail: detail}}
}

// cutOff ends the spec that was running when the worker stopped.
func cutOff(res *reports.Result, s *spec, early reports.Cause, end End) {
	res.Attempts = 1
	if !end.At.IsZero() && !s.started.IsZero() {
		res.Duration = max(0, end.At.Sub(s.started))
	}
	res.To = max(s.from, end.Offset)
	for _, in := range s.incidents {
		outcome, cause := incidentCause(in)
		blame(res, outcome, cause)
	}
	if early.Code == "" {
		early = reports.Cause{Class: reports.Infra, Code: "no_end",
			Detail: "the worker said that it was done without an end of this spec"}
	}
	blame(res, cmp.Or(end.Outcome, reports.Errored), early)
}

// Unrun gives skipped(never_ran) results for cases whose board never came to
// run them; why is the board's own first cause.
func Unrun(cases []reports.Case, why reports.Cause) []reports.Result {
	results := make([]reports.Result, len(cases))
	for i, k := range cases {
		results[i] = reports.Result{Case: k}
		neverRan(&results[i], why)
	}
	return results
}

// blame adds a cause to a result. The first cause decides the outcome.
func blame(res *reports.Result, outcome reports.Outcome, c reports.Cause) {
	if len(res.Causes) == 0 || res.Outcome == reports.Passed || res.Outcome == reports.Flaky || res.Outcome == reports.Recorded {
		res.Outcome = outcome
	}
	addCause(res, c)
}

// addCause appends a cause. What the watch and the worker both say is said
// once: one fault of the module is one cause.
func addCause(res *reports.Result, c reports.Cause) {
	for i, known := range res.Causes {
		if known.Class != c.Class || known.Code != c.Code {
			continue
		}
		switch {
		case strings.Contains(c.Detail, known.Detail):
			res.Causes[i].Detail = c.Detail
			return
		case strings.Contains(known.Detail, c.Detail), isIncident(c.Code):
			return
		}
	}
	res.Causes = append(res.Causes, c)
}

// blameBoard adds a cause to a board. The first cause decides the outcome.
func blameBoard(run *reports.BoardRun, outcome reports.Outcome, c reports.Cause) {
	if len(run.Causes) == 0 {
		run.Outcome = outcome
	}
	run.Causes = append(run.Causes, c)
}

// Blame adds what an error says to a board's run; nil changes nothing.
func Blame(run *reports.BoardRun, err error) {
	if err == nil {
		return
	}
	outcome, cause := CauseOf(err)
	blameBoard(run, outcome, cause)
}
