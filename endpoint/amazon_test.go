package endpoint_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"hil-runner/endpoint"
	"hil-runner/fixtures/certs"
)

func serveShaped(t *testing.T, cfg endpoint.Config) *endpoint.AmazonShaped {
	t.Helper()
	s, err := endpoint.StartAmazonShaped(t.Context(), openLab(t).keys, cfg)
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

func shapedClient(s *endpoint.AmazonShaped) endpoint.ClientConfig {
	return endpoint.ClientConfig{ServerName: certs.AmazonHost, Roots: []*x509.Certificate{s.Shape.Root}, CipherSuites: legacy}
}

// ask sends raw bytes and reads the answer to the end.
func ask(t *testing.T, ctx context.Context, s *endpoint.AmazonShaped, request string) string {
	t.Helper()
	session, err := endpoint.Dial(ctx, s.Addr(), shapedClient(s))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if _, err := io.WriteString(session, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(session), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") || res.Header.Get("x-amzn-RequestId") == "" {
		t.Errorf("headers %v", res.Header)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, body)
}

func post(contentType, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: api.amazon.com\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		endpoint.TokenPath, contentType, len(body), body)
}

func TestAmazonShapedAnswers(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	tests := []struct{ name, request, want string }{
		{"unknown client", string(endpoint.TokenRequest("api.amazon.com", "test")),
			`401 {"error_description":"Client authentication failed","error":"invalid_client"}`},
		{"no grant type", post(form, "client_id=x"), `400 {"error_description":"The request is missing a required parameter : grant_type","error":"invalid_request"}`},
		{"no client", post(form, "grant_type=refresh_token"), `"error":"invalid_request"}`},
		{"other grant", post(form, "grant_type=telepathy"), `400 {"error_description":"The authorization grant type is not supported`},
		{"JSON body", post("application/json", "{}"), `"error":"invalid_request"}`},
		{"bad escape", post(form, "grant_type=%zz"), `400 {"error_description":"The request is malformed"`},
		{"empty body", post(form, ""), `"error":"invalid_request"}`},
		{"too large", post(form, "a="+strings.Repeat("x", 70<<10)), "413 "},
		{"other path", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "404 "},
		{"GET", "GET " + endpoint.TokenPath + " HTTP/1.1\r\nHost: h\r\n\r\n", "405 "},
		{"not HTTP", "+WIND:1:Poweron\r\n\r\n", "400 "},
		{"endless head", "GET / HTTP/1.1\r\nX: " + strings.Repeat("y", 32<<10), "400 "},
	}
	engines(t, func(t *testing.T, engine endpoint.Engine) {
		s := serveShaped(t, endpoint.Config{Engine: engine})
		for _, tc := range tests {
			if engine == endpoint.EngineOpenSSL && tc.name == "endless head" {
				continue // the same code; only the closing differs
			}
			t.Run(tc.name, func(t *testing.T) {
				if got := ask(t, soon(t), s, tc.request); !strings.Contains(got, tc.want) {
					t.Errorf("got %s, want %s", got, tc.want)
				}
			})
		}
		_, err := s.WaitEvent(soon(t), func(e endpoint.Event) bool {
			return e.Kind == endpoint.EventRequest && strings.HasPrefix(e.Detail, `POST "/auth/o2/token" 401`)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Two requests on one connection, as HTTP/1.1 clients send them.
func TestAmazonShapedKeepsAlive(t *testing.T) {
	s := serveShaped(t, endpoint.Config{})
	session, err := endpoint.Dial(soon(t), s.Addr(), shapedClient(s))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	r := bufio.NewReader(session)
	for range 2 {
		if _, err := io.WriteString(session, strings.Replace(post("x/y", ""), "close", "keep-alive", 1)); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 400 {
			t.Errorf("status %d, %v", res.StatusCode, err)
		}
		res.Body.Close()
	}
}

// The guard: whoever holds one of Amazon's roots refuses this server.
func TestAmazonShapedIsNotAmazon(t *testing.T) {
	s := serveShaped(t, endpoint.Config{})
	ctx := soon(t)
	if size := s.Identity().MessageSize(); size < certs.AmazonCertificateMessage {
		t.Errorf("the Certificate message has %d bytes, want at least %d", size, certs.AmazonCertificateMessage)
	}
	for _, root := range []*x509.Certificate{s.Shape.Root, s.Shape.Older} {
		cfg := shapedClient(s)
		cfg.Roots = []*x509.Certificate{root}
		session, err := endpoint.Dial(ctx, s.Addr(), cfg)
		if err != nil {
			t.Fatalf("with the lab's root %q: %v", root.Subject.CommonName, err)
		}
		if v := session.State().Version; v != tls.VersionTLS12 {
			t.Errorf("version %x", v)
		}
		session.Close()
	}
	for _, root := range append(certs.Roots(), certs.RetailRoots()...) {
		cfg := shapedClient(s)
		cfg.Roots = []*x509.Certificate{root.Certificate}
		before := s.LastConnection()
		if session, err := endpoint.Dial(ctx, s.Addr(), cfg); err == nil {
			session.Close()
			t.Errorf("%s verified the local server", root.Name)
		}
		c, err := s.WaitConnection(ctx, func(c endpoint.Connection) bool { return c.ID > before && closed(c) })
		if err != nil {
			t.Fatal(err)
		}
		if c.Verdict() != endpoint.VerdictClientRefused {
			t.Errorf("%s: the server saw %s", root.Name, c)
		}
	}
}

func TestCheckTokenAnswer(t *testing.T) {
	answer := func(status int, body string) string {
		return fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
	for _, tc := range []struct {
		response string
		ok       bool
	}{
		{answer(401, `{"error_description":"Client authentication failed","error":"invalid_client"}`), true},
		{answer(400, `{"error":"invalid_request","error_index":"x"}`), true},
		{answer(200, `{"error":"x"}`), false},
		{answer(401, `{"error":""}`), false},
		{answer(401, `[]`), false},
		{answer(401, `<html>`), false},
		{"+WIND:55", false},
		{"", false},
	} {
		if _, err := endpoint.CheckTokenAnswer([]byte(tc.response)); (err == nil) != tc.ok {
			t.Errorf("%.60q gave %v", tc.response, err)
		}
	}
}

func FuzzTokenAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 401 X\r\nContent-Length: 13\r\n\r\n{\"error\":\"x\"}"))
	f.Fuzz(func(t *testing.T, response []byte) {
		status, err := endpoint.CheckTokenAnswer(response)
		if err == nil && status != 400 && status != 401 {
			t.Fatalf("status %d passed", status)
		}
	})
}

// A client that reads nothing and says nothing does not hold a place for ever.
func TestAmazonShapedIdleClient(t *testing.T) {
	s := serveShaped(t, endpoint.Config{IdleTimeout: 100 * time.Millisecond})
	session, err := endpoint.Dial(soon(t), s.Addr(), shapedClient(s))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	c, err := s.WaitConnection(soon(t), closed)
	if err != nil {
		t.Fatal(err)
	}
	if c.Close != endpoint.CloseTimeout {
		t.Errorf("the server saw %s", c)
	}
}
