package spec

import (
	"context"
	"strings"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"

	"hil-runner/farm"
	"hil-runner/reports"
)

// CaseOf reads a planned case from a spec's labels; specs written in plain
// Ginkgo get their id from their text.
func CaseOf(r types.SpecReport) reports.Case {
	c := reports.Case{Name: r.LeafNodeText, Required: true}
	for _, label := range r.Labels() {
		key, value, _ := strings.Cut(label, ":")
		switch key {
		case "suite":
			c.Suite = value
			continue
		case "id":
			c.ID = value
			continue
		case "mode":
			c.Mode = value
		case "endpoint":
			c.EndpointKind = value
		case "optional":
			c.Required = false
		}
		c.Labels = append(c.Labels, label)
	}
	if c.Suite == "" && len(r.ContainerHierarchyTexts) > 0 {
		c.Suite = r.ContainerHierarchyTexts[0]
	}
	if c.ID == "" {
		c.ID = c.Suite + "." + r.FullText()
	}
	return c
}

// Planned lists the cases of a preview that will run.
func Planned(preview types.Report) []reports.Case {
	var cases []reports.Case
	for _, r := range preview.SpecReports {
		if r.LeafNodeType.Is(types.NodeTypeIt) && !r.State.Is(types.SpecStateSkipped|types.SpecStatePending) {
			cases = append(cases, CaseOf(r))
		}
	}
	return cases
}

// Report emits the start and end of every spec that runs. fault is called
// with an error of the owner of the bench, after which nothing counts.
func (e *Env) Report(ctx context.Context, ended *int, fault func(error)) {
	ginkgo.ReportBeforeEach(func(r ginkgo.SpecReport) {
		if r.State.Is(types.SpecStateSkipped | types.SpecStatePending) {
			return
		}
		if err := e.Emit(ctx, farm.SpecStarted{ID: CaseOf(r).ID, Started: r.StartTime, Attempt: 1}); err != nil {
			fault(err)
		}
	})
	ginkgo.ReportAfterEach(func(r ginkgo.SpecReport) {
		s := e.end()
		if r.StartTime.IsZero() || s == nil && r.State.Is(types.SpecStateSkipped|types.SpecStatePending) && r.RunTime == 0 {
			return
		}
		*ended++
		if err := e.Emit(ctx, specEnded(r, s)); err != nil {
			fault(err)
		}
	})
}

// specEnded puts together what Ginkgo and the case itself say.
func specEnded(r types.SpecReport, s *Spec) farm.SpecEnded {
	ev := farm.SpecEnded{ID: CaseOf(r).ID, Duration: r.RunTime, Attempts: max(r.NumAttempts, 1), Message: r.Failure.Message}
	if s != nil {
		s.mu.Lock()
		ev.Outcome, ev.Causes, ev.Value = s.outcome, s.causes, s.value
		ev.EndpointKind, ev.Evidence = s.proved, s.evidence
		s.mu.Unlock()
	}
	switch {
	case r.State.Is(types.SpecStateTimedout):
		ev.Outcome = firstOutcome(ev, reports.Failed)
		ev.Causes = append(ev.Causes, reports.Cause{Code: "limit_spec", Detail: r.Failure.Message})
	case r.State.Is(types.SpecStatePanicked):
		ev.Outcome = reports.Errored
		ev.Causes = append([]reports.Cause{{Class: reports.Test, Code: "panic",
			Detail: r.Failure.Message + ": " + r.Failure.ForwardedPanic}}, ev.Causes...)
	case r.State.Is(types.SpecStateInterrupted | types.SpecStateAborted):
		ev.Outcome = firstOutcome(ev, reports.Errored)
		ev.Causes = append(ev.Causes, reports.Cause{Class: reports.Infra, Code: "interrupted", Detail: r.Failure.Message})
	case r.State.Is(types.SpecStateFailed) && len(ev.Causes) == 0:
		ev.Outcome = reports.Failed
		ev.Causes = []reports.Cause{{Code: "expectation", Detail: r.Failure.Message}}
	case r.State.Is(types.SpecStateSkipped) && len(ev.Causes) == 0:
		ev.Outcome = reports.Skipped
		ev.Causes = []reports.Cause{{Code: "skipped", Detail: r.Failure.Message}}
	case r.State.Is(types.SpecStatePassed) && ev.Outcome == "":
		ev.Outcome = reports.Passed
		ev.PassedAttempts = 1
	}
	return ev
}

// firstOutcome keeps the outcome of the first cause, if there is one.
func firstOutcome(ev farm.SpecEnded, otherwise reports.Outcome) reports.Outcome {
	if len(ev.Causes) > 0 {
		return ev.Outcome
	}
	return otherwise
}
