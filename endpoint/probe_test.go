package endpoint_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hil-runner/endpoint"
	"hil-runner/fixtures/certs"
)

// detour resolves every name and dials every address to one server on this
// host, so that no packet leaves it.
type detour struct {
	to       string
	dnsErr   error
	lookups  int
	dials    int
	failDial error
}

func (d *detour) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	d.lookups++
	return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, d.dnsErr
}

func (d *detour) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d.dials++
	if d.failDial != nil {
		return nil, d.failDial
	}
	if address != "192.0.2.1:443" {
		return nil, errors.New("dialled " + address)
	}
	var nd net.Dialer
	return nd.DialContext(ctx, network, d.to)
}

func quickBudget() *endpoint.Budget {
	return endpoint.NewBudget(endpoint.BudgetOptions{Every: time.Nanosecond})
}

func probe(d *detour, roots []certs.Root) endpoint.ProbeConfig {
	return endpoint.ProbeConfig{UserAgent: "hil-runner test", Budget: quickBudget(), Resolver: d, Dialer: d, Roots: roots,
		Pause: time.Millisecond, StageLimit: 5 * time.Second}
}

func shapeRoots(s certs.AmazonShape) []certs.Root {
	return []certs.Root{
		{Name: "older", Certificate: s.Older, PEM: certs.EncodePEM(s.Older)},
		{Name: "root", Certificate: s.Root, PEM: certs.EncodePEM(s.Root)},
	}
}

func TestProbeReaches(t *testing.T) {
	s := serveShaped(t, endpoint.Config{})
	d := &detour{to: s.Addr()}
	res, err := endpoint.Probe(soon(t), probe(d, shapeRoots(s.Shape)))
	if err != nil || !res.Reached || res.SkipReason() != "" {
		t.Fatalf("%+v, %v", res, err)
	}
	if res.Status != 401 || res.Tried != 1 || len(res.Chain) != 3 || strings.Count(res.ChainPEM, "BEGIN CERT") != 3 ||
		res.CertificateMessage < certs.AmazonCertificateMessage {
		t.Errorf("result %+v", res)
	}
	// Both roots verify; the one with the shorter way is what the client needs.
	if res.RootName != "root" || !strings.Contains(string(res.Root.PEM), "BEGIN CERT") {
		t.Errorf("root %q", res.RootName)
	}
	// It answered like Amazon under Amazon's name, and is not Amazon.
	if res.Kind != endpoint.KindLocal {
		t.Errorf("kind %s", res.Kind)
	}
}

func TestProbeStages(t *testing.T) {
	l := openLab(t)
	shaped := serveShaped(t, endpoint.Config{})
	local := must(t)(l.ca.Leaf(certs.LeafOptions{Names: []string{certs.AmazonHost}, Outside: true}))
	echoing := serve(t, endpoint.Config{Identity: shaped.Shape.Identity})
	wrongName := serve(t, endpoint.Config{Identity: l.leaf(t, certs.LeafOptions{})})
	old := serve(t, endpoint.Config{Identity: local, MaxVersion: tls.VersionTLS11})
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	ours := append(shapeRoots(shaped.Shape), certs.Root{Name: "lab", Certificate: l.ca.Root})
	tests := []struct {
		name   string
		d      detour
		roots  []certs.Root
		stage  endpoint.Stage
		detail string
	}{
		{"no name", detour{dnsErr: errors.New("no such host")}, ours, endpoint.StageDNS, "no such host"},
		{"no route", detour{failDial: errors.New("network is unreachable")}, ours, endpoint.StageTCP, "network is unreachable"},
		{"nobody listens", detour{to: gone.Addr().String()}, ours, endpoint.StageTCP, "connection refused"},
		{"Amazon's real roots", detour{to: shaped.Addr()}, nil, endpoint.StageTLS, "no root that ships with the lab verifies the chain"},
		{"wrong name", detour{to: wrongName.Addr()}, ours, endpoint.StageTLS, "not api.amazon.com"},
		{"old version", detour{to: old.Addr()}, ours, endpoint.StageTLS, "protocol version"},
		{"not HTTP", detour{to: echoing.Addr()}, ours, endpoint.StageHTTP, "not an HTTP response"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			res, err := endpoint.Probe(soon(t), probe(&tc.d, tc.roots))
			if err != nil || res.Reached || res.Failed != tc.stage || res.Tried != 3 || tc.d.lookups != 3 {
				t.Fatalf("%+v, %v", res, err)
			}
			if res.Kind == endpoint.KindAmazonLive {
				t.Error("this counts as Amazon")
			}
			reason := res.SkipReason()
			if !strings.HasPrefix(reason, "amazon_unreachable: stage="+string(tc.stage)+", ") ||
				!strings.Contains(reason, tc.detail) || !strings.HasSuffix(reason, ", tried=3") {
				t.Errorf("reason %q, want stage %s and %q", reason, tc.stage, tc.detail)
			}
			if tc.stage == endpoint.StageTLS && tc.name != "old version" && len(res.Chain) == 0 {
				t.Error("the refused chain was not kept")
			}
			if tc.stage == endpoint.StageDNS && tc.d.dials != 0 {
				t.Error("something was dialled")
			}
		})
	}
}

// 429 and 503 end it: no second try, and nobody else's request either.
func TestProbeStopsWhenAsked(t *testing.T) {
	l := openLab(t)
	ca, err := certs.NewAuthority(l.keys, certs.AuthorityOptions{At: clock, Domains: []string{"amazon.com"}})
	if err != nil {
		t.Fatal(err)
	}
	id := must(t)(ca.Leaf(certs.LeafOptions{Names: []string{certs.AmazonHost}}))
	for _, status := range []int{429, 503} {
		var agent string
		requests := 0
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			agent = r.UserAgent()
			w.WriteHeader(status)
		}))
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{id.TLS()}}
		srv.StartTLS()
		d := &detour{to: srv.Listener.Addr().String()}
		cfg := probe(d, []certs.Root{{Name: "lab", Certificate: ca.Root}})
		res, err := endpoint.Probe(soon(t), cfg)
		if err != nil || res.Reached || res.Failed != endpoint.StageHTTP || res.Tried != 1 || res.Status != status {
			t.Errorf("%d: %+v, %v", status, res, err)
		}
		if _, err := endpoint.Probe(soon(t), cfg); !errors.Is(err, endpoint.ErrBudget) {
			t.Errorf("%d: the next probe gave %v, want ErrBudget", status, err)
		}
		srv.Close()
		if requests != 1 || agent != "hil-runner test" {
			t.Errorf("%d: %d requests, the last by %q", status, requests, agent)
		}
	}
}

func TestProbeIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(soon(t))
	cancel()
	if _, err := endpoint.Probe(ctx, probe(&detour{dnsErr: context.Canceled}, nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := endpoint.Probe(soon(t), endpoint.ProbeConfig{Budget: quickBudget()}); err == nil {
		t.Error("a probe without a name of the lab was sent")
	}
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := endpoint.NewBudget(endpoint.BudgetOptions{Max: 5})
		start := time.Now()
		for i := range 5 {
			if err := b.Take(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, want := time.Since(start), time.Duration(i)*10*time.Second; got != want {
				t.Errorf("request %d after %v, want %v", i, got, want)
			}
		}
		if err := b.Take(t.Context()); !errors.Is(err, endpoint.ErrBudget) {
			t.Errorf("the sixth gave %v", err)
		}
		time.Sleep(12 * time.Hour)
		if err := b.Take(t.Context()); err != nil {
			t.Errorf("in the next window: %v", err)
		}
		waiting := make(chan error)
		go func() { waiting <- b.Take(t.Context()) }()
		synctest.Wait()
		if err := b.Stop("somebody said 429"); err != nil {
			t.Fatal(err)
		}
		if err := <-waiting; !errors.Is(err, endpoint.ErrBudget) || !strings.Contains(err.Error(), "429") {
			t.Errorf("who waited got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(12 * time.Hour)
		if err := b.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Take(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestBudgetInAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "amazon.json")
	opt := endpoint.BudgetOptions{Every: time.Millisecond, Max: 3, File: file}
	for i := range 4 {
		err := endpoint.NewBudget(opt).Take(t.Context())
		if (err == nil) != (i < 3) {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := endpoint.NewBudget(opt).Take(t.Context()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("with a damaged file: %v", err)
	}
}
