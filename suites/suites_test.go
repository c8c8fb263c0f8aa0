package suites_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hil-runner/farm"
	"hil-runner/farm/farmtest"
	"hil-runner/farm/hostlab"
	"hil-runner/farm/virtlab"
	"hil-runner/farm/virtlab/app"
	"hil-runner/farm/virtlab/image"
	"hil-runner/firmware"
	"hil-runner/recorder"
	"hil-runner/reports"
	"hil-runner/suites"
	"hil-runner/suites/spec"
)

// Ginkgo runs once per process, so each test starts this binary again as the
// worker of one virtual module.
const childEnv = "HIL_SUITES_TEST_CHILD"

func TestMain(m *testing.M) {
	if raw := os.Getenv(childEnv); raw != "" {
		if err := child(raw); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// order is what a child is told to do.
type order struct {
	Task spec.Task
	App  app.Profile
	Plan bool // only list the cases
	Dir  string
	// FaultCommand makes the module fail hard at its nth command.
	FaultCommand int
}

// child runs the suites on one virtual module and prints the board's results.
func child(raw string) error {
	var o order
	if err := json.Unmarshal([]byte(raw), &o); err != nil {
		return err
	}
	if o.Plan {
		cases, err := suites.Plan(&spec.Env{Task: o.Task})
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(cases)
	}
	run, err := runModule(o)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(o.Dir, "result.json"))
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewEncoder(f).Encode(run)
}

// runModule is a worker and its owner in one process, without a link.
func runModule(o order) (run reports.BoardRun, err error) {
	profile, _ := image.Find("3.5.3")
	profile.App = o.App
	data, err := image.Build(profile)
	if err != nil {
		return run, err
	}
	img, err := firmware.NewImage(firmware.Entry{Release: "under test", Build: profile.Build(), Model: profile.Chip,
		Address: image.Address, Method: firmware.UART, Virtual: true}, data)
	if err != nil {
		return run, err
	}
	access := virtlab.DefaultAccess()
	cfg := virtlab.Config{Boards: 1, Dir: filepath.Join(o.Dir, "lab")}
	if o.FaultCommand > 0 {
		cfg.Faults = []virtlab.Fault{{Kind: virtlab.FaultHardFault, After: virtlab.Trigger{Command: o.FaultCommand}}}
	}
	lab, err := virtlab.New(cfg)
	if err != nil {
		return run, err
	}
	defer lab.Close()
	fence, err := farm.OpenFence(filepath.Join(o.Dir, "tokens"))
	if err != nil {
		return run, err
	}
	defer fence.Close()
	board := lab.Boards()[0]
	limits := farm.DefaultLimits()
	limits.Pulse, limits.Command = time.Millisecond, 5*time.Second
	hosts, err := hostlab.Open(context.Background(), hostlab.Config{StateDir: o.Dir, Fence: fence,
		Image: func(farm.FlashRequest) (firmware.Image, error) { return img, nil },
		Devices: []hostlab.Device{{Address: "127.0.0.1", JournalDir: filepath.Join(o.Dir, "journal"),
			Wiring: farm.Wiring{Net: "sock:" + board.ControlPath,
				Board: farm.Board{ID: board.ID, Model: farm.DefaultModel, Port: board.UARTPath, Virtual: true, Limits: limits},
				Lines: farm.LabLines{Reset: &farm.LineAddress{Address: board.ID + "-reset"},
					Boot0: &farm.LineAddress{Address: board.ID + "-boot0"}}}}}})
	if err != nil {
		return run, err
	}
	defer hosts.Close()
	bench, err := hosts.Open(context.Background(), board.ID, farmtest.NewLease(board.ID, 1))
	if err != nil {
		return run, err
	}
	// What the module does follows from the image in its flash.
	if _, err := bench.Flash.Flash(context.Background(), farm.FlashRequest{Release: img.Release}, nil); err != nil {
		return run, err
	}
	bench.From = bench.Recording.End()
	o.Task.WiFi = spec.WiFi{SSID: access.SSID, PSK: access.PSK}
	return runSpecs(bench, o.Task)
}

// runSpecs runs the task and folds its events into the board's results.
func runSpecs(bench *farm.Bench, task spec.Task) (run reports.BoardRun, err error) {
	collector := farm.NewCollector()
	incidents := make(chan farm.IncidentSeen, 16)
	done := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	cursor := bench.Recording.Cursor(bench.From)
	go func() {
		defer close(done)
		for {
			rec, err := cursor.Next(ctx)
			if err != nil {
				return
			}
			collector.Record(rec)
			if ev, err := farm.ParseEvent(rec.Kind, rec.Data); err == nil {
				if in, ok := ev.(farm.IncidentSeen); ok {
					incidents <- in
				}
			}
			if rec.Kind == recorder.KindNote && strings.Contains(string(rec.Data), "the_end") {
				return
			}
		}
	}()
	err = suites.Run(context.Background(), &spec.Env{Bench: bench, Task: task, Incidents: incidents})
	if err == nil {
		_, err = bench.Journal.Event(context.Background(), recorder.KindNote, "the_end", nil)
	}
	if err != nil {
		stop()
	}
	<-done
	stop()
	collector.Decide(&run, farm.End{At: time.Now()})
	return run, err
}

// start runs a child and gives what it printed.
func start(t *testing.T, o order) (stdout []byte) {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), childEnv+"="+string(raw), "GORACE=atexit_sleep_ms=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child: %v\n%s\n%s", err, out, stderr.String())
	}
	return out
}

// results runs a task on a module with a profile.
func results(t *testing.T, o order) reports.BoardRun {
	t.Helper()
	o.Dir = t.TempDir()
	out := start(t, o)
	raw, err := os.ReadFile(filepath.Join(o.Dir, "result.json"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var run reports.BoardRun
	if err := json.Unmarshal(raw, &run); err != nil {
		t.Fatal(err)
	}
	if len(run.Results) == 0 {
		t.Fatalf("no results: %+v\n%s", run.Causes, out)
	}
	return run
}

func plan(t *testing.T, task spec.Task) []reports.Case {
	t.Helper()
	var cases []reports.Case
	if err := json.Unmarshal(start(t, order{Task: task, Plan: true}), &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestPlan(t *testing.T) {
	cases := plan(t, spec.Task{Suites: suites.Names(), Amazon: spec.AmazonShaped})
	seen := make(map[string]bool)
	perMode := make(map[string]int)
	for _, c := range cases {
		if seen[c.ID] {
			t.Errorf("two cases have the id %s", c.ID)
		}
		seen[c.ID] = true
		perMode[c.Mode]++
		if c.Suite == "" || c.Name == "" {
			t.Errorf("case %s lacks its suite or its name: %+v", c.ID, c)
		}
		if live := c.EndpointKind == "amazon-live"; live == c.Required {
			t.Errorf("case %s: required is %v, endpoint %s", c.ID, c.Required, c.EndpointKind)
		}
	}
	for _, mode := range []string{"anonymous", "one_way", "mutual"} {
		if perMode[mode] < 9 {
			t.Errorf("mode %s has %d cases: the positives, the negatives and the client certificate make more", mode, perMode[mode])
		}
	}
	if first := cases[0]; first.Suite != "smoke" {
		t.Errorf("the first case is %s: a board should fail its smoke suite first", first.ID)
	}
}

func TestPlanFollowsTheTask(t *testing.T) {
	for name, c := range map[string]struct {
		task spec.Task
		want func(reports.Case) bool
	}{
		"amazon off":   {spec.Task{Suites: []string{"tls"}, Amazon: spec.AmazonOff}, func(c reports.Case) bool { return c.EndpointKind == "local" }},
		"label filter": {spec.Task{Suites: suites.Names(), LabelFilter: "mode:mutual && negative"}, func(c reports.Case) bool { return c.Mode == "mutual" && slices.Contains(c.Labels, "negative") }},
		"one case":     {spec.Task{Suites: suites.Names(), LabelFilter: "id:tls.one_way.C02"}, func(c reports.Case) bool { return c.ID == "tls.one_way.C02" }},
		"require live": {spec.Task{Suites: []string{"tls"}, Amazon: spec.AmazonLive, RequireLive: true, LabelFilter: "endpoint:amazon-live"}, func(c reports.Case) bool { return c.Required }},
	} {
		t.Run(name, func(t *testing.T) {
			cases := plan(t, c.task)
			if len(cases) == 0 {
				t.Fatal("no case")
			}
			for _, k := range cases {
				if !c.want(k) {
					t.Errorf("case %s is in the plan", k.ID)
				}
			}
		})
	}
}

// notPassed lists the cases that did not pass, skips left out.
func notPassed(run reports.BoardRun) []string {
	var ids []string
	for _, r := range run.Results {
		if r.Outcome != reports.Passed && r.Outcome != reports.Skipped {
			ids = append(ids, r.Case.ID)
		}
	}
	return ids
}

func profile(change func(*app.Profile)) app.Profile {
	p, _ := image.Find("3.5.3")
	if change != nil {
		change(&p.App)
	}
	return p.App
}

func TestCorrectModulePassesEverything(t *testing.T) {
	run := results(t, order{App: profile(nil), Task: spec.Task{Suites: suites.Names(), Amazon: spec.AmazonShaped}})
	if bad := notPassed(run); len(bad) > 0 || len(run.Causes) > 0 {
		t.Errorf("on a correct module these did not pass: %v, the board says %v", bad, run.Causes)
		for _, r := range run.Results {
			if slices.Contains(bad, r.Case.ID) {
				t.Logf("%s: %s %v %s", r.Case.ID, r.Outcome, r.Causes, r.Message)
			}
		}
	}
	for _, r := range run.Results {
		if r.Outcome == reports.Passed && r.Case.Suite == "tls" && r.EndpointKind != r.Case.EndpointKind {
			t.Errorf("%s: planned against %s, the server proved %q", r.Case.ID, r.Case.EndpointKind, r.EndpointKind)
		}
	}
}

// TestSuitesCatchBrokenModules is what the suites are for: a module that skips
// one check must fail the cases that look at it, and only those.
func TestSuitesCatchBrokenModules(t *testing.T) {
	both := func(ids ...string) []string {
		var all []string
		for _, mode := range []string{"one_way", "mutual"} {
			for _, id := range ids {
				all = append(all, "tls."+mode+"."+id)
			}
		}
		return all
	}
	for name, c := range map[string]struct {
		change func(*app.Profile)
		want   []string
	}{
		"no dates": {func(p *app.Profile) { p.Bugs.NoDates = true }, both("C02", "C04", "C05")},
		"no names": {func(p *app.Profile) { p.Bugs.NoNames = true }, both("C08")},
		"no chain": {func(p *app.Profile) { p.Bugs.NoChain = true }, append(both("C21"), "tls.amazon-shaped.real-root")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := results(t, order{App: profile(c.change), Task: spec.Task{Suites: []string{"tls"}, Amazon: spec.AmazonShaped}})
			got := notPassed(run)
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("not passed: %v, want %v", got, c.want)
				for _, r := range run.Results {
					if slices.Contains(got, r.Case.ID) != slices.Contains(c.want, r.Case.ID) {
						t.Logf("%s: %s %v %v", r.Case.ID, r.Outcome, r.Causes, r.Evidence)
					}
				}
			}
			for _, r := range run.Results {
				if slices.Contains(c.want, r.Case.ID) && r.Outcome != reports.Failed {
					t.Errorf("%s ended as %s %v, want failed", r.Case.ID, r.Outcome, r.Causes)
				}
			}
		})
	}
}

func TestHardFaultFailsTheRunningSpec(t *testing.T) {
	run := results(t, order{App: profile(nil), FaultCommand: 60, Task: spec.Task{Suites: []string{"smoke"}}})
	var failed []reports.Result
	for _, r := range run.Results {
		if r.Outcome != reports.Passed {
			failed = append(failed, r)
		}
	}
	if len(failed) != 1 || failed[0].Outcome != reports.Failed || failed[0].Causes[0].Code != farm.IncidentHardFault {
		t.Fatalf("one case should have failed with a hard fault, got %+v", failed)
	}
	if !strings.Contains(failed[0].Causes[0].Detail, "pc") {
		t.Errorf("the cause lacks the register dump: %q", failed[0].Causes[0].Detail)
	}
}
