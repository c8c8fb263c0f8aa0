package farm_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"hil-runner/farm"
	"hil-runner/reports"
)

func planRequest() farm.PlanRequest {
	skip := &reports.Cause{Code: "not_requested", Detail: "live Amazon needs --amazon live"}
	return farm.PlanRequest{
		Lab: "bench-3", Release: "3.0.0", Suites: []string{"smoke", "tls"}, Parallel: 2,
		Boards:        []farm.Board{{ID: "b1", Model: "SPWF01SA", Port: "/dev/b1"}, {ID: "b2", Model: "SPWF01SA", Port: "/dev/b2"}, {ID: "b3", Model: "SPWF01SC", Port: "/dev/b3"}},
		FlashEstimate: func(farm.Board) time.Duration { return time.Minute },
		Cases: func(b farm.Board) ([]farm.PlannedCase, error) {
			cases := []farm.PlannedCase{
				{Case: reports.Case{ID: "smoke/S01"}, Estimate: 10 * time.Second},
				{Case: reports.Case{ID: "tls/live/L01", Required: b.ID == "b2"}, Skip: skip, Estimate: time.Hour},
			}
			if b.Model == "SPWF01SC" {
				cases = append(cases, farm.PlannedCase{Case: reports.Case{ID: "smoke/S02"}, Estimate: 20 * time.Second})
			}
			return cases, nil
		},
	}
}

func TestPlan(t *testing.T) {
	p, err := farm.NewPlan(planRequest())
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Boards[0].Estimate(); got != 70*time.Second {
		t.Errorf("a board takes %s, want 70s: skips cost nothing", got)
	}
	if got := p.Estimate(); got != 160*time.Second {
		t.Errorf("the plan takes %s, want 160s: three boards, two at a time", got)
	}
	if got := len(p.Boards[2].ReportCases()); got != 3 {
		t.Errorf("%d cases on b3", got)
	}
	d := p.DryRun()
	if d.Flashes != 3 || d.Cases != 4 || d.Skipped != 3 || len(d.Skips) != 1 || d.Skips[0].Boards != 3 || !d.Skips[0].Required {
		t.Errorf("dry run is %+v", d)
	}
	if _, err := json.Marshal(d); err != nil {
		t.Error(err)
	}
	var text strings.Builder
	if err := d.Print(&text); err != nil {
		t.Fatal(err)
	}
	const want = `lab bench-3, suites smoke,tls: 3 boards, 3 flashes, 4 cases, 3 skipped, about 2m40s

BOARD  MODEL     PORT     FLASH  CASES  SKIPPED  TIME
b1     SPWF01SA  /dev/b1  3.0.0  1      1        1m10s
b2     SPWF01SA  /dev/b2  3.0.0  1      1        1m10s
b3     SPWF01SC  /dev/b3  3.0.0  2      1        1m30s

cases on b1, b2:
  smoke/S01

cases on b3:
  smoke/S01
  smoke/S02

skipped (not_requested: live Amazon needs --amazon live) on 3 boards, required: the run will be incomplete:
  tls/live/L01

nothing was touched
`
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

func TestPlanRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(r *farm.PlanRequest)
		want   string
		status farm.ExitStatus
	}{
		{"no boards", func(r *farm.PlanRequest) { r.Boards = nil }, "no board in the plan", 2},
		{"no cases", func(r *farm.PlanRequest) { r.Cases = nil }, "no case in the plan", 2},
		{"release and file", func(r *farm.PlanRequest) { r.File = "x.bin" }, "one of them is flashed", 2},
		{"a suite that cannot plan", func(r *farm.PlanRequest) {
			r.Cases = func(farm.Board) ([]farm.PlannedCase, error) { return nil, errors.New("boom") }
		}, "planning board b1: boom", 3},
		{"one id twice", func(r *farm.PlanRequest) {
			r.Cases = func(farm.Board) ([]farm.PlannedCase, error) {
				k := farm.PlannedCase{Case: reports.Case{ID: "a"}}
				return []farm.PlannedCase{k, k}, nil
			}
		}, `two cases of the suites have the id "a"`, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req := planRequest()
			test.change(&req)
			_, err := farm.NewPlan(req)
			if err == nil || !strings.Contains(err.Error(), test.want) || farm.ExitCode(err) != test.status {
				t.Errorf("got %v, want %q and exit status %d", err, test.want, test.status)
			}
		})
	}
}
