package farm_test

import (
	"slices"
	"testing"

	"hil-runner/farm"
	"hil-runner/reports"
)

func board(results ...reports.Result) reports.BoardRun { return reports.BoardRun{Results: results} }

func result(o reports.Outcome, codes ...string) reports.Result {
	r := reports.Result{Outcome: o}
	for _, code := range codes {
		r.Causes = append(r.Causes, reports.Cause{Code: code})
	}
	return r
}

func broken(o reports.Outcome, code string, results ...reports.Result) reports.BoardRun {
	return reports.BoardRun{Outcome: o, Causes: []reports.Cause{{Code: code}}, Results: results}
}

func TestRunVerdict(t *testing.T) {
	pass, fail := result(reports.Passed), result(reports.Failed, "assertion")
	infra, flaky := result(reports.Errored, "uart_lost"), result(reports.Flaky, "flaky")
	needed := result(reports.Skipped, "amazon_unreachable: stage=dns")
	needed.Case.Required = true
	optional := result(reports.Skipped, "not_requested")
	incident := board(pass)
	incident.Incidents = []reports.Incident{{Code: "unasked_reset"}}
	tests := []struct {
		name    string
		run     reports.Run
		verdict string
		code    int
	}{
		{"passed", reports.Run{Boards: []reports.BoardRun{board(pass), board(pass, pass)}}, "passed", 0},
		{"flaky", reports.Run{Boards: []reports.BoardRun{board(pass, flaky)}}, "passed", 0},
		{"flaky only", reports.Run{Boards: []reports.BoardRun{board(flaky)}}, "passed", 0},
		{"an incident beside the specs", reports.Run{Boards: []reports.BoardRun{incident}}, "passed", 0},
		{"optional skip", reports.Run{Boards: []reports.BoardRun{board(pass, optional)}}, "passed", 0},
		{"recorded beside a pass", reports.Run{Boards: []reports.BoardRun{board(pass, result(reports.Recorded))}}, "passed", 0},
		{"recorded alone is no pass", reports.Run{Boards: []reports.BoardRun{board(result(reports.Recorded))}}, "incomplete", 3},
		{"skips alone are no pass", reports.Run{Boards: []reports.BoardRun{board(optional)}}, "incomplete", 3},
		{"required skip", reports.Run{Boards: []reports.BoardRun{board(pass, needed)}}, "incomplete", 3},
		{"never ran", reports.Run{Boards: []reports.BoardRun{board(pass, result(reports.Skipped, farm.CodeNeverRan))}}, "incomplete", 3},
		{"inconclusive", reports.Run{Boards: []reports.BoardRun{board(pass, result(reports.Inconclusive, "control_failed"))}}, "inconclusive", 3},
		{"failed", reports.Run{Boards: []reports.BoardRun{board(pass, fail)}}, "failed", 1},
		{"error", reports.Run{Boards: []reports.BoardRun{board(pass, infra)}}, "error", 3},
		{"1 before 3, one board", reports.Run{Boards: []reports.BoardRun{board(infra, fail, needed)}}, "failed", 1},
		{"1 before 3, two boards", reports.Run{Boards: []reports.BoardRun{broken(reports.Errored, "no_answer"), board(fail)}}, "failed", 1},
		{"dead board", reports.Run{Boards: []reports.BoardRun{board(pass), broken(reports.Errored, "no_answer")}}, "error", 3},
		{"bad firmware", reports.Run{Boards: []reports.BoardRun{board(pass), broken(reports.Failed, "version_mismatch")}}, "failed", 1},
		{"worker died after all passed", reports.Run{Boards: []reports.BoardRun{broken(reports.Errored, "worker_died", pass)}}, "error", 3},
		{"board with causes and no outcome", reports.Run{Boards: []reports.BoardRun{broken("", "x", pass)}}, "error", 3},
		{"board skipped", reports.Run{Boards: []reports.BoardRun{board(pass), broken(reports.Skipped, "quarantined")}}, "incomplete", 3},
		{"board without results", reports.Run{Boards: []reports.BoardRun{board(pass), board()}}, "incomplete", 3},
		{"result without outcome", reports.Run{Boards: []reports.BoardRun{board(pass, reports.Result{})}}, "error", 3},
		{"no boards", reports.Run{}, "incomplete", 3},
		{"no board to be had", reports.Run{Boards: []reports.BoardRun{broken(reports.Errored, "board_busy"), broken(reports.Errored, "board_busy")}}, "no_board", 4},
		{"one of two boards to be had", reports.Run{Boards: []reports.BoardRun{broken(reports.Errored, "board_busy"), board(pass)}}, "error", 3},
		{"lease lost", reports.Run{Boards: []reports.BoardRun{broken(reports.Errored, "lease_lost", fail), board(fail)}}, "lease_lost", 5},
		{"lease lost, as a later cause", reports.Run{Boards: []reports.BoardRun{board(result(reports.Errored, "uart_lost", "lease_lost"))}}, "lease_lost", 5},
		{"interrupted", reports.Run{Interrupted: "SIGINT", Boards: []reports.BoardRun{board(pass)}}, "interrupted", 130},
		{"interrupted before all else", reports.Run{Interrupted: "SIGHUP", Boards: []reports.BoardRun{broken(reports.Errored, "lease_lost", fail, infra)}}, "interrupted", 130},
		{"interrupted board", reports.Run{Boards: []reports.BoardRun{broken(reports.Errored, "interrupted", fail)}}, "interrupted", 130},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			farm.RunVerdict(&test.run)
			if test.run.Verdict != test.verdict || test.run.ExitCode != test.code {
				t.Errorf("verdict %s, exit status %d, want %s, %d", test.run.Verdict, test.run.ExitCode, test.verdict, test.code)
			}
		})
	}
	strict := reports.Run{Boards: []reports.BoardRun{board(pass, flaky)}}
	if (farm.Rules{FlakyFails: true}).Decide(&strict); strict.ExitCode != 1 {
		t.Errorf("flaky gives %d under the strict rule, want 1", strict.ExitCode)
	}
}

// Over every set of outcomes: nothing but passes, flakes, recordings and
// optional skips gives 0, and any failure of the firmware gives 1.
func TestRunVerdictEverySet(t *testing.T) {
	outcomes := reports.Outcomes()
	for set := range 1 << len(outcomes) {
		var results []reports.Result
		var has []reports.Outcome
		for i, o := range outcomes {
			if set&(1<<i) != 0 {
				results = append(results, result(o, "x"))
				has = append(has, o)
			}
		}
		run := reports.Run{Boards: []reports.BoardRun{board(results...)}}
		farm.RunVerdict(&run)
		want := 0
		switch {
		case slices.Contains(has, reports.Failed):
			want = 1
		case slices.Contains(has, reports.Errored), slices.Contains(has, reports.Inconclusive),
			!slices.Contains(has, reports.Passed) && !slices.Contains(has, reports.Flaky):
			want = 3
		}
		if run.ExitCode != want || (run.Verdict == farm.VerdictPassed) != (want == 0) {
			t.Errorf("%v gave %s, %d, want %d", has, run.Verdict, run.ExitCode, want)
		}
	}
}
