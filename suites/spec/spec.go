package spec

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/onsi/ginkgo/v2"

	"hil-runner/farm"
	"hil-runner/reports"
	"hil-runner/spwf"
)

// Case is one row of a suite: a spec that runs on one board.
type Case struct {
	// ID is stable over runs and unique within the lab, such as
	// "tls.one_way.C02".
	ID string
	// Name is the text that a person reads.
	Name string
	// Labels are added to those that the suite, mode and endpoint give.
	Labels []string
	// Mode is anonymous, one_way or mutual; empty outside TLS.
	Mode string
	// Endpoint is what the case is planned against: local,
	// amazon-shaped-local or amazon-live.
	Endpoint string
	// Optional cases may be skipped without making the run incomplete.
	Optional bool
	// Run is the body. It ends early through the methods of Spec or a failing
	// gomega expectation.
	Run func(ctx context.Context, s *Spec)
}

// Spec is the running case: what it found out, and the module to find it out
// with. Its methods may be used by the goroutine of the case only, but for
// those of the witnesses, which may call Saw.
type Spec struct {
	Env  *Env
	Case Case
	// Module is the driver over the bench's UART, for this spec alone.
	Module *spwf.Module

	ctx    context.Context
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	outcome  reports.Outcome
	causes   []reports.Cause
	value    string
	proved   string
	evidence []reports.Evidence
}

// incidentError ends a spec on which the watch saw an incident.
type incidentError struct{ farm.IncidentSeen }

func (e incidentError) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Text) }

// Register turns the rows of a suite into Ginkgo specs.
func (e *Env) Register(suite string, cases []Case) {
	ginkgo.Describe(suite, func() {
		for _, c := range cases {
			ginkgo.It(c.Name, c.labels(suite), ginkgo.SpecTimeout(e.limit()), func(ctx ginkgo.SpecContext) {
				e.run(ctx, c)
			})
		}
	})
}

// limit is the board's limit for one spec.
func (e *Env) limit() time.Duration {
	if e.Bench == nil || e.Bench.Board.Limits.Spec <= 0 {
		return 2 * time.Minute
	}
	return e.Bench.Board.Limits.Spec
}

// labels is how a case looks to Ginkgo's filter and to the report.
func (c Case) labels(suite string) ginkgo.Labels {
	labels := ginkgo.Labels{"suite:" + suite, "id:" + c.ID}
	if c.Mode != "" {
		labels = append(labels, "mode:"+c.Mode)
	}
	if c.Endpoint != "" {
		labels = append(labels, "endpoint:"+c.Endpoint)
	}
	if c.Optional {
		labels = append(labels, "optional")
	}
	return append(labels, c.Labels...)
}

// run carries one case out.
func (e *Env) run(parent context.Context, c Case) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(errors.New("the spec has ended"))
	d := e.driver(ctx)
	s := &Spec{Env: e, Case: c, Module: d.module, ctx: ctx, cancel: cancel}
	e.begin(s)
	if why := e.Task.Skips(reports.Case{EndpointKind: c.Endpoint, Labels: c.Labels}); why != nil {
		s.Skip(why.Code, why.Detail)
	}
	c.Run(ctx, s)
	e.keep(d) // not reached by a spec that failed or was left behind
	s.mu.Lock()
	outcome, causes := s.outcome, s.causes
	s.mu.Unlock()
	// An incident that the body did not notice still ends the case as failed.
	if len(causes) > 0 && (outcome == reports.Failed || outcome == reports.Errored) {
		ginkgo.Fail(causes[0].String())
	}
}

// Saw records one observation of a witness.
func (s *Spec) Saw(witness, format string, args ...any) {
	ev := reports.Evidence{Witness: witness, Text: fmt.Sprintf(format, args...)}
	s.mu.Lock()
	s.evidence = append(s.evidence, ev)
	s.mu.Unlock()
}

// Proved records the endpoint kind that a server proved by its key.
func (s *Spec) Proved(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proved = kind
}

// Record makes the case end as recorded, with a behaviour as its value.
func (s *Spec) Record(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcome, s.value = reports.Recorded, value
}

// Skip ends the case as skipped.
func (s *Spec) Skip(code, detail string) {
	s.settle(reports.Skipped, reports.Cause{Code: code, Detail: detail})
	ginkgo.Skip(code+": "+detail, 1)
}

// Inconclusive ends the case: a control failed, so it proves nothing.
func (s *Spec) Inconclusive(code, detail string) {
	s.settle(reports.Inconclusive, reports.Cause{Code: code, Detail: detail})
	ginkgo.Skip("inconclusive: "+code+": "+detail, 1)
}

// Fail ends the case: the firmware did not do what it should.
func (s *Spec) Fail(code, format string, args ...any) {
	detail := fmt.Sprintf(format, args...)
	s.settle(reports.Failed, reports.Cause{Code: code, Detail: detail})
	ginkgo.Fail(detail, 1)
}

// Must ends the case on an error: as failed when the module is to blame, as
// error when the lab or the test is. doing says what was being tried.
func (s *Spec) Must(err error, doing string) {
	if err == nil {
		return
	}
	var incident incidentError
	if errors.As(context.Cause(s.ctx), &incident) {
		// Recorded by interrupt, before whatever it led to.
		ginkgo.Fail(doing+": "+incident.Error(), 1)
	}
	outcome, cause := Blame(err)
	if cause.Code == "no_answer" && outcome == reports.Failed {
		outcome, cause = s.silence(cause)
	}
	cause.Detail = doing + ": " + cause.Detail
	s.settle(outcome, cause)
	ginkgo.Fail(cause.String(), 1)
}

// interrupt ends the spec because of what the watch saw.
func (s *Spec) interrupt(in farm.IncidentSeen) {
	outcome, class := farm.IncidentOutcome(in.Code)
	s.settle(outcome, reports.Cause{Class: class, Code: in.Code, Detail: in.Text})
	s.cancel(incidentError{in})
}

// settle keeps the first outcome and appends the cause.
func (s *Spec) settle(outcome reports.Outcome, c reports.Cause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.causes) == 0 {
		s.outcome = outcome
	}
	s.causes = append(s.causes, c)
}
