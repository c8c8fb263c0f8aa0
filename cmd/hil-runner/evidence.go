package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"hil-runner/endpoint"
	"hil-runner/recorder"
	"hil-runner/reports"
	"hil-runner/suites/spec"
)

// secrets gives what takes the lab's secrets out of every text that is shown.
// The built-in lab has none: its passphrase is in the help text.
func (r *labRun) secrets() func(string) string {
	if r.lab.virtual != nil || r.lab.wifi.PSK == "" {
		return nil
	}
	var mu sync.Mutex
	redactor := recorder.NewRedactor([]byte(r.lab.wifi.PSK))
	return func(s string) string {
		mu.Lock()
		defer mu.Unlock()
		return redactor.String(s)
	}
}

// secretBytes is the same for serial logs.
func (r *labRun) secretBytes() [][]byte {
	if r.redact == nil {
		return nil
	}
	return [][]byte{[]byte(r.lab.wifi.PSK)}
}

// probeAmazon asks from this host whether Amazon can be reached, when the run
// goes there at all.
func (r *labRun) probeAmazon(ctx context.Context) {
	if r.task.Amazon != spec.AmazonLive {
		return
	}
	res, err := endpoint.Probe(ctx, endpoint.ProbeConfig{UserAgent: "hil-runner (" + r.lab.name + ")",
		Budget: endpoint.NewBudget(endpoint.BudgetOptions{})})
	switch {
	case err != nil:
		r.task.AmazonUnreachable = "the probe could not be made: " + err.Error()
	case !res.Reached:
		r.task.AmazonUnreachable = res.SkipDetail()
	default:
		r.task.AmazonKind, r.task.AmazonAddress = string(res.Kind), res.Address
		if res.Root != nil {
			r.task.AmazonRoot = res.Root.PEM
		}
	}
	if r.task.AmazonUnreachable != "" {
		r.notes = append(r.notes, "Amazon was not reached from this host: "+r.task.AmazonUnreachable)
	}
}

// renderLogs writes each board's serial.log from its journal and finds the
// lines that the report points at, as many boards at once as there are
// processors.
func (r *labRun) renderLogs(run *reports.Run) error {
	errs := make([]error, len(run.Boards))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for i := range run.Boards {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := r.renderLog(&run.Boards[i]); err != nil {
				errs[i] = fmt.Errorf("serial log of board %s: %w", run.Boards[i].Board, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r *labRun) renderLog(b *reports.BoardRun) error {
	journal, err := recorder.Open(filepath.Join(r.folder.Path(), "boards", reports.FileName(b.Board), "journal"))
	if err != nil {
		return err
	}
	defer journal.Close()
	draft, name, err := r.folder.CreateLog(b.Board)
	if err != nil {
		return err
	}
	index, err := recorder.Render(draft, journal, recorder.RenderOptions{Secrets: r.secretBytes(), Zone: time.Local})
	if err != nil {
		draft.Discard()
		return err
	}
	if err := draft.Commit(); err != nil {
		return err
	}
	b.SerialLog = name
	point(b, index)
	return nil
}

// point gives every result and incident the line of the log that explains it:
// where a passed case begins, where the module said what is wrong with it, or
// else where the case ends.
func point(b *reports.BoardRun, index *recorder.Index) {
	line := func(at recorder.Offset) int {
		n, ok := index.Line(at)
		if !ok {
			return 0
		}
		return n
	}
	for i := range b.Results {
		res := &b.Results[i]
		switch {
		case !res.Executed() && res.Outcome != reports.Errored:
		case res.Outcome == reports.Passed || res.To == 0:
			res.LogLine = line(res.From)
		default:
			res.LogLine = line(res.To)
		}
	}
	for i := range b.Incidents {
		in := &b.Incidents[i]
		in.LogLine = line(in.Offset)
		for j := range b.Results {
			res := &b.Results[j]
			if in.LogLine > 0 && in.CaseID == res.Case.ID && len(res.Causes) > 0 && res.Causes[0].Code == in.Code {
				res.LogLine = in.LogLine
			}
		}
	}
}
