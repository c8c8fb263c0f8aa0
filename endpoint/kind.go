package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"sync"
	"time"

	"hil-runner/fixtures/certs"
)

// Kind says what sort of endpoint a server has proved to be.
type Kind string

// The kinds.
const (
	// KindLocal is a server of this lab.
	KindLocal Kind = "local"
	// KindAmazonShaped is the lab's server that looks like Amazon's.
	KindAmazonShaped Kind = "amazon-shaped-local"
	// KindAmazonLive is Amazon's: it has proved a key that one of the public
	// roots which ship with the lab certifies for one of Amazon's names.
	KindAmazonLive Kind = "amazon-live"
	// KindUnknown is anything else, and whoever has proved nothing.
	KindUnknown Kind = "unknown"
)

// Proof is that a server has shown a chain and used the private key of its
// leaf in a complete TLS handshake with this process. Only handshakes make
// one; the zero value proves nothing.
type Proof struct {
	chain []*x509.Certificate
	name  string
}

// proofOf makes the proof of a client's handshake.
func proofOf(state tls.ConnectionState, name string) Proof {
	// A resumed session shows no key: what it recalls is not proved anew.
	if !state.HandshakeComplete || state.DidResume || len(state.PeerCertificates) == 0 {
		return Proof{}
	}
	return Proof{chain: state.PeerCertificates, name: name}
}

// Chain is what the server sent, leaf first; nil if nothing was proved.
func (p Proof) Chain() []*x509.Certificate { return slices.Clone(p.chain) }

// SPKI names the proved key: the SHA-256 of its SubjectPublicKeyInfo in hex,
// empty if nothing was proved.
func (p Proof) SPKI() string {
	if len(p.chain) == 0 {
		return ""
	}
	return certs.SPKI(p.chain[0])
}

// Registry knows the keys of this lab's own servers. It is filled by servers
// that run, never by names or settings, and safe for concurrent use.
type Registry struct {
	mu   sync.Mutex
	keys map[string]Kind
}

// NewRegistry makes a registry of the given servers.
func NewRegistry(servers ...*Server) *Registry {
	r := &Registry{keys: make(map[string]Kind)}
	for _, s := range servers {
		r.Add(s)
	}
	return r
}

// Add enters a server's key. A key that serves in two roles counts as local,
// which claims the least.
func (r *Registry) Add(s *Server) {
	leaf := s.cfg.Identity.Leaf()
	if leaf == nil {
		return
	}
	spki := certs.SPKI(leaf)
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.keys[spki]; ok && old != s.kind {
		r.keys[spki] = KindLocal
		return
	}
	r.keys[spki] = s.kind
}

func (r *Registry) kind(spki string) (Kind, bool) {
	if r == nil {
		return "", false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.keys[spki]
	return k, ok
}

// amazonNames are the domains whose hosts count as Amazon's.
var amazonNames = []string{"amazon.com", "amazontrust.com", "amazonaws.com"}

// KindOf says of which kind the server is that gave the proof. Nothing but the
// proved key decides. This host's own store of roots is deliberately not
// asked: a file or an environment variable can put the lab's root there.
func KindOf(p Proof, ours *Registry) Kind { return kindOf(p, ours, publicRoots()) }

func kindOf(p Proof, ours *Registry, public *x509.CertPool) Kind {
	if len(p.chain) == 0 {
		return KindUnknown
	}
	if kind, ok := ours.kind(p.SPKI()); ok {
		return kind
	}
	for _, c := range p.chain {
		if slices.Contains(c.Subject.Organization, certs.Organisation) ||
			slices.Contains(c.Issuer.Organization, certs.Organisation) {
			return KindLocal
		}
	}
	if !amazonName(p.name) {
		return KindUnknown
	}
	if _, err := verifyChain(p.chain, public, p.name, time.Now()); err != nil {
		return KindUnknown
	}
	return KindAmazonLive
}

func amazonName(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return slices.ContainsFunc(amazonNames, func(domain string) bool {
		return name == domain || strings.HasSuffix(name, "."+domain)
	})
}

// shippedRoots are all public roots that are part of the binary.
func shippedRoots() []certs.Root { return append(certs.Roots(), certs.RetailRoots()...) }

func publicRoots() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, r := range shippedRoots() {
		pool.AddCert(r.Certificate)
	}
	return pool
}
