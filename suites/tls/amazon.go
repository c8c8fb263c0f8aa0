package tls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"hil-runner/endpoint"
	"hil-runner/fixtures/certs"
	"hil-runner/spwf"
	"hil-runner/suites/spec"
)

// agent is how the suites name themselves to Amazon.
const agent = "hil-runner (Wi-Fi module test lab)"

// amazonCases are the forum thread, the Amazon-shaped twin and Amazon itself,
// as far as the task goes.
func amazonCases(st *stand) []spec.Case {
	shaped, live := string(endpoint.KindAmazonShaped), string(endpoint.KindAmazonLive)
	if st.env.Task.Amazon == spec.AmazonOff {
		return nil
	}
	optional := !st.env.Task.RequireLive
	return []spec.Case{
		{ID: "tls.forum-2017", Name: "the forum thread of 2017: three mistakes are named, the module refuses, anonymous connects after clean and reset",
			Mode: anonymous, Endpoint: shaped, Labels: []string{"regression"}, Run: st.forum},
		{ID: "tls.amazon-shaped.anonymous", Name: "anonymous: gets the token service's refusal from the Amazon-shaped twin",
			Mode: anonymous, Endpoint: shaped, Run: func(ctx context.Context, s *spec.Spec) { st.tokenShaped(ctx, s, anonymous) }},
		{ID: "tls.amazon-shaped.one_way", Name: "one_way: gets the token service's refusal from the Amazon-shaped twin",
			Mode: oneWay, Endpoint: shaped, Run: func(ctx context.Context, s *spec.Spec) { st.tokenShaped(ctx, s, oneWay) }},
		{ID: "tls.amazon-shaped.real-root", Name: "one_way: refuses the Amazon-shaped twin with the real Amazon Root CA 1",
			Mode: oneWay, Endpoint: shaped, Labels: []string{"negative"}, Run: st.realRoot},
		{ID: "tls.amazon-live.anonymous", Name: "anonymous: gets the token service's refusal from api.amazon.com",
			Mode: anonymous, Endpoint: live, Optional: optional, Run: func(ctx context.Context, s *spec.Spec) { st.tokenLive(ctx, s, anonymous) }},
		{ID: "tls.amazon-live.one_way", Name: "one_way: gets the token service's refusal from api.amazon.com with the root of its chain",
			Mode: oneWay, Endpoint: live, Optional: optional, Run: func(ctx context.Context, s *spec.Spec) { st.tokenLive(ctx, s, oneWay) }},
	}
}

// forum replays the thread to the byte and then does what its author did in
// the end.
func (st *stand) forum(ctx context.Context, s *spec.Spec) {
	needs(s)
	thread := certs.Forum()
	srv := st.amazonShaped(ctx, s)
	s.Online(ctx)
	lintThread(s, thread)
	for _, command := range []string{thread.Clean, thread.SetTime} {
		_, err := s.Module.Do(ctx, command)
		s.Must(err, command)
	}
	for _, slot := range thread.Slots {
		command, payload, _ := strings.Cut(string(slot.Bytes()), "\r")
		_, err := s.Module.DoPayload(ctx, command, []byte(payload), false)
		s.Must(err, command)
	}
	_, err := s.Module.Do(ctx, thread.Open)
	var refused *spwf.CommandError
	if !errors.As(err, &refused) {
		s.Must(err, thread.Open)
		s.Fail("accepted", "%s was answered with OK although f_ca holds a host name", thread.Open)
	}
	s.Saw("module", "%s: ERROR: %s", thread.Open, refused.Text)
	if said := "ERROR: " + refused.Text; said != thread.Expected {
		s.Fail("other_refusal", "%s was answered with %q, the thread has %q", thread.Open, said, thread.Expected)
	}
	s.Must(s.Module.CleanTLS(ctx), "empty the TLS slots")
	address := s.Online(ctx)
	s.Saw("module", "slots emptied, reset, back online as %s", address)
	st.askToken(ctx, s, address, srv)
}

// lintThread wants the three mistakes of the thread named, each once.
func lintThread(s *spec.Spec, thread certs.ForumThread) {
	var c spwf.Credentials
	for _, slot := range thread.Slots {
		switch slot.Name {
		case "f_ca":
			c.CA = slot.Payload
		case "f_cert":
			c.Cert = slot.Payload
		case "f_key":
			c.Key = slot.Payload
		}
	}
	c.Domain = thread.Host
	codes := make(map[spwf.LintCode]bool)
	for _, e := range spwf.Lint(c, spwf.Mutual, time.Unix(thread.Time, 0)) {
		s.Saw("lint", "%s", e)
		codes[e.Code] = true
	}
	for _, want := range []spwf.LintCode{spwf.LintCAIsHostName, spwf.LintCertIsCA, spwf.LintKeyIsHash} {
		if !codes[want] {
			s.Fail("lint_silent", "the lint did not name the mistake %s", want)
		}
	}
	if len(codes) != 3 {
		s.Fail("lint_noisy", "the lint names %d mistakes, the thread has three", len(codes))
	}
}

// nameAmazon lets the module resolve Amazon's name to this host.
func (st *stand) nameAmazon(ctx context.Context, s *spec.Spec) {
	if err := st.env.Bench.Net.SetName(ctx, certs.AmazonHost, st.env.Bench.Net.Address()); err != nil {
		s.Skip("no_names", fmt.Sprintf("the lab cannot give %s to the module: %v", certs.AmazonHost, err))
	}
}

// askToken makes the request that needs no account and wants the refusal that
// the real service gives.
func (st *stand) askToken(ctx context.Context, s *spec.Spec, address string, srv *endpoint.AmazonShaped) {
	st.nameAmazon(ctx, s)
	before := srv.LastConnection()
	socket, err := s.Module.Open(ctx, certs.AmazonHost, srv.Port(), spwf.TLS)
	s.Must(err, "open a TLS socket to "+certs.AmazonHost)
	exchangeToken(ctx, s, socket)
	seen := witness(ctx, srv.Server, before, address)
	s.Saw("endpoint", "%s", seen)
	if seen.ID == 0 || !seen.Handshake {
		s.Inconclusive("not_witnessed", "the module has an answer, but the server saw no handshake of it")
	}
	s.Must(s.Env.Note(ctx, "module", seen), "record the endpoint's log")
}

// exchangeToken sends the request and checks the answer.
func exchangeToken(ctx context.Context, s *spec.Spec, socket *spwf.Socket) {
	_, err := socket.Write(ctx, endpoint.TokenRequest(certs.AmazonHost, agent))
	s.Must(err, "send the request")
	var response []byte
	for buf := make([]byte, 2048); len(response) < 64<<10; {
		n, err := socket.Read(ctx, buf)
		response = append(response, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		s.Must(err, "read the answer")
	}
	s.Must(socket.Close(ctx), "close the socket")
	status, err := endpoint.CheckTokenAnswer(response)
	if err != nil {
		s.Fail("wrong_answer", "%v", err)
	}
	s.Saw("module", "POST %s gave HTTP %d and an error object", endpoint.TokenPath, status)
}

// tokenShaped asks the twin.
func (st *stand) tokenShaped(ctx context.Context, s *spec.Spec, mode string) {
	needs(s)
	srv := st.amazonShaped(ctx, s)
	address := s.Online(ctx)
	var c spwf.Credentials
	if mode == oneWay {
		c.CA, c.Domain = certs.EncodePEM(srv.Shape.Root), certs.AmazonHost
	}
	load(ctx, s, c, false)
	st.askToken(ctx, s, address, srv)
}

// realRoot is the guard that the twin can never be mistaken for Amazon.
func (st *stand) realRoot(ctx context.Context, s *spec.Spec) {
	needs(s)
	srv := st.amazonShaped(ctx, s)
	st.nameAmazon(ctx, s)
	address := s.Online(ctx)
	right := spwf.Credentials{CA: certs.EncodePEM(srv.Shape.Root), Domain: certs.AmazonHost}
	root, err := certs.AmazonRoot(1)
	s.Must(err, "find Amazon Root CA 1")
	load(ctx, s, right, false)
	mustHandshake(ctx, s, "control before", address, srv)
	load(ctx, s, spwf.Credentials{CA: root.PEM, Domain: certs.AmazonHost}, false)
	a := handshake(ctx, s, "module", address, srv)
	load(ctx, s, right, false)
	mustHandshake(ctx, s, "control after", address, srv)
	judge(s, refuses, a, false)
}

// handshake connects to the twin, which speaks HTTP and echoes nothing.
func handshake(ctx context.Context, s *spec.Spec, who, address string, srv *endpoint.AmazonShaped) attempt {
	var a attempt
	before := srv.LastConnection()
	started := time.Now()
	socket, err := s.Module.Open(ctx, certs.AmazonHost, srv.Port(), spwf.TLS)
	a.took = time.Since(started)
	var refused *spwf.CommandError
	if errors.As(err, &refused) {
		a.refused, a.refusal = true, refused.Text
	} else {
		s.Must(err, "open a TLS socket to "+certs.AmazonHost)
		s.Must(socket.Close(ctx), "close the socket")
	}
	a.seen = witness(ctx, srv.Server, before, address)
	s.Saw(who, "%s", a)
	s.Saw("endpoint", "%s", a.seen)
	return a
}

func mustHandshake(ctx context.Context, s *spec.Spec, which, address string, srv *endpoint.AmazonShaped) {
	if a := handshake(ctx, s, which, address, srv); a.refused || !a.seen.Handshake {
		s.Inconclusive("control_failed", fmt.Sprintf("the %s did not connect: %s; %s", which, a, a.seen))
	}
}

// tokenLive asks Amazon itself.
func (st *stand) tokenLive(ctx context.Context, s *spec.Spec, mode string) {
	needs(s)
	task := st.env.Task
	if err := st.env.Bench.Net.SetName(ctx, certs.AmazonHost, task.AmazonAddress); err != nil {
		s.Saw("note", "the module resolves %s by the lab's own DNS: %v", certs.AmazonHost, err)
	}
	s.Online(ctx)
	var c spwf.Credentials
	if mode == oneWay {
		c.CA, c.Domain = task.AmazonRoot, certs.AmazonHost
	}
	load(ctx, s, c, false)
	socket, err := s.Module.Open(ctx, certs.AmazonHost, 443, spwf.TLS)
	s.Must(err, "open a TLS socket to "+certs.AmazonHost)
	s.Proved(task.AmazonKind)
	exchangeToken(ctx, s, socket)
}
