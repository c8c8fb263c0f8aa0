package farm

import (
	"slices"

	"hil-runner/reports"
)

// takeEnd puts a worker's end of a spec into its result. What the worker says
// is checked for sense: a contradiction never becomes a pass.
func takeEnd(res *reports.Result, e SpecEnded) {
	res.Message, res.Value, res.EndpointKind, res.Duration = e.Message, e.Value, e.EndpointKind, max(0, e.Duration)
	res.Attempts, res.PassedAttempts = attempts(e)
	outcome, causes := saneEnd(e, res.Attempts, res.PassedAttempts)
	if len(res.Causes) == 0 {
		res.Outcome = outcome
	}
	for _, c := range causes {
		addCause(res, c)
	}
}

// attempts fills in the counts that a worker leaves out for a single attempt.
func attempts(e SpecEnded) (all, passed int) {
	all, passed = max(0, e.Attempts), max(0, e.PassedAttempts)
	if all == 0 && e.Outcome != reports.Skipped {
		all = 1
		if e.Outcome == reports.Passed {
			passed = 1
		}
	}
	return all, min(passed, all)
}

// saneEnd gives the outcome and causes that a worker's end really supports.
func saneEnd(e SpecEnded, all, passed int) (reports.Outcome, []reports.Cause) {
	causes := slices.Clone(e.Causes)
	for i := range causes {
		causes[i].Code, causes[i].Detail = clip(causes[i].Code), clip(causes[i].Detail)
	}
	contradiction := func(detail string) (reports.Outcome, []reports.Cause) {
		return reports.Errored, append([]reports.Cause{{Class: reports.Test, Code: "bad_end", Detail: detail}}, causes...)
	}
	if !slices.Contains(reports.Outcomes(), e.Outcome) {
		return contradiction("the worker ended the spec with an unknown outcome")
	}
	switch e.Outcome {
	case reports.Passed:
		if len(causes) > 0 || passed == 0 {
			return contradiction("the worker says passed, and why not")
		}
		if passed < all {
			return reports.Flaky, []reports.Cause{{Code: "flaky", Detail: "passed after failed attempts"}}
		}
		return reports.Passed, nil
	case reports.Flaky:
		if passed == 0 {
			return contradiction("the worker says flaky without a passed attempt")
		}
	case reports.Errored:
		for i := range causes {
			if causes[i].Class != reports.Infra {
				causes[i].Class = reports.Test
			}
		}
		if len(causes) == 0 {
			causes = []reports.Cause{{Class: reports.Test, Code: "no_cause"}}
		}
		return e.Outcome, causes
	}
	for i := range causes {
		causes[i].Class = ""
	}
	if len(causes) == 0 && e.Outcome != reports.Recorded {
		causes = []reports.Cause{{Code: defaultCause(e.Outcome)}}
	}
	return e.Outcome, causes
}

func defaultCause(o reports.Outcome) string {
	switch o {
	case reports.Failed:
		return "assertion"
	case reports.Flaky:
		return "flaky"
	}
	return "no_reason"
}

// endpointLive is the endpoint kind of a case that speaks to Amazon itself.
const endpointLive = "amazon-live"

// checkEndpoint withholds a pass from a case that met another endpoint than
// the one it was planned against, and from a live case whose server proved
// nothing.
func checkEndpoint(res *reports.Result) {
	if res.Outcome != reports.Passed && res.Outcome != reports.Flaky {
		return
	}
	want, got := res.Case.EndpointKind, res.EndpointKind
	switch {
	case want == "" || want == got:
	case got != "":
		blame(res, reports.Errored, reports.Cause{Class: reports.Infra, Code: "endpoint_mismatch",
			Detail: "planned against " + want + ", the server proved to be " + got})
	case want == endpointLive:
		blame(res, reports.Inconclusive, reports.Cause{Code: "endpoint_unproved",
			Detail: "nothing shows that the peer was " + want})
	}
}
