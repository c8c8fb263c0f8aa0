// Package spec is what the suites stand on: the bench of a board as specs see
// it, the record of the running spec, and the events that tell the owner of
// the bench what happened. One process runs the specs of one board.
package spec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"hil-runner/endpoint"
	"hil-runner/farm"
	"hil-runner/recorder"
	"hil-runner/reports"
	"hil-runner/spwf"
)

// Amazon says how far the suites go towards Amazon.
type Amazon string

const (
	// AmazonOff plans no case with Amazon in it.
	AmazonOff Amazon = "off"
	// AmazonShaped serves the shape of Amazon's endpoint from this host; no
	// packet leaves the lab.
	AmazonShaped Amazon = "shaped"
	// AmazonLive also speaks to Amazon.
	AmazonLive Amazon = "live"
)

// Task is what a worker is asked to run. It travels as JSON.
type Task struct {
	// Suites names the suites, such as "smoke" and "tls".
	Suites []string `json:"suites"`
	// LabelFilter is in Ginkgo's filter language; empty runs all.
	LabelFilter string `json:"label_filter,omitempty"`
	Seed        int64  `json:"seed"`
	Amazon      Amazon `json:"amazon"`
	// AmazonUnreachable is the finding of the host's own probe; empty when it
	// succeeded or was not made.
	AmazonUnreachable string `json:"amazon_unreachable,omitempty"`
	// RequireLive makes a skip of the live cases an incomplete run.
	RequireLive bool `json:"require_live,omitempty"`
	// AmazonAddress is where the probe reached Amazon.
	AmazonAddress string `json:"amazon_address,omitempty"`
	// AmazonRoot is the root, in PEM form, that the probed chain needs, and
	// AmazonKind what the probe's peer proved to be.
	AmazonRoot []byte `json:"amazon_root,omitempty"`
	AmazonKind string `json:"amazon_kind,omitempty"`
	// Build is what the module reported when the bench was opened and Release
	// the label that was flashed; either may be empty.
	Build   string `json:"build,omitempty"`
	Release string `json:"release,omitempty"`
	// KeyDir holds keys that the workers of a run share.
	KeyDir string `json:"key_dir,omitempty"`
	// WiFi is the access point of the lab.
	WiFi WiFi `json:"wifi"`
	// OpenSSL is the path of the openssl program; empty when the host has none.
	OpenSSL string `json:"openssl,omitempty"`
}

// WiFi is the lab's access point as the modules join it.
type WiFi struct {
	SSID string `json:"ssid"`
	// PSK is a secret: it reaches no log, report or error.
	PSK string `json:"psk,omitempty"`
}

// Env is what one worker has: a bench and a task.
type Env struct {
	Bench *farm.Bench
	Task  Task
	// Incidents is what the watch sees while the specs run.
	Incidents <-chan farm.IncidentSeen

	mu      sync.Mutex
	running *Spec
	spare   *driver
	atEnd   []func() error
}

// AtEnd has f called once all specs have run.
func (e *Env) AtEnd(f func() error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.atEnd = append(e.atEnd, f)
}

// Close calls what was given to AtEnd.
func (e *Env) Close() error {
	e.mu.Lock()
	all := e.atEnd
	e.atEnd = nil
	e.mu.Unlock()
	var errs []error
	for _, f := range all {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// Emit puts one event of the suite onto the bench's journal.
func (e *Env) Emit(ctx context.Context, ev farm.Event) error {
	if _, err := e.Bench.Journal.Event(ctx, ev.EventKind(), ev.EventName(), ev); err != nil {
		return fmt.Errorf("board %s: recording %s: %w", e.Bench.Board.ID, ev.EventName(), err)
	}
	return nil
}

// EndpointStarted is the event of a TLS peer that a suite has started, a
// reports.Endpoint.
const EndpointStarted = "endpoint_started"

// Note puts what an endpoint saw onto the bench's journal.
func (e *Env) Note(ctx context.Context, name string, attrs any) error {
	_, err := e.Bench.Journal.Event(ctx, recorder.KindEndpoint, name, attrs)
	return err
}

// Watch ends the running spec whenever the watch reports an incident, until
// ctx ends.
func (e *Env) Watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case in, ok := <-e.Incidents:
			if !ok {
				return
			}
			e.mu.Lock()
			s := e.running
			e.mu.Unlock()
			if s != nil {
				s.interrupt(in)
			}
		}
	}
}

// begin makes s the running spec; end makes it the last one.
func (e *Env) begin(s *Spec) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = s
}

func (e *Env) end() *Spec {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.running
	e.running = nil
	return s
}

// gate is the UART for one spec at a time. It is shut between specs, so that
// one that was left behind at its time limit cannot speak into the next.
type gate struct {
	uart farm.UART

	mu  sync.Mutex
	ctx context.Context
}

// open lets a spec through until its ctx ends.
func (g *gate) open(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ctx = ctx
}

// shut ends a spec that outlived its limit.
func (g *gate) shut() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() != nil {
		return fmt.Errorf("the spec is over: %w", context.Cause(g.ctx))
	}
	return nil
}

func (g *gate) Read(p []byte) (int, error) {
	if err := g.shut(); err != nil {
		return 0, err
	}
	return g.uart.Read(p)
}

func (g *gate) Write(p []byte) (int, error) {
	if err := g.shut(); err != nil {
		return 0, err
	}
	return g.uart.Write(p)
}

// WriteSecret passes on that the bytes are credentials.
func (g *gate) WriteSecret(p []byte) (int, error) {
	if err := g.shut(); err != nil {
		return 0, err
	}
	if s, ok := g.uart.(interface {
		WriteSecret([]byte) (int, error)
	}); ok {
		return s.WriteSecret(p)
	}
	return g.uart.Write(p)
}

func (g *gate) SetReadDeadline(t time.Time) error { return g.uart.SetReadDeadline(t) }

// driver is a module's driver with its gate.
type driver struct {
	module *spwf.Module
	gate   *gate
}

// driver gives the driver for the next spec: the one of the last spec if that
// came to its end by itself, which saves waiting for the console to be silent,
// or else a new one behind a new gate.
func (e *Env) driver(ctx context.Context) *driver {
	e.mu.Lock()
	d := e.spare
	e.spare = nil
	e.mu.Unlock()
	if d == nil {
		d = &driver{gate: &gate{uart: e.Bench.UART}}
		d.module = spwf.New(d.gate, spwf.Options{Board: e.Bench.Board.ID, Limits: e.limits()})
	}
	d.gate.open(ctx)
	return d
}

// keep takes back the driver of a spec that has ended by itself.
func (e *Env) keep(d *driver) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.spare = d
}

// Skips says why a planned case will not run, as far as the task alone tells;
// nil when it will.
func (t Task) Skips(c reports.Case) *reports.Cause {
	live := c.EndpointKind == string(endpoint.KindAmazonLive)
	switch {
	case live && t.Amazon != AmazonLive:
		return &reports.Cause{Code: "not_requested", Detail: "run with --amazon live to speak to api.amazon.com"}
	case live && t.AmazonUnreachable != "":
		return &reports.Cause{Code: "amazon_unreachable", Detail: t.AmazonUnreachable}
	case slices.Contains(c.Labels, "engine:"+string(endpoint.EngineOpenSSL)) && t.OpenSSL == "":
		return &reports.Cause{Code: "no_openssl", Detail: "openssl is not installed on this host"}
	}
	return nil
}
