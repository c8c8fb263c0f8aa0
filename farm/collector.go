package farm

import (
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"hil-runner/recorder"
	"hil-runner/reports"
)

// What a worker may make its board's owner remember. A worker may be a user's
// own program, and evidence quotes the module's bytes.
const (
	maxCases         = 20_000
	maxIncidents     = 1_000
	maxText          = 64 << 10
	maxEvidenceBytes = 16 << 20
)

// Collector folds what a worker and the watch said about one board into
// results. It takes events as they come: repeated, out of order, or with some
// missing; what is missing never becomes a pass. It is safe for concurrent
// use.
type Collector struct {
	mu      sync.Mutex
	planned []reports.Case
	known   map[string]bool
	specs   map[string]*spec
	// strangers are the ids, in order, of specs that nobody had planned.
	strangers []string
	running   string
	incidents []reports.Incident
	outside   []reports.Incident
	done      *Done
	budget    int
	cut       int
	bad       []reports.Cause
}

// spec is what is known of one spec so far.
type spec struct {
	from, to  recorder.Offset
	started   time.Time
	begun     bool
	ended     bool
	end       SpecEnded
	evidence  []reports.Evidence
	incidents []reports.Incident
	causes    []reports.Cause
}

// NewCollector gives a collector that has heard nothing yet.
func NewCollector() *Collector {
	return &Collector{known: make(map[string]bool), specs: make(map[string]*spec), budget: maxEvidenceBytes}
}

// Record takes one journal record; records of other kinds are passed over. An
// error means that the record is no event that can be read; it is kept as a
// fault of the test and the run goes on.
func (c *Collector) Record(rec recorder.Record) error {
	if rec.Kind != recorder.KindSpec && rec.Kind != recorder.KindWatch {
		return nil
	}
	ev, err := ParseEvent(rec.Kind, rec.Data)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.bad) == 0 {
			c.bad = append(c.bad, reports.Cause{Class: reports.Test, Code: "bad_event", Detail: clip(err.Error())})
		}
		return err
	}
	c.Add(rec.Offset, rec.Wall, ev)
	return nil
}

// Add takes one event that stands at an offset of the board's journal.
func (c *Collector) Add(at recorder.Offset, wall time.Time, ev Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := ev.(type) {
	case Planned:
		c.plan(e)
	case SpecStarted:
		c.start(at, wall, e)
	case SpecEvidence:
		if s := c.spec(e.ID); s != nil {
			c.witness(s, e.Evidence)
		}
	case SpecEnded:
		c.end(at, e)
	case IncidentSeen:
		c.incident(at, wall, e)
	case Done:
		if c.done == nil {
			c.done = &e
		}
	}
}

// Progress says how far the run has come: how many of the planned specs have
// ended, and which one is running, if any.
func (c *Collector) Progress() (ended, planned int, running string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.planned {
		if s := c.specs[k.ID]; s != nil && s.ended {
			ended++
		}
	}
	return ended, len(c.planned), c.running
}

// Finished is true once the worker has said that it is done.
func (c *Collector) Finished() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done != nil
}

func (c *Collector) plan(e Planned) {
	for _, k := range e.Cases {
		if c.known[k.ID] || len(c.planned) >= maxCases {
			continue
		}
		c.known[k.ID] = true
		c.planned = append(c.planned, k)
	}
}

// spec gives the state of a spec by id, nil when there are too many of them.
func (c *Collector) spec(id string) *spec {
	if s := c.specs[id]; s != nil {
		return s
	}
	if len(c.specs) >= maxCases {
		c.cut++
		return nil
	}
	s := &spec{}
	c.specs[id] = s
	c.strangers = append(c.strangers, id)
	return s
}

func (c *Collector) start(at recorder.Offset, wall time.Time, e SpecStarted) {
	s := c.spec(e.ID)
	if s == nil || s.ended {
		return
	}
	c.running = e.ID
	if s.begun {
		return
	}
	s.begun, s.from, s.to = true, at, at
	s.started = e.Started
	if s.started.IsZero() {
		s.started = wall
	}
}

func (c *Collector) end(at recorder.Offset, e SpecEnded) {
	s := c.spec(e.ID)
	if s == nil {
		return
	}
	if c.running == e.ID {
		c.running = ""
	}
	if s.ended {
		c.endAgain(s, e)
		return
	}
	s.ended, s.to = true, at
	if !s.begun {
		s.from = at
	}
	e.Message, e.Value = clip(e.Message), clip(e.Value)
	for _, ev := range e.Evidence {
		c.witness(s, ev)
	}
	e.Evidence = nil
	s.end = e
}

// endAgain takes a second end of a spec: it may worsen the first one, never
// better it.
func (c *Collector) endAgain(s *spec, e SpecEnded) {
	if e.Outcome == s.end.Outcome {
		return
	}
	if s.end.Outcome == reports.Passed || s.end.Outcome == reports.Flaky {
		e.Message, e.Value, e.Evidence = clip(e.Message), clip(e.Value), nil
		s.end = e
	}
	s.causes = append(s.causes, reports.Cause{Class: reports.Test, Code: "ended_twice",
		Detail: fmt.Sprintf("the worker ended this spec again, as %s", clip(string(e.Outcome)))})
	s.causes = s.causes[:min(len(s.causes), 3)]
}

func (c *Collector) witness(s *spec, ev reports.Evidence) {
	ev.Text, ev.Witness = clip(ev.Text), clip(ev.Witness)
	if n := len(ev.Text) + len(ev.Witness) + 32; n <= c.budget {
		c.budget -= n
		s.evidence = append(s.evidence, ev)
		return
	}
	c.cut++
}

// incident belongs to the running spec, or to the one during which the bytes
// came; else it stands beside the specs.
func (c *Collector) incident(at recorder.Offset, wall time.Time, e IncidentSeen) {
	if len(c.incidents) >= maxIncidents {
		c.cut++
		return
	}
	in := reports.Incident{At: wall, Code: clip(e.Code), Text: clip(e.Text), Offset: at}
	if e.Offset > 0 {
		in.Offset = e.Offset
	}
	in.CaseID = c.running
	for id, s := range c.specs {
		if in.Offset > 0 && s.ended && s.from <= in.Offset && in.Offset < s.to {
			in.CaseID = id
		}
	}
	c.incidents = append(c.incidents, in)
	if s := c.specs[in.CaseID]; s != nil {
		s.incidents = append(s.incidents, in)
		return
	}
	c.outside = append(c.outside, in)
}

// clip bounds text from outside without cutting a character in two.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > maxText-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return fmt.Sprintf("%s [%d more bytes]", s[:n], len(s)-n)
}
