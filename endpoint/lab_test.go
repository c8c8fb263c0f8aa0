package endpoint_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"hil-runner/endpoint"
	"hil-runner/fixtures/certs"
)

// clock is what all certificates of the tests are made for. The host's own
// clock would do as well but for the tests of other times.
var clock = time.Now().UTC().Truncate(time.Second)

const host = "endpoint.hil.test"

// lab is what the tests share, because keys cost time.
type lab struct {
	keys         *certs.Pool
	ca, impostor *certs.Authority
}

var theLab = sync.OnceValues(func() (*lab, error) {
	keys, err := certs.NewPool("")
	if err != nil {
		return nil, err
	}
	if err := keys.Warm(certs.RSA2048, "root", "impostor", "server", "client"); err != nil {
		return nil, err
	}
	l := &lab{keys: keys}
	if l.ca, err = certs.NewAuthority(keys, certs.AuthorityOptions{At: clock}); err != nil {
		return nil, err
	}
	l.impostor, err = certs.NewAuthority(keys, certs.AuthorityOptions{At: clock, Key: "impostor", Name: "HIL Other Root"})
	return l, err
})

func openLab(t testing.TB) *lab {
	t.Helper()
	l, err := theLab()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) leaf(t testing.TB, opt certs.LeafOptions) certs.Identity {
	t.Helper()
	if opt.Names == nil {
		opt.Names = []string{host}
	}
	return must(t)(l.ca.Leaf(opt))
}

func (l *lab) client(t testing.TB, ca *certs.Authority, opt certs.LeafOptions) certs.Identity {
	t.Helper()
	return must(t)(ca.Client("board-01", opt))
}

func must(t testing.TB) func(certs.Identity, error) certs.Identity {
	return func(id certs.Identity, err error) certs.Identity {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
}

func serve(t testing.TB, cfg endpoint.Config) *endpoint.Server {
	t.Helper()
	s, err := endpoint.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the endpoint: %v", err)
		}
	})
	return s
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func closed(c endpoint.Connection) bool { return c.Close != "" }

// engines runs a test with each TLS stack.
func engines(t *testing.T, test func(t *testing.T, engine endpoint.Engine)) {
	t.Run("go", func(t *testing.T) { test(t, endpoint.EngineGo) })
	t.Run("openssl", func(t *testing.T) {
		needOpenSSL(t)
		test(t, endpoint.EngineOpenSSL)
	})
}

func needOpenSSL(t *testing.T) {
	t.Helper()
	if _, err := endpoint.OpenSSLPath(); err != nil {
		if !errors.Is(err, endpoint.ErrNoOpenSSL) {
			t.Errorf("OpenSSLPath gave %v, want ErrNoOpenSSL", err)
		}
		if os.Getenv("HIL_REQUIRE_TOOLS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// noLeaks fails when goroutines of this package are left at the end.
func noLeaks(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		deadline := time.Now().Add(5 * time.Second)
		var left []string
		for time.Now().Before(deadline) {
			if left = ours(); len(left) == 0 {
				return
			}
			runtime.Gosched()
		}
		t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
	})
}

func ours() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for _, g := range strings.Split(string(buf), "\n\n") {
		if strings.Contains(g, "hil-runner/endpoint.") {
			left = append(left, g)
		}
	}
	return left
}
