package farm_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"hil-runner/farm"
	"hil-runner/recorder"
	"hil-runner/reports"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func cases(ids ...string) []reports.Case {
	all := make([]reports.Case, len(ids))
	for i, id := range ids {
		all[i] = reports.Case{ID: id, Name: id, Required: true}
	}
	return all
}

// fold runs events through a collector, at the offsets 10, 20, ...
func fold(end farm.End, events ...farm.Event) reports.BoardRun {
	c := farm.NewCollector()
	for i, ev := range events {
		c.Add(recorder.Offset(10*(i+1)), noon.Add(time.Duration(i)*time.Second), ev)
	}
	run := reports.BoardRun{Board: "b"}
	c.Decide(&run, end)
	return run
}

// told puts a board's run into one line per result and one for the board.
func told(run reports.BoardRun) string {
	var lines []string
	line := func(name string, o reports.Outcome, causes []reports.Cause) {
		s := fmt.Sprintf("%s=%s", name, o)
		for _, c := range causes {
			s += " " + strings.TrimPrefix(string(c.Class)+":"+c.Code, ":")
		}
		lines = append(lines, s)
	}
	for _, r := range run.Results {
		line(r.Case.ID, r.Outcome, r.Causes)
	}
	line("board", run.Outcome, run.Causes)
	return strings.Join(lines, "\n")
}

func passed(id string) farm.SpecEnded { return farm.SpecEnded{ID: id, Outcome: reports.Passed} }

func started(id string) farm.SpecStarted { return farm.SpecStarted{ID: id} }

func failed(id string) farm.SpecEnded {
	return farm.SpecEnded{ID: id, Outcome: reports.Failed, Causes: []reports.Cause{{Code: "assertion"}}}
}

func TestCollectorDecides(t *testing.T) {
	plan2 := farm.Planned{Cases: cases("A", "B")}
	plan1 := farm.Planned{Cases: cases("A")}
	done2, done1 := farm.Done{Planned: 2, Ended: 2}, farm.Done{Planned: 1, Ended: 1}
	fault := farm.IncidentSeen{Code: farm.IncidentHardFault, Text: "r0 0x0"}
	unasked := farm.IncidentSeen{Code: farm.IncidentUnaskedReset}
	killed := farm.End{Cause: reports.Cause{Code: farm.CodeWorkerDied, Detail: "killed"}}
	lost := farm.End{Cause: reports.Cause{Class: reports.Infra, Code: "lease_lost"}}
	tests := []struct {
		name   string
		end    farm.End
		events []farm.Event
		want   string
	}{
		{"all well", farm.End{}, []farm.Event{plan2, started("A"), passed("A"), started("B"), passed("B"), done2},
			"A=passed\nB=passed\nboard="},
		{"out of order", farm.End{}, []farm.Event{done2, passed("B"), passed("A"), started("A"), plan2, started("B")},
			"A=passed\nB=passed\nboard="},
		{"everything twice", farm.End{}, []farm.Event{plan2, plan2, started("A"), started("A"), passed("A"), passed("A"), started("B"), passed("B"), passed("B"), done2, done2},
			"A=passed\nB=passed\nboard="},
		{"killed while B ran", killed, []farm.Event{plan2, started("A"), passed("A"), started("B")},
			"A=passed\nB=error infra:worker_died\nboard=error infra:worker_died"},
		{"killed while A ran", killed, []farm.Event{plan2, started("A")},
			"A=error infra:worker_died\nB=skipped never_ran\nboard=error infra:worker_died"},
		{"killed between specs", killed, []farm.Event{plan2, started("A"), failed("A")},
			"A=failed assertion\nB=skipped never_ran\nboard=error infra:worker_died"},
		{"killed after the last spec, before done", killed, []farm.Event{plan1, started("A"), passed("A")},
			"A=passed\nboard=error infra:worker_died"},
		{"ended by itself without done", farm.End{}, []farm.Event{plan1, started("A"), passed("A")},
			"A=passed\nboard=error infra:worker_died"},
		{"killed before the plan", killed, nil,
			"board=error infra:worker_died infra:no_plan"},
		{"done without a plan", farm.End{}, []farm.Event{farm.Done{}},
			"board=error infra:no_plan"},
		{"passed without a plan", farm.End{}, []farm.Event{started("A"), passed("A"), farm.Done{}},
			"A=error test:not_planned\nboard=error infra:no_plan"},
		{"one that nobody planned", farm.End{}, []farm.Event{plan1, started("A"), passed("A"), passed("X"), done1},
			"A=passed\nX=error test:not_planned\nboard="},
		{"done, but one never ended", farm.End{}, []farm.Event{plan2, started("A"), started("B"), passed("B"), done2},
			"A=error infra:no_end\nB=passed\nboard=error infra:events_missing"},
		{"done, but one never began", farm.End{}, []farm.Event{plan2, started("A"), passed("A"), farm.Done{Planned: 2, Ended: 1}},
			"A=passed\nB=skipped never_ran\nboard="},
		{"done counts more than came", farm.End{}, []farm.Event{plan1, started("A"), passed("A"), farm.Done{Planned: 2, Ended: 2}},
			"A=passed\nboard=error infra:events_missing"},
		{"done with a cause", farm.End{}, []farm.Event{plan1, started("A"), passed("A"),
			farm.Done{Planned: 1, Ended: 1, Causes: []reports.Cause{{Code: "before_suite"}}}},
			"A=passed\nboard=error test:before_suite"},
		{"lease lost", lost, []farm.Event{plan2, started("A")},
			"A=error infra:lease_lost\nB=skipped never_ran\nboard=error infra:lease_lost"},
		{"lost after done counts all the same", lost, []farm.Event{plan1, started("A"), passed("A"), done1},
			"A=passed\nboard=error infra:lease_lost"},
		{"hard fault, then the spec failed", farm.End{}, []farm.Event{plan1, started("A"), fault, failed("A"), done1},
			"A=failed hard_fault assertion\nboard="},
		{"hard fault, and the spec noticed nothing", farm.End{}, []farm.Event{plan1, started("A"), fault, passed("A"), done1},
			"A=failed hard_fault\nboard="},
		{"hard fault, and then a kill", killed, []farm.Event{plan1, started("A"), fault},
			"A=failed hard_fault infra:worker_died\nboard=error infra:worker_died"},
		{"hard fault, and its reboot", farm.End{}, []farm.Event{plan1, started("A"), fault, unasked, failed("A"), done1},
			"A=failed hard_fault infra:unasked_reset assertion\nboard="},
		{"hard fault between specs", farm.End{}, []farm.Event{plan1, fault, started("A"), passed("A"), done1},
			"A=passed\nboard=failed hard_fault"},
		{"brown-out during a spec is not the firmware's", farm.End{}, []farm.Event{plan1, started("A"), unasked, failed("A"), done1},
			"A=error infra:unasked_reset assertion\nboard="},
		{"brown-out between specs", farm.End{}, []farm.Event{plan1, started("A"), passed("A"), unasked, done1},
			"A=passed\nboard="},
		{"hard fault after an end whose start came late", farm.End{}, []farm.Event{plan1, passed("A"), started("A"), fault, done1},
			"A=passed\nboard=failed hard_fault"},
		{"watch is late, the offset tells", farm.End{}, []farm.Event{plan1, started("A"), passed("A"),
			farm.IncidentSeen{Code: farm.IncidentHardFault, Offset: 25}, done1},
			"A=failed hard_fault\nboard="},
		{"passed, then failed", farm.End{}, []farm.Event{plan1, started("A"), passed("A"), failed("A"), done1},
			"A=failed assertion test:ended_twice\nboard="},
		{"failed, then passed", farm.End{}, []farm.Event{plan1, started("A"), failed("A"), passed("A"), done1},
			"A=failed assertion test:ended_twice\nboard="},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := told(fold(test.end, test.events...)); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// What a worker says of one spec is checked for sense.
func TestCollectorSpecEnds(t *testing.T) {
	infra := reports.Cause{Class: reports.Infra, Code: "reset_ineffective"}
	plain := reports.Cause{Code: "x"}
	tests := []struct {
		name string
		kase reports.Case
		end  farm.SpecEnded
		want string
	}{
		{"passed", reports.Case{}, farm.SpecEnded{Outcome: reports.Passed}, "passed"},
		{"passed at the second attempt", reports.Case{}, farm.SpecEnded{Outcome: reports.Passed, Attempts: 2, PassedAttempts: 1}, "flaky flaky"},
		{"passed with no passed attempt", reports.Case{}, farm.SpecEnded{Outcome: reports.Passed, Attempts: 2}, "error test:bad_end"},
		{"passed, with a cause", reports.Case{}, farm.SpecEnded{Outcome: reports.Passed, Causes: []reports.Cause{plain}}, "error test:bad_end x"},
		{"flaky", reports.Case{}, farm.SpecEnded{Outcome: reports.Flaky, Attempts: 3, PassedAttempts: 1}, "flaky flaky"},
		{"flaky that never passed", reports.Case{}, farm.SpecEnded{Outcome: reports.Flaky, Attempts: 3}, "error test:bad_end"},
		{"failed", reports.Case{}, farm.SpecEnded{Outcome: reports.Failed, Causes: []reports.Cause{plain}}, "failed x"},
		{"failed, no cause", reports.Case{}, farm.SpecEnded{Outcome: reports.Failed}, "failed assertion"},
		{"failed, a class is not its", reports.Case{}, farm.SpecEnded{Outcome: reports.Failed, Causes: []reports.Cause{infra}}, "failed reset_ineffective"},
		{"error of the lab", reports.Case{}, farm.SpecEnded{Outcome: reports.Errored, Causes: []reports.Cause{infra}}, "error infra:reset_ineffective"},
		{"error without a class", reports.Case{}, farm.SpecEnded{Outcome: reports.Errored, Causes: []reports.Cause{plain}}, "error test:x"},
		{"error without a cause", reports.Case{}, farm.SpecEnded{Outcome: reports.Errored}, "error test:no_cause"},
		{"skipped", reports.Case{}, farm.SpecEnded{Outcome: reports.Skipped, Causes: []reports.Cause{{Code: "not_requested"}}}, "skipped not_requested"},
		{"skipped, no reason", reports.Case{}, farm.SpecEnded{Outcome: reports.Skipped}, "skipped no_reason"},
		{"inconclusive", reports.Case{}, farm.SpecEnded{Outcome: reports.Inconclusive, Causes: []reports.Cause{{Code: "control_failed"}}}, "inconclusive control_failed"},
		{"recorded", reports.Case{}, farm.SpecEnded{Outcome: reports.Recorded, Value: "TLS 1.0"}, "recorded"},
		{"unknown", reports.Case{}, farm.SpecEnded{Outcome: "splendid"}, "error test:bad_end"},
		{"no outcome", reports.Case{}, farm.SpecEnded{}, "error test:bad_end"},
		{"live, proved", reports.Case{EndpointKind: "amazon-live"}, farm.SpecEnded{Outcome: reports.Passed, EndpointKind: "amazon-live"}, "passed"},
		{"live, but a local key", reports.Case{EndpointKind: "amazon-live"}, farm.SpecEnded{Outcome: reports.Passed, EndpointKind: "local"}, "error infra:endpoint_mismatch"},
		{"live, nothing proved", reports.Case{EndpointKind: "amazon-live"}, farm.SpecEnded{Outcome: reports.Passed}, "inconclusive endpoint_unproved"},
		{"local, nothing proved", reports.Case{EndpointKind: "local"}, farm.SpecEnded{Outcome: reports.Passed}, "passed"},
		{"local, but live", reports.Case{EndpointKind: "local"}, farm.SpecEnded{Outcome: reports.Passed, EndpointKind: "amazon-live"}, "error infra:endpoint_mismatch"},
		{"failed against another endpoint", reports.Case{EndpointKind: "local"}, farm.SpecEnded{Outcome: reports.Failed, EndpointKind: "amazon-live", Causes: []reports.Cause{plain}}, "failed x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.kase.ID, test.end.ID = "A", "A"
			run := fold(farm.End{}, farm.Planned{Cases: []reports.Case{test.kase}}, started("A"), test.end, farm.Done{Planned: 1, Ended: 1})
			if got := told(run); got != "A="+test.want+"\nboard=" {
				t.Errorf("got\n%s\nwant A=%s", got, test.want)
			}
			r := run.Results[0]
			if r.PassedAttempts > r.Attempts || (r.Outcome == reports.Passed && r.PassedAttempts == 0) {
				t.Errorf("%d of %d attempts passed", r.PassedAttempts, r.Attempts)
			}
		})
	}
}

func TestCollectorKeepsWhatWasSeen(t *testing.T) {
	end := farm.End{Cause: reports.Cause{Code: farm.CodeWorkerDied}, At: noon.Add(10 * time.Second), Offset: 99}
	run := fold(end, farm.Planned{Cases: cases("A")}, started("A"),
		farm.SpecEvidence{ID: "A", Evidence: reports.Evidence{Witness: "module", Text: "ERROR: 74"}},
		farm.IncidentSeen{Code: farm.IncidentUnaskedReset, Text: "+WIND:2"})
	r := run.Results[0]
	if r.From != 20 || r.To != 99 || r.Duration != 9*time.Second || !r.Started.Equal(noon.Add(time.Second)) {
		t.Errorf("bounds are %d-%d, %s from %s", r.From, r.To, r.Duration, r.Started)
	}
	if len(r.Evidence) != 1 || r.Evidence[0].Text != "ERROR: 74" {
		t.Errorf("evidence is %v", r.Evidence)
	}
	if len(run.Incidents) != 1 || run.Incidents[0].CaseID != "A" || run.Incidents[0].Offset != 40 {
		t.Errorf("incidents are %+v", run.Incidents)
	}
}

// The board's own causes stay first.
func TestCollectorAppendsToTheBoard(t *testing.T) {
	run := reports.BoardRun{}
	farm.Blame(&run, &farm.FirmwareError{Code: "version_mismatch"})
	farm.NewCollector().Decide(&run, farm.End{})
	if run.Outcome != reports.Failed || run.Causes[0].Code != "version_mismatch" || len(run.Causes) < 2 {
		t.Errorf("board is %s %v", run.Outcome, run.Causes)
	}
	results := farm.Unrun(cases("A", "B"), run.Causes[0])
	if len(results) != 2 || results[1].Outcome != reports.Skipped || results[1].Causes[0].Code != farm.CodeNeverRan {
		t.Errorf("unrun cases are %+v", results)
	}
}

func TestCollectorProgress(t *testing.T) {
	c := farm.NewCollector()
	c.Add(1, noon, farm.Planned{Cases: cases("A", "B")})
	c.Add(2, noon, started("A"))
	if ended, planned, running := c.Progress(); ended != 0 || planned != 2 || running != "A" {
		t.Errorf("progress is %d of %d, %q runs", ended, planned, running)
	}
	c.Add(3, noon, passed("A"))
	if ended, _, running := c.Progress(); ended != 1 || running != "" || c.Finished() {
		t.Errorf("progress is %d, %q runs, finished %t", ended, running, c.Finished())
	}
	c.Add(4, noon, farm.Done{})
	if !c.Finished() {
		t.Error("not finished after done")
	}
}

// A worker cannot make its owner remember without end, and the report says
// what is missing.
func TestCollectorIsBounded(t *testing.T) {
	c := farm.NewCollector()
	c.Add(1, noon, farm.Planned{Cases: cases("A")})
	c.Add(2, noon, started("A"))
	text := strings.Repeat("é", 200_000)
	for range 2000 {
		c.Add(3, noon, farm.SpecEvidence{ID: "A", Evidence: reports.Evidence{Witness: "module", Text: text}})
		c.Add(3, noon, farm.IncidentSeen{Code: "x", Text: text})
	}
	for i := range 50_000 {
		c.Add(4, noon, started(fmt.Sprint("X", i)))
	}
	c.Add(5, noon, farm.SpecEnded{ID: "A", Outcome: reports.Passed, Message: text})
	c.Add(6, noon, farm.Done{Planned: 1, Ended: 1})
	run := reports.BoardRun{}
	c.Decide(&run, farm.End{})
	size := 0
	for _, e := range run.Results[0].Evidence {
		size += len(e.Text)
	}
	if size > 20<<20 || len(run.Incidents) > 1000 || len(run.Results) > 20_000 || len(run.Results[0].Message) > 70_000 {
		t.Errorf("kept %d bytes of evidence, %d incidents, %d results", size, len(run.Incidents), len(run.Results))
	}
	if run.Outcome != reports.Errored || run.Causes[0].Code != "too_much_evidence" {
		t.Errorf("board is %s %v", run.Outcome, run.Causes)
	}
}

// journalled puts an event into the form that it has in a journal.
func journalled(t testing.TB, ev farm.Event) recorder.Record {
	t.Helper()
	attrs, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]any)
	if err := json.Unmarshal(attrs, &fields); err != nil {
		t.Fatal(err)
	}
	for _, taken := range []string{"event", "at"} {
		if _, clash := fields[taken]; clash {
			t.Fatalf("%T has a field %q, which is the journal's", ev, taken)
		}
	}
	fields["event"], fields["at"] = ev.EventName(), noon
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return recorder.Record{Kind: ev.EventKind(), Wall: noon, Offset: 1, Data: data}
}

func TestCollectorReadsTheJournal(t *testing.T) {
	c := farm.NewCollector()
	for i, ev := range []farm.Event{
		farm.Planned{Cases: cases("A")}, farm.SpecStarted{ID: "A", Started: noon},
		farm.SpecEvidence{ID: "A", Evidence: reports.Evidence{Witness: "module", Text: "x"}},
		farm.IncidentSeen{Code: farm.IncidentHardFault}, passed("A"), farm.Done{Planned: 1, Ended: 1},
	} {
		rec := journalled(t, ev)
		rec.Offset = recorder.Offset(i)
		if err := c.Record(rec); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []recorder.Kind{recorder.KindRx, recorder.KindReset} {
		if err := c.Record(recorder.Record{Kind: kind, Data: []byte("{")}); err != nil {
			t.Errorf("a record of kind %d gave %v", kind, err)
		}
	}
	if err := c.Record(recorder.Record{Kind: recorder.KindSpec, Data: []byte(`{"event":"other","id":7}`)}); err != nil {
		t.Errorf("somebody else's event gave %v", err)
	}
	run := reports.BoardRun{}
	c.Decide(&run, farm.End{})
	if got := told(run); got != "A=failed hard_fault\nboard=" || len(run.Results[0].Evidence) != 1 {
		t.Errorf("got\n%s", got)
	}
	if err := c.Record(recorder.Record{Kind: recorder.KindSpec, Data: []byte(`{"event":"done","planned":"x"}`)}); err == nil {
		t.Error("a broken event was taken")
	}
	run = reports.BoardRun{}
	if c.Decide(&run, farm.End{}); run.Outcome != reports.Errored || run.Causes[0].Code != "bad_event" {
		t.Errorf("after a broken event the board is %s %v", run.Outcome, run.Causes)
	}
}

// FuzzCollector feeds a collector whatever a worker may send. Whatever that
// is, a spec passes only if it was planned and ended as passed.
func FuzzCollector(f *testing.F) {
	for _, ev := range []farm.Event{farm.Planned{Cases: cases("A", "B")}, started("A"), passed("A"), failed("B"),
		farm.SpecEvidence{ID: "A"}, farm.IncidentSeen{Code: farm.IncidentHardFault}, farm.Done{Planned: 2, Ended: 2}} {
		f.Add(journalled(f, ev).Data, []byte("{}"), true)
	}
	f.Fuzz(func(t *testing.T, one, two []byte, done bool) {
		c := farm.NewCollector()
		planned, ended := make(map[string]bool), make(map[string]bool)
		for i, data := range [][]byte{one, two, one} {
			for _, kind := range []recorder.Kind{recorder.KindSpec, recorder.KindWatch} {
				rec := recorder.Record{Kind: kind, Data: data, Offset: recorder.Offset(i)}
				ev, _ := farm.ParseEvent(kind, data)
				switch e := ev.(type) {
				case farm.Planned:
					for _, k := range e.Cases {
						planned[k.ID] = true
					}
				case farm.SpecEnded:
					ended[e.ID] = ended[e.ID] || e.Outcome == reports.Passed
				}
				_ = c.Record(rec)
			}
		}
		if done {
			c.Add(9, noon, farm.Done{Planned: len(planned)})
		}
		run := reports.BoardRun{}
		c.Decide(&run, farm.End{})
		for _, r := range run.Results {
			if r.Outcome == reports.Passed && !(planned[r.Case.ID] && ended[r.Case.ID]) {
				t.Fatalf("%q passed: planned %t, ended %t", r.Case.ID, planned[r.Case.ID], ended[r.Case.ID])
			}
			if r.Outcome == "" || (len(r.Causes) == 0 && r.Outcome != reports.Passed && r.Outcome != reports.Recorded) {
				t.Fatalf("%q is %q without a cause", r.Case.ID, r.Outcome)
			}
		}
	})
}
