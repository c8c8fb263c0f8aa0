package tls

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"hil-runner/endpoint"
	"hil-runner/fixtures/certs"
	"hil-runner/reports"
	"hil-runner/spwf"
	"hil-runner/suites/spec"
)

// serverName is the name that the lab's own servers prove.
const serverName = "tls." + certs.DefaultDomain

// stand is the test stand of one board: certificates, and servers that are
// started when a case first needs them and then stay.
type stand struct {
	env *spec.Env

	mu      sync.Mutex
	keys    *certs.Pool
	made    time.Time
	root    *certs.Authority // who certifies servers, in f_ca
	rogue   *certs.Authority // an authority of the same kind that f_ca does not hold
	clients *certs.Authority // who certifies the modules
	client  certs.Identity   // this module's certificate and key
	servers map[string]*endpoint.Server
	amazon  *endpoint.AmazonShaped
	known   *endpoint.Registry
	proved  map[string]endpoint.Kind
}

func newStand(env *spec.Env) *stand {
	st := &stand{env: env, servers: make(map[string]*endpoint.Server),
		known: endpoint.NewRegistry(), proved: make(map[string]endpoint.Kind)}
	env.AtEnd(st.close)
	return st
}

// ready makes the authorities; keys are shared with the run's other workers.
func (st *stand) ready() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.keys != nil {
		return nil
	}
	keys, err := certs.NewPool(st.env.Task.KeyDir)
	if err != nil {
		return err
	}
	at := time.Now()
	var errs [3]error
	st.root, errs[0] = certs.NewAuthority(keys, certs.AuthorityOptions{At: at})
	st.rogue, errs[1] = certs.NewAuthority(keys, certs.AuthorityOptions{At: at, Name: "HIL Test Stranger", Key: "rogue"})
	st.clients, errs[2] = certs.NewAuthority(keys, certs.AuthorityOptions{At: at, Name: "HIL Test Clients", Key: "clients"})
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	if st.client, err = st.clients.Client(st.env.Bench.Board.ID, certs.LeafOptions{}); err != nil {
		return err
	}
	st.keys, st.made = keys, at
	return nil
}

// Keys names the keys that the suite needs, so that they can be made before
// the first board asks for them.
func Keys() []string {
	return []string{"root", "rogue", "clients", "server", "client", "other",
		"amazon-root", "amazon-root-int1", "amazon-older", "amazon-leaf"}
}

// close ends the servers.
func (st *stand) close() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	var errs []error
	for _, s := range st.servers {
		errs = append(errs, s.Close())
	}
	if st.amazon != nil {
		errs = append(errs, st.amazon.Close())
	}
	return errors.Join(errs...)
}

// recipe describes one server of the lab.
type recipe struct {
	// name tells servers apart and is shown in the evidence.
	name   string
	engine endpoint.Engine
	auth   endpoint.ClientAuth
	leaf   func(st *stand) (certs.Identity, error)
}

// server gives the recipe's server, starting it when needed. Its kind follows
// from the key that it proves to a client of this host.
func (st *stand) server(ctx context.Context, s *spec.Spec, r recipe) *endpoint.Server {
	s.Must(st.ready(), "make the lab's certificates")
	st.mu.Lock()
	defer st.mu.Unlock()
	key := fmt.Sprintf("%s/%s/%s", r.name, r.engine, r.auth)
	if srv := st.servers[key]; srv != nil {
		s.Proved(string(st.proved[key]))
		return srv
	}
	identity, err := r.leaf(st)
	s.Must(err, "make the certificate of the server "+r.name)
	// The server outlives the case: it belongs to the stand.
	srv, err := endpoint.Start(context.WithoutCancel(ctx), endpoint.Config{
		Engine: r.engine, Address: st.env.Bench.Net.Address(), Identity: identity,
		ClientAuth: r.auth, ClientRoots: []*x509.Certificate{st.clients.Root}})
	s.Must(err, "start the server "+r.name)
	st.servers[key] = srv
	st.known.Add(srv)
	st.proved[key] = st.prove(ctx, s, srv)
	st.announce(ctx, s, r.name, srv, st.proved[key])
	return srv
}

// announce tells the report of a server and of what it proved to be.
func (st *stand) announce(ctx context.Context, s *spec.Spec, name string, srv *endpoint.Server, kind endpoint.Kind) {
	s.Proved(string(kind))
	s.Must(s.Env.Note(ctx, spec.EndpointStarted, reports.Endpoint{Kind: string(kind), Name: name,
		Engine: string(srv.Engine()), Detail: srv.Identity().Leaf().Subject.String()}), "record the endpoint")
}

// prove connects to a server from this host, without verifying it, to see
// which key it has. The host's own client is also the first control: a server
// that cannot serve it proves nothing about a module.
func (st *stand) prove(ctx context.Context, s *spec.Spec, srv *endpoint.Server) endpoint.Kind {
	proof, err := endpoint.Control(ctx, srv, endpoint.ClientConfig{ServerName: serverName, NoSNI: true, Identity: st.client})
	if err != nil {
		s.Inconclusive("endpoint_control", fmt.Sprintf("this host's own client cannot use the server at %s: %v", srv.Addr(), err))
	}
	return endpoint.KindOf(proof, st.known)
}

// amazonShaped gives the server that looks like Amazon's.
func (st *stand) amazonShaped(ctx context.Context, s *spec.Spec) *endpoint.AmazonShaped {
	s.Must(st.ready(), "make the lab's certificates")
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.amazon == nil {
		srv, err := endpoint.StartAmazonShaped(context.WithoutCancel(ctx), st.keys, endpoint.Config{Address: st.env.Bench.Net.Address()})
		s.Must(err, "start the Amazon-shaped server")
		st.amazon = srv
		st.known.Add(srv.Server)
		session, err := endpoint.Dial(ctx, srv.Addr(), endpoint.ClientConfig{ServerName: certs.AmazonHost, Roots: []*x509.Certificate{srv.Shape.Root}})
		if err != nil {
			s.Inconclusive("endpoint_control", fmt.Sprintf("this host's own client cannot use the Amazon-shaped server: %v", err))
		}
		st.proved["amazon"] = endpoint.KindOf(session.Proof(), st.known)
		s.Must(session.Close(), "close the control's connection")
		st.announce(ctx, s, certs.AmazonHost, srv.Server, st.proved["amazon"])
	}
	s.Proved(string(st.proved["amazon"]))
	return st.amazon
}

// good is a certificate in order.
func good(st *stand) (certs.Identity, error) {
	return st.root.Leaf(certs.LeafOptions{Names: []string{serverName}})
}

// control is the server that a module in a mode must be able to use.
func control(mode string) recipe {
	r := recipe{name: "control", engine: endpoint.EngineGo, leaf: good}
	if mode == mutual {
		r.auth = endpoint.ClientAuthVerify
	}
	return r
}

// credentials are what a module needs for a mode.
func (st *stand) credentials(s *spec.Spec, mode string) spwf.Credentials {
	s.Must(st.ready(), "make the lab's certificates")
	var c spwf.Credentials
	if mode == anonymous {
		return c
	}
	c.CA, c.Domain = st.root.RootPEM(), serverName
	if mode == oneWay {
		return c
	}
	var err error
	c.Cert = st.client.LeafPEM()
	c.Key, err = st.client.KeyPEM()
	s.Must(err, "encode the module's key")
	return c
}

// needs ends a case early on a bench that cannot serve the module.
func needs(s *spec.Spec) {
	if s.Env.Bench.Net == nil || net.ParseIP(s.Env.Bench.Net.Address()) == nil {
		s.Skip("no_address", "the lab file names no network.endpoint_address, so the module cannot reach this host")
	}
}
