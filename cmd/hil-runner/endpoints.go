package main

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"

	"hil-runner/recorder"
	"hil-runner/reports"
	"hil-runner/suites/spec"
)

// endpointList collects the TLS peers that the workers of a run started, each
// kind of server once. It is safe for concurrent use.
type endpointList struct {
	mu   sync.Mutex
	seen []reports.Endpoint
}

// record takes one record of a board's journal; most are none of its business.
func (l *endpointList) record(rec recorder.Record) {
	if rec.Kind != recorder.KindEndpoint {
		return
	}
	var started struct {
		Event string `json:"event"`
		reports.Endpoint
	}
	if json.Unmarshal(rec.Data, &started) != nil || started.Event != spec.EndpointStarted {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	same := func(e reports.Endpoint) bool {
		return e.Kind == started.Kind && e.Name == started.Name && e.Engine == started.Engine
	}
	// A worker may be a user's own program: its servers are bounded here.
	if len(l.seen) < 200 && !slices.ContainsFunc(l.seen, same) {
		l.seen = append(l.seen, started.Endpoint)
	}
}

// list gives them in the order of kind, name and engine.
func (l *endpointList) list() []reports.Endpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortFunc(l.seen, func(a, b reports.Endpoint) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Engine, b.Engine))
	})
	return l.seen
}
