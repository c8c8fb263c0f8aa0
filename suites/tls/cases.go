package tls

import (
	"context"
	"fmt"
	"time"

	"hil-runner/endpoint"
	"hil-runner/fixtures/certs"
	"hil-runner/spwf"
	"hil-runner/suites/spec"
)

// The authentication modes (AN4683): what is stored in the module's TLS slots
// decides, SOCKON has no parameter for it.
const (
	anonymous = "anonymous" // nothing is stored; the server is not verified
	oneWay    = "one_way"   // f_ca and f_domain: the server is verified
	mutual    = "mutual"    // and f_cert and f_key: the module proves itself too
)

// expectation is what must come of an attempt.
type expectation int

const (
	connects expectation = iota
	// refuses: the module ends the handshake because of the server.
	refuses
	// isRefused: the server ends it because of the module.
	isRefused
)

// row is one case of the matrix; it stands for one spec per mode.
type row struct {
	id, name string
	server   recipe
	// want has the modes in which the row makes sense.
	want map[string]expectation
	// stored changes what is loaded into the module; nil loads what the mode
	// needs.
	stored func(st *stand, s *spec.Spec, c *spwf.Credentials)
	// local allows the module to see the mistake itself and to send nothing.
	local bool
	// unset leaves the module without the time of day.
	unset bool
}

// serverFault is the expectation of a row whose fault is in the server's
// certificate: an anonymous module does not look at it, which is documented
// behaviour and insecure by design; the others must refuse.
func serverFault() map[string]expectation {
	return map[string]expectation{anonymous: connects, oneWay: refuses, mutual: refuses}
}

// rows is the matrix. Identifiers are those of the wider matrix that grows
// from it: C for the server's certificate, M for the module's.
func rows() []row {
	leaf := func(name string, opt func(at time.Time) certs.LeafOptions) recipe {
		return recipe{name: name, engine: endpoint.EngineGo, leaf: func(st *stand) (certs.Identity, error) {
			return st.root.Leaf(opt(st.made))
		}}
	}
	named := certs.LeafOptions{Names: []string{serverName}}
	return []row{
		{id: "C02", name: "an expired server certificate", want: serverFault(),
			server: leaf("expired", func(at time.Time) certs.LeafOptions { return named.Expired(at, 24*time.Hour) })},
		{id: "C04", name: "a server certificate that is not yet valid", want: serverFault(),
			server: leaf("not yet valid", func(at time.Time) certs.LeafOptions { return named.NotYetValid(at, 24*time.Hour) })},
		{id: "C05", name: "a server in order while the module's clock is unset", want: serverFault(),
			server: recipe{name: "good", engine: endpoint.EngineGo, leaf: good}, unset: true},
		{id: "C08", name: "a server certificate for another host", want: serverFault(),
			server: leaf("wrong host", func(time.Time) certs.LeafOptions {
				return certs.LeafOptions{Names: []string{"other." + certs.DefaultDomain}}
			})},
		{id: "C21", name: "a server certificate of an unknown root", want: serverFault(),
			server: recipe{name: "unknown root", engine: endpoint.EngineGo, leaf: func(st *stand) (certs.Identity, error) {
				return st.rogue.Leaf(certs.LeafOptions{Names: []string{serverName}})
			}}},
		{id: "M02", name: "a server that requires a client certificate, which the module does not have",
			want:   map[string]expectation{anonymous: isRefused, oneWay: isRefused},
			server: recipe{name: "requires client", engine: endpoint.EngineGo, auth: endpoint.ClientAuthVerify, leaf: good}},
		{id: "M02", name: "a server that requires a client certificate after the module's was removed",
			want:   map[string]expectation{mutual: isRefused},
			server: control(mutual),
			stored: func(_ *stand, _ *spec.Spec, c *spwf.Credentials) { c.Cert, c.Key = nil, nil }},
		{id: "M04", name: "a server that requires a client certificate, with one of an unknown authority",
			want: map[string]expectation{mutual: isRefused}, server: control(mutual), stored: strangeClient},
		{id: "M08", name: "a server that requires a client certificate, with a key that does not match it",
			want: map[string]expectation{mutual: isRefused}, server: control(mutual), stored: mismatchedKey, local: true},
	}
}

// strangeClient loads a client certificate that the server's authority did
// not sign.
func strangeClient(st *stand, s *spec.Spec, c *spwf.Credentials) {
	client, err := st.rogue.Client(s.Env.Bench.Board.ID, certs.LeafOptions{})
	s.Must(err, "make a client certificate of an unknown authority")
	c.Cert = client.LeafPEM()
	c.Key, err = client.KeyPEM()
	s.Must(err, "encode its key")
}

// mismatchedKey loads a key that belongs to another certificate.
func mismatchedKey(st *stand, s *spec.Spec, c *spwf.Credentials) {
	other, err := st.clients.Client("other", certs.LeafOptions{Key: "other"})
	s.Must(err, "make another client certificate")
	c.Key, err = other.KeyPEM()
	s.Must(err, "encode its key")
}

// Cases lists the suite: per mode the positive cases with both engines and
// the rows of the matrix, then the forum thread and Amazon.
func Cases(env *spec.Env) []spec.Case {
	st := newStand(env)
	var cases []spec.Case
	for _, mode := range []string{anonymous, oneWay, mutual} {
		cases = append(cases,
			positive(st, mode, endpoint.EngineGo, "C01", "connects and echoes a nonce both ways"),
			positive(st, mode, endpoint.EngineOpenSSL, "C01-openssl", "connects to openssl s_server and echoes a nonce both ways"))
		for _, r := range rows() {
			if want, ok := r.want[mode]; ok {
				cases = append(cases, st.negative(r, mode, want))
			}
		}
	}
	return append(cases, amazonCases(st)...)
}

func (r row) title(want expectation) string {
	switch want {
	case refuses:
		return "refuses " + r.name
	case isRefused:
		return "is refused by " + r.name + " and recovers"
	}
	return "accepts " + r.name + " (insecure by design)"
}

// positive is a case in which everything is in order.
func positive(st *stand, mode string, engine endpoint.Engine, id, name string) spec.Case {
	return spec.Case{ID: "tls." + mode + "." + id, Name: mode + ": " + name, Mode: mode, Endpoint: string(endpoint.KindLocal),
		Labels: []string{"engine:" + string(engine)},
		Run: func(ctx context.Context, s *spec.Spec) {
			needs(s)
			r := control(mode)
			r.engine = engine
			srv := st.server(ctx, s, r)
			address := s.Online(ctx)
			stored := st.credentials(s, mode)
			load(ctx, s, stored, false)
			a := try(ctx, s, "module", address, st.env.Bench.Net.Address(), srv)
			if !a.connected() {
				s.Fail("not_connected", "%s; the endpoint saw: %s", a, a.seen)
			}
			if mode == mutual {
				provedClient(s, stored, a.seen)
			}
		}}
}

// provedClient wants the server to have seen the certificate that was loaded.
func provedClient(s *spec.Spec, stored spwf.Credentials, seen endpoint.Connection) {
	leaf, err := certs.ParsePEM(stored.Cert)
	s.Must(err, "read the module's certificate")
	if seen.PeerSHA256 != certs.Fingerprint(leaf) {
		s.Fail("wrong_client_certificate", "the server saw the client certificate %q, %s was loaded", seen.PeerSHA256, certs.Fingerprint(leaf))
	}
}

// load puts credentials into the module. Wrong ones go past the lint when the
// case is about them; the lint must then have something to say, or the case
// would not test what it says.
func load(ctx context.Context, s *spec.Spec, c spwf.Credentials, unchecked bool) {
	s.Must(s.Module.LoadWith(ctx, c, spwf.LoadOptions{At: s.Now(), Unchecked: unchecked}), "load the credentials")
}

// negative is one row in one mode, with a positive control on either side.
func (st *stand) negative(r row, mode string, want expectation) spec.Case {
	return spec.Case{ID: "tls." + mode + "." + r.id, Name: mode + ": " + r.title(want), Mode: mode,
		Endpoint: string(endpoint.KindLocal), Labels: []string{"engine:" + string(r.server.engine), "negative"},
		Run: func(ctx context.Context, s *spec.Spec) {
			needs(s)
			host := st.env.Bench.Net.Address()
			okServer, badServer := st.server(ctx, s, control(mode)), st.server(ctx, s, r.server)
			address := s.Online(ctx)
			right := st.credentials(s, mode)
			load(ctx, s, right, false)
			mustConnect(ctx, s, "control before", address, host, okServer)
			if r.stored != nil {
				wrong := right
				r.stored(st, s, &wrong)
				load(ctx, s, wrong, true)
			}
			if r.unset {
				// A reset takes the time; the flash slots stay.
				address = s.Online(ctx)
			}
			a := try(ctx, s, "module", address, host, badServer)
			if r.stored != nil || r.unset {
				load(ctx, s, right, false)
			}
			mustConnect(ctx, s, "control after", address, host, okServer)
			judge(s, want, a, r.local)
		}}
}

// judge compares an attempt with what must come of it.
func judge(s *spec.Spec, want expectation, a attempt, local bool) {
	if want == connects {
		if !a.connected() {
			s.Fail("not_connected", "%s; the endpoint saw: %s", a, a.seen)
		}
		s.Saw("note", "accepted: a module in anonymous mode does not verify the server (insecure by design)")
		return
	}
	if !a.refused {
		s.Fail("accepted", "the module has a connection that must not be: %s; the endpoint saw: %s", a, a.seen)
	}
	if local && a.seen.ID == 0 {
		s.Saw("note", "the module found the mistake itself and sent nothing")
		return
	}
	if a.seen.ID == 0 || a.seen.Hello == nil {
		s.Inconclusive("not_witnessed", fmt.Sprintf("the module said ERROR: %s, but the server saw no ClientHello of it", a.refusal))
	}
	verdict := a.seen.Verdict()
	if want == refuses && verdict != endpoint.VerdictClientRefused || want == isRefused && verdict != endpoint.VerdictServerRefused {
		s.Fail("wrong_reason", "the endpoint's log says %s: %s", verdict, a.seen)
	}
}
