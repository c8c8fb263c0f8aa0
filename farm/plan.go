package farm

import (
	"fmt"
	"slices"
	"time"

	"hil-runner/reports"
)

// Plan is what a run will do: boards, the firmware on them, and the cases of
// the suites.
type Plan struct {
	Lab string `json:"lab"`
	// Release is the label of the firmware to flash, or File the path of an
	// image; nothing is flashed when both are empty.
	Release string   `json:"release,omitempty"`
	File    string   `json:"file,omitempty"`
	Suites  []string `json:"suites"`
	// Parallel bounds how many boards run at once; 0 means all of them.
	Parallel int         `json:"parallel,omitempty"`
	Boards   []BoardPlan `json:"boards"`
	// Notes are shown with the plan, such as an image without signature.
	Notes []string `json:"notes,omitempty"`
}

// BoardPlan is one board's share of a plan.
type BoardPlan struct {
	Board Board `json:"board"`
	// Flash is nil when nothing is flashed.
	Flash *PlannedFlash `json:"flash,omitempty"`
	Cases []PlannedCase `json:"cases"`
}

// PlannedFlash is a flashing to come.
type PlannedFlash struct {
	Release  string        `json:"release,omitempty"`
	File     string        `json:"file,omitempty"`
	Estimate time.Duration `json:"estimate_ns"`
}

// PlannedCase is a case to come.
type PlannedCase struct {
	reports.Case
	// Skip says why the case will not run; nil when it will.
	Skip *reports.Cause `json:"skip,omitempty"`
	// Estimate is how long it will take; 0 when it is skipped.
	Estimate time.Duration `json:"estimate_ns,omitempty"`
}

// PlanRequest is what a plan is made from.
type PlanRequest struct {
	Lab     string
	Boards  []Board
	Release string
	File    string
	Suites  []string
	// FlashEstimate is how long flashing a board takes.
	FlashEstimate func(b Board) time.Duration
	// Cases gives the cases of the suites on a board.
	Cases    func(b Board) ([]PlannedCase, error)
	Parallel int
}

// NewPlan plans the suites on every board. A plan without a board or without
// a case is a UsageError.
func NewPlan(req PlanRequest) (*Plan, error) {
	if req.Release != "" && req.File != "" {
		return nil, &UsageError{Text: "a release and a firmware file were given; one of them is flashed"}
	}
	if len(req.Boards) == 0 {
		return nil, &UsageError{Text: "no board in the plan"}
	}
	p := &Plan{Lab: req.Lab, Release: req.Release, File: req.File, Suites: slices.Clone(req.Suites), Parallel: max(0, req.Parallel)}
	total := 0
	for _, b := range req.Boards {
		bp, err := planBoard(req, b)
		if err != nil {
			return nil, err
		}
		total += len(bp.Cases)
		p.Boards = append(p.Boards, bp)
	}
	if total == 0 {
		return nil, &UsageError{Text: "no case in the plan", Hint: "check --suite and --label-filter"}
	}
	return p, nil
}

func planBoard(req PlanRequest, b Board) (BoardPlan, error) {
	bp := BoardPlan{Board: b}
	if req.Release != "" || req.File != "" {
		bp.Flash = &PlannedFlash{Release: req.Release, File: req.File}
		if req.FlashEstimate != nil {
			bp.Flash.Estimate = req.FlashEstimate(b)
		}
	}
	if req.Cases == nil {
		return bp, nil
	}
	cases, err := req.Cases(b)
	if err != nil {
		return bp, fmt.Errorf("planning board %s: %w", b.ID, err)
	}
	seen := make(map[string]bool, len(cases))
	for _, k := range cases {
		if seen[k.ID] {
			return bp, &TestError{Code: "duplicate_case", Detail: fmt.Sprintf("two cases of the suites have the id %q", k.ID)}
		}
		seen[k.ID] = true
	}
	bp.Cases = cases
	return bp, nil
}

// ReportCases gives the cases of a board in the form of a report.
func (b BoardPlan) ReportCases() []reports.Case {
	cases := make([]reports.Case, len(b.Cases))
	for i, k := range b.Cases {
		cases[i] = k.Case
	}
	return cases
}

// Estimate is how long the board will take.
func (b BoardPlan) Estimate() time.Duration {
	var d time.Duration
	if b.Flash != nil {
		d += b.Flash.Estimate
	}
	for _, k := range b.Cases {
		if k.Skip == nil {
			d += k.Estimate
		}
	}
	return d
}

// Estimate is how long the plan will take with its boards side by side.
func (p *Plan) Estimate() time.Duration {
	workers := p.Parallel
	if workers <= 0 || workers > len(p.Boards) {
		workers = len(p.Boards)
	}
	if workers == 0 {
		return 0
	}
	busy := make([]time.Duration, workers)
	for _, b := range p.Boards {
		next := 0
		for i := range busy {
			if busy[i] < busy[next] {
				next = i
			}
		}
		busy[next] += b.Estimate()
	}
	return slices.Max(busy)
}
