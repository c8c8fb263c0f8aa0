package endpoint_test

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"hil-runner/endpoint"
	"hil-runner/fixtures/certs"
)

func TestKindsOfOurServers(t *testing.T) {
	l := openLab(t)
	ctx := soon(t)
	local := serve(t, endpoint.Config{Identity: l.leaf(t, certs.LeafOptions{})})
	shaped := serveShaped(t, endpoint.Config{})
	registry := endpoint.NewRegistry(local, shaped.Server)
	prove := func(s *endpoint.Server, name string) endpoint.Proof {
		t.Helper()
		session, err := endpoint.Dial(ctx, s.Addr(), endpoint.ClientConfig{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		return session.Proof()
	}
	for _, tc := range []struct {
		name     string
		proof    endpoint.Proof
		registry *endpoint.Registry
		want     endpoint.Kind
	}{
		{"local", prove(local, host), registry, endpoint.KindLocal},
		{"local under Amazon's name", prove(local, certs.AmazonHost), registry, endpoint.KindLocal},
		{"shaped", prove(shaped.Server, certs.AmazonHost), registry, endpoint.KindAmazonShaped},
		{"shaped, not registered", prove(shaped.Server, certs.AmazonHost), nil, endpoint.KindLocal},
		{"nothing proved", endpoint.Proof{}, registry, endpoint.KindUnknown},
	} {
		if got := endpoint.KindOf(tc.proof, tc.registry); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	// One key in both roles claims the least.
	both := serve(t, endpoint.Config{Identity: shaped.Shape.Identity})
	if got := endpoint.KindOf(prove(both, certs.AmazonHost), endpoint.NewRegistry(shaped.Server, both)); got != endpoint.KindLocal {
		t.Errorf("one key in both roles: %s", got)
	}
}

// No setting has a kind in it, so none can say that something is Amazon.
func TestKindIsNoSetting(t *testing.T) {
	kind := reflect.TypeFor[endpoint.Kind]()
	var look func(path string, typ reflect.Type)
	look = func(path string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			look(path, typ.Elem())
		case reflect.Struct:
			if typ.PkgPath() != reflect.TypeFor[endpoint.Config]().PkgPath() {
				return
			}
			for i := range typ.NumField() {
				f := typ.Field(i)
				if f.IsExported() {
					look(path+"."+f.Name, f.Type)
				}
			}
		default:
			if typ == kind {
				t.Errorf("%s sets a kind", path)
			}
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[endpoint.Config](), reflect.TypeFor[endpoint.ClientConfig](),
		reflect.TypeFor[endpoint.ProbeConfig](), reflect.TypeFor[endpoint.Registry](), reflect.TypeFor[endpoint.Proof](),
		reflect.TypeFor[endpoint.Server]()} {
		look(typ.Name(), typ)
	}
}

// childEnv marks the process in which the host's roots are forged.
const childEnv = "HIL_ENDPOINT_FORGED_ROOTS"

// Somebody who writes "Amazon" into every name and puts the root into this
// host's store of roots still is not Amazon.
func TestHostRootsDoNotMakeAmazon(t *testing.T) {
	if os.Getenv(childEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestHostRootsDoNotMakeAmazon$", "-test.v")
		cmd.Env = append(os.Environ(), childEnv+"=1", "SSL_CERT_FILE="+filepath.Join(t.TempDir(), "roots.pem"), "SSL_CERT_DIR=/nonexistent")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	l := openLab(t)
	forge := func(c *x509.Certificate) { c.Subject.Organization = []string{"Amazon"} }
	ca, err := certs.NewAuthority(l.keys, certs.AuthorityOptions{At: clock, Name: "Amazon Root CA 1", Domains: []string{"amazon.com"},
		Change: func(_ int, c *x509.Certificate) { forge(c) }})
	if err != nil {
		t.Fatal(err)
	}
	id := must(t)(ca.Leaf(certs.LeafOptions{Names: []string{certs.AmazonHost}, Change: forge}))
	if err := os.WriteFile(os.Getenv("SSL_CERT_FILE"), ca.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := id.Leaf().Verify(x509.VerifyOptions{DNSName: certs.AmazonHost}); err != nil {
		t.Fatalf("the forged store of roots is not in use: %v", err)
	}
	s := serve(t, endpoint.Config{Identity: id})
	session, err := endpoint.Dial(soon(t), s.Addr(), endpoint.ClientConfig{ServerName: certs.AmazonHost})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if got := endpoint.KindOf(session.Proof(), nil); got != endpoint.KindUnknown {
		t.Errorf("the forgery counts as %s", got)
	}
}
