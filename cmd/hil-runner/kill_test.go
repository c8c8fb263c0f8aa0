package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hil-runner/recorder"
	"hil-runner/reports"
)

// soak scales a large count by the environment's SOAK, a fraction; without it
// the count is few.
func soak(t *testing.T, large, few int) int {
	t.Helper()
	text := os.Getenv("SOAK")
	if text == "" {
		return few
	}
	fraction, err := strconv.ParseFloat(text, 64)
	if err != nil || fraction < 0 {
		t.Fatalf("SOAK=%q: want a fraction such as 0.05", text)
	}
	return max(few, int(fraction*float64(large)))
}

// moment is a step of a run that can be seen from outside.
type moment struct {
	name    string
	reached func(r *rig, p *process) bool
}

// moments are the named steps of a run on two boards, in their order.
func moments() []moment {
	var all []moment
	said := func(text string) {
		all = append(all, moment{text, func(_ *rig, p *process) bool { return strings.Contains(p.err.String(), text) }})
	}
	recorded := func(board, event string, count int) {
		all = append(all, moment{fmt.Sprintf("%s %s %d", board, event, count), func(r *rig, _ *process) bool {
			return r.recorded(board, `"event":"`+event+`"`) >= count
		}})
	}
	said("run in ")
	for _, phase := range []string{"open", "sync", "identify", "erase", "write"} {
		said("vb1  " + phase)
		said("vb2  " + phase)
	}
	for kib := 24; kib <= 600; kib += 24 {
		all = append(all, moment{fmt.Sprintf("vb1 at %d KiB", kib), func(r *rig, _ *process) bool {
			return folderSize(r.journal("vb1")) >= int64(kib)<<10
		}})
	}
	said("vb1  run 8")
	said("vb2  run 8")
	for n := 1; n <= 8; n++ {
		recorded("vb1", "spec_started", n)
		recorded("vb1", "spec_ended", n)
		recorded("vb2", "spec_ended", n)
	}
	return all
}

// spread gives n moments, evenly over all of them, over and over.
func spread(n int) []moment {
	all := moments()
	some := make([]moment, n)
	for i := range some {
		// Golden-ratio steps visit early, middle and late ones whatever n is.
		some[i] = all[(i*len(all)*618/1000+len(all)/5)%len(all)]
	}
	return some
}

func folderSize(dir string) int64 {
	var size int64
	// A folder that is not there yet has no size.
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}

func TestMomentsAreAtLeastSixty(t *testing.T) {
	if n := len(moments()); n < 60 {
		t.Errorf("%d moments", n)
	}
}

// TestOwnerKilled kills the owner at many moments: what was recorded stays,
// the workers go, and the next owner finds the boards, says so in the journal,
// and can use them. The next owner is the next round's.
func TestOwnerKilled(t *testing.T) {
	t.Parallel()
	all := spread(soak(t, 60*20, 4))
	for lane := range 2 {
		t.Run(fmt.Sprintf("lab %d", lane), func(t *testing.T) {
			t.Parallel()
			ownerKilled(t, all[lane*len(all)/2:(lane+1)*len(all)/2])
		})
	}
}

// ownerKilled kills the owner of one lab at these moments.
func ownerKilled(t *testing.T, at []moment) {
	r := labUpWith(t, 2)
	kills := 0
	defer func() { t.Logf("soak: %d owners killed", kills) }()
	for i, m := range at {
		marked := r.marks()
		p := r.run("--suite", "smoke")
		reached := p.until(m.name, func() bool { return m.reached(r, p) })
		before := map[string]int{"vb1": r.recorded("vb1", `"spec_ended"`), "vb2": r.recorded("vb2", `"spec_ended"`)}
		children := workers(p.cmd.Process.Pid)
		p.signal(syscall.SIGKILL)
		<-p.done
		if reached {
			kills++
		} else if p.cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("after the kill before, the boards were of no use:\n%s%s", p.out, p.err)
		}
		for board, pid := range children {
			if err := poll(within, func() error { return gone(pid) }); err != nil {
				t.Errorf("worker of %s: %v", board, err)
			}
		}
		for _, b := range r.boards {
			r.survived(b.ID, before[b.ID])
			r.noted(b.ID, marked[b.ID])
		}
		if t.Failed() {
			t.Fatalf("round %d, killed at %q", i, m.name)
		}
	}
	marked := r.marks()
	r.run("--suite", "smoke").wants(0)
	for _, b := range r.boards {
		r.noted(b.ID, marked[b.ID])
		r.parked(b.ID)
	}
	if left, err := filepath.Glob(filepath.Join(r.temp, scratchPrefix+"*")); err != nil || len(left) != 1 {
		t.Errorf("temporary folders left behind, beside the lab's own: %q, %v", left, err)
	}
}

// marks tells which boards are marked as in use.
func (r *rig) marks() map[string]bool {
	r.t.Helper()
	marked := make(map[string]bool)
	for _, b := range r.boards {
		_, err := os.Stat(filepath.Join(r.dir, "state", "hil-runner", "open", b.ID))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			r.t.Fatal(err)
		}
		marked[b.ID] = err == nil
	}
	return marked
}

// noted wants the journal of a run to say that the board was left unparked by
// the owner before, if it was, and otherwise not. A run that was killed before
// it had opened the board says nothing and leaves the mark.
func (r *rig) noted(board string, marked bool) {
	r.t.Helper()
	note := r.recorded(board, "left_unparked") > 0
	opened := r.recorded(board, `"event":"opened"`) > 0
	if note && !marked || opened && marked && !note {
		r.t.Errorf("board %s: in use by the owner before: %v, noted by the next: %v", board, marked, note)
	}
}

// gone is an error while a process lives.
func gone(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, state, ok := strings.Cut(string(stat), ") "); ok && strings.HasPrefix(state, "Z") {
		return nil // dead, and not yet asked for by the one that inherited it
	}
	return fmt.Errorf("process %d lives: %s", pid, stat)
}

// survived wants a killed owner's journal to be sound and to hold at least
// what had been seen in it.
func (r *rig) survived(board string, ended int) {
	r.t.Helper()
	dir := r.journal(board)
	if folderSize(dir) == 0 {
		return // killed before it began
	}
	if _, err := recorder.Verify(dir); err != nil {
		r.t.Errorf("journal of %s: %v", board, err)
	}
	if got := len(r.specEnds(board)); got < ended {
		r.t.Errorf("journal of %s holds the end of %d specs, %d had been seen", board, got, ended)
	}
}

// specEnds reads the outcomes of the specs out of a board's journal.
func (r *rig) specEnds(board string) map[string]reports.Outcome {
	r.t.Helper()
	journal, err := recorder.Open(r.journal(board))
	if err != nil {
		r.t.Fatal(err)
	}
	defer journal.Close()
	ends := make(map[string]reports.Outcome)
	for {
		rec, err := journal.Next()
		if err != nil {
			return ends
		}
		var ev struct {
			Event   string          `json:"event"`
			ID      string          `json:"id"`
			Outcome reports.Outcome `json:"outcome"`
		}
		if rec.Kind == recorder.KindSpec && json.Unmarshal(rec.Data, &ev) == nil && ev.Event == "spec_ended" {
			ends[ev.ID] = ev.Outcome
		}
	}
}

// TestSignals ends runs by INT, TERM and HUP at many moments: the boards are
// parked and the report says what happened and no more.
func TestSignals(t *testing.T) {
	t.Parallel()
	r := labUpWith(t, 2)
	sent := 0
	defer func() { t.Logf("soak: %d runs ended by a signal", sent) }()
	signals := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}
	for i, m := range spread(soak(t, 60*3, 4)) {
		s := signals[i%len(signals)]
		p := r.run("--suite", "smoke")
		if !p.until(m.name, func() bool { return m.reached(r, p) }) {
			t.Logf("round %d: the run ended before %q", i, m.name)
			continue
		}
		p.signal(s)
		sent++
		if p.status() == 0 && r.report().Interrupted == "" {
			continue // it came after the last board's end
		}
		p.wants(130)
		r.truthful(signalName(s))
		for _, b := range r.boards {
			r.parked(b.ID)
		}
		if t.Failed() {
			t.Fatalf("round %d, %v at %q; stderr:\n%s", i, s, m.name, p.err)
		}
	}
	// Whatever was half written, the boards are usable.
	r.run("--suite", "smoke").wants(0)
}

// truthful wants the report of an interrupted run to agree with the journals.
func (r *rig) truthful(signal string) {
	r.t.Helper()
	run := r.report()
	if run.Interrupted != signal || run.Verdict != "interrupted" || run.ExitCode != 130 {
		r.t.Errorf("report: interrupted %q, verdict %s, exit %d", run.Interrupted, run.Verdict, run.ExitCode)
	}
	for _, b := range run.Boards {
		if len(b.Results) != 8 {
			r.t.Errorf("board %s: %d results of 8 planned", b.Board, len(b.Results))
		}
		var ends map[string]reports.Outcome
		if folderSize(r.journal(b.Board)) > 0 {
			ends = r.specEnds(b.Board)
		}
		for _, res := range b.Results {
			if res.Outcome == reports.Passed && ends[res.Case.ID] != reports.Passed {
				r.t.Errorf("board %s: %s is reported as passed, its journal says %q", b.Board, res.Case.ID, ends[res.Case.ID])
			}
			if res.Outcome != reports.Passed && len(res.Causes) == 0 {
				r.t.Errorf("board %s: %s is %s without a cause", b.Board, res.Case.ID, res.Outcome)
			}
			if res.Outcome == reports.Failed {
				r.t.Errorf("board %s: %s: a signal counts against the firmware: %+v", b.Board, res.Case.ID, res.Causes)
			}
		}
		if b.Outcome == reports.Passed && len(ends) < 8 {
			r.t.Errorf("board %s passed with %d of 8 ends", b.Board, len(ends))
		}
	}
}
