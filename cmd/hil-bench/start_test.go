package main

import (
	"testing"
	"time"

	"hil-runner/farm"
	"hil-runner/recorder"
)

// Only what comes first counts, and bytes count from the reset on.
func TestMilestones(t *testing.T) {
	dir := t.TempDir()
	start := time.Now()
	j, err := recorder.Create(dir+"/run/boards/b1/journal", recorder.Options{Board: "b1"})
	if err != nil {
		t.Fatal(err)
	}
	if m := readMilestones(dir, start); m != (milestones{}) {
		t.Errorf("an empty journal gives %+v", m)
	}
	if _, err := j.Append(recorder.KindRx, []byte("early"), false); err != nil {
		t.Fatal(err)
	}
	event := func(kind recorder.Kind, name string, attrs any) {
		t.Helper()
		if _, err := j.Event(kind, name, attrs); err != nil {
			t.Fatal(err)
		}
	}
	event(recorder.KindLease, "opened", nil)
	event(recorder.KindReset, "reset", nil)
	if _, err := j.Append(recorder.KindRx, []byte("banner"), false); err != nil {
		t.Fatal(err)
	}
	event(recorder.KindSpec, farm.Planned{}.EventName(), farm.Planned{})
	event(recorder.KindSpec, farm.SpecStarted{}.EventName(), farm.SpecStarted{ID: "smoke.S01"})
	once := readMilestones(dir, start)
	event(recorder.KindSpec, farm.SpecStarted{}.EventName(), farm.SpecStarted{ID: "smoke.S02"})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	m := readMilestones(dir, start)
	if m != once {
		t.Errorf("a second spec changed %+v to %+v", once, m)
	}
	if !(0 < m.bench && m.bench <= m.reset && m.reset <= m.banner && m.banner <= m.planned && m.planned <= m.spec) {
		t.Errorf("out of order: %+v", m)
	}
}
