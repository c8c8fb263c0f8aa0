package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hil-runner/farm"
	"hil-runner/reports"
)

// TestWorkerKilled kills one board's worker in the middle of a spec: what ran
// is recorded, the running spec is the lab's error, the rest never ran, and
// the other board has all its results.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	faults := filepath.Join(t.TempDir(), "faults.yaml")
	// The module hangs, so that the spec is still running when it is killed.
	if err := os.WriteFile(faults, []byte("faults:\n- {board: vb1, kind: hang, after: {command: 25}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rounds := soak(t, 60, 1)
	defer func() { t.Logf("soak: %d workers killed", rounds) }()
	for range rounds {
		r := labUpWith(t, 2, "--faults", faults)
		p := r.run("--suite", "smoke", "--firmware", "none")
		// The third spec, smoke.at, sends a hundred commands.
		if !p.until("in the third spec", func() bool {
			return r.recorded("vb1", `"spec_started"`) >= 3 && r.stats("vb1").Faults["hang"] > 0
		}) {
			t.Fatalf("the run ended: %s%s", p.out, p.err)
		}
		pid, ok := workers(p.cmd.Process.Pid)["vb1"]
		if !ok {
			t.Fatal("no worker of vb1")
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.wants(3)
		r.workerDied()
		r.parked("vb1")
		r.parked("vb2")
	}
}

// workerDied looks at the report of a run whose worker of vb1 was killed in
// its third spec.
func (r *rig) workerDied() {
	r.t.Helper()
	run := r.report()
	if run.Verdict != "error" || run.ExitCode != 3 {
		r.t.Errorf("verdict %s, exit %d", run.Verdict, run.ExitCode)
	}
	for _, b := range run.Boards {
		var got []string
		for _, res := range b.Results {
			text := string(res.Outcome)
			if res.Outcome != reports.Passed {
				text += " " + string(res.Causes[0].Class) + ":" + res.Causes[0].Code
			}
			got = append(got, text)
		}
		never := strings.Repeat("skipped :"+farm.CodeNeverRan+"\n", 5)
		want := "passed\npassed\nerror infra:" + farm.CodeWorkerDied + "\n" + never
		if b.Board == "vb2" {
			want = strings.Repeat("passed\n", 8)
		}
		if text := strings.Join(got, "\n") + "\n"; text != want {
			r.t.Errorf("board %s:\n%s\nwant:\n%s", b.Board, text, want)
		}
		if !b.Parked {
			r.t.Errorf("board %s was not parked", b.Board)
		}
		for id, outcome := range r.specEnds(b.Board) {
			if outcome != reports.Passed {
				r.t.Errorf("board %s: journal: %s %s", b.Board, id, outcome)
			}
		}
	}
}
