package main

import (
	"slices"
	"sync"
	"sync/atomic"

	"hil-runner/fixtures/certs"
	"hil-runner/suites/tls"
)

// keyMaker makes the keys of the TLS suite beside the boards' own work, once
// for all workers. It takes a processor for most of a second, so it waits for
// begin: until the first board is flashing or in a spec, it would only delay
// that board's start.
type keyMaker struct {
	dir    string
	wanted bool // some suite needs keys
	once   sync.Once
	ended  atomic.Bool
	making sync.WaitGroup
}

// newKeyMaker keeps keys in dir, if one of the suites needs any.
func newKeyMaker(dir string, suites []string) *keyMaker {
	return &keyMaker{dir: dir, wanted: slices.Contains(suites, "tls")}
}

// begin starts the making, the first time that it is called.
func (k *keyMaker) begin() {
	if k.wanted {
		k.once.Do(func() { k.making.Go(k.make) })
	}
}

// make makes one key after the other, which leaves the other processors to
// the boards. Whoever needs a key and finds none makes it, and says what is
// wrong.
func (k *keyMaker) make() {
	pool, err := certs.NewPool(k.dir)
	for _, slot := range tls.Keys() {
		if err != nil || k.ended.Load() {
			return
		}
		_, err = pool.Key(certs.RSA2048, slot)
	}
}

// end waits until nothing is made any more.
func (k *keyMaker) end() {
	k.ended.Store(true)
	k.making.Wait()
}
