// Package smoke tells whether a board is fit for anything else: it starts,
// reports the build that was flashed, keeps its configuration, joins the
// lab's Wi-Fi and carries bytes.
package smoke

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/onsi/gomega"

	"hil-runner/spwf"
	"hil-runner/suites/spec"
)

// Cases lists the suite.
func Cases(*spec.Env) []spec.Case {
	return []spec.Case{
		{ID: "smoke.boot", Name: "starts after a reset with a newer banner and a running radio", Run: boot},
		{ID: "smoke.version", Name: "reports the same build in its banner and in its status", Run: version},
		{ID: "smoke.at", Name: "answers AT a hundred times in a row", Run: answers},
		{ID: "smoke.config", Name: "keeps a saved setting over a reset and forgets an unsaved one", Run: config},
		{ID: "smoke.clock", Name: "keeps the time that it was given", Run: clock},
		{ID: "smoke.unknown", Name: "refuses an unknown command and goes on", Run: unknown},
		{ID: "smoke.join", Name: "joins the lab's Wi-Fi", Run: join},
		{ID: "smoke.tcp", Name: "carries 1000 binary bytes over TCP and back", Run: tcp},
	}
}

func boot(ctx context.Context, s *spec.Spec) {
	build := s.Restart(ctx)
	s.Saw("module", "banner %s", build)
	s.Must(s.Module.At(ctx), "AT")
}

func version(ctx context.Context, s *spec.Spec) {
	banner := s.Restart(ctx)
	status, err := s.Module.Version(ctx)
	s.Must(err, "read the version")
	s.Saw("module", "banner %s, status %s", banner, status)
	if status.ID() != banner.ID() {
		s.Fail("version_disagrees", "the banner says %s and STS=version says %s", banner, status)
	}
	if want := s.Env.Task.Build; want != "" && banner.ID() != spwf.ParseBuild(want).ID() {
		s.Fail("version_mismatch", "the module reports %s, %s was expected", banner, want)
	}
}

func answers(ctx context.Context, s *spec.Spec) {
	for range 100 {
		s.Must(s.Module.At(ctx), "AT")
	}
}

// config uses user_desc, a text that nothing else depends on.
func config(ctx context.Context, s *spec.Spec) {
	const key = "user_desc"
	s.Restart(ctx)
	before, err := s.Module.Config(ctx, key)
	s.Must(err, "read "+key)
	defer func() {
		restore := context.WithoutCancel(ctx)
		if err := s.Module.SetConfig(restore, key, before); err == nil {
			err = s.Module.Save(restore)
			s.Saw("module", "%s set back to what it was: %v", key, err == nil)
		}
	}()
	s.Must(s.Module.SetConfig(ctx, key, "hil-saved"), "set "+key)
	s.Must(s.Module.Save(ctx), "save")
	s.Must(s.Module.SetConfig(ctx, key, "hil-unsaved"), "set "+key)
	s.Restart(ctx)
	after, err := s.Module.Config(ctx, key)
	s.Must(err, "read "+key)
	if after != "hil-saved" {
		s.Fail("config_lost", "%s was saved as hil-saved and is %q after a reset", key, after)
	}
}

func clock(ctx context.Context, s *spec.Spec) {
	now := s.Now()
	s.Must(s.Module.SetTime(ctx, now), "set the clock")
	got, err := s.Module.Time(ctx)
	s.Must(err, "read the clock")
	s.Saw("module", "set to %s, reads %s", now.Format(time.RFC3339), got.Format(time.RFC3339))
	// The clock counts whole seconds; a virtual lab may run faster than the
	// host, so only going back or standing hours away is wrong.
	if early := now.Truncate(time.Second).Sub(got); early > 0 || early < -6*time.Hour {
		s.Fail("clock_wrong", "set to %s, reads %s", now.Format(time.RFC3339), got.Format(time.RFC3339))
	}
}

func unknown(ctx context.Context, s *spec.Spec) {
	_, err := s.Module.Do(ctx, "AT+S.NOSUCHTHING")
	var refused *spwf.CommandError
	if !errors.As(err, &refused) {
		s.Must(err, "send an unknown command")
		s.Fail("unknown_accepted", "the module said OK to AT+S.NOSUCHTHING")
	}
	s.Saw("module", "%s", refused.Text)
	s.Must(s.Module.At(ctx), "AT after a refusal")
}

func join(ctx context.Context, s *spec.Spec) {
	address := s.Online(ctx)
	s.Saw("module", "address %s", address)
	gomega.Expect(net.ParseIP(address)).NotTo(gomega.BeNil(), "WiFi Up gives an IP address, got %q", address)
}

func tcp(ctx context.Context, s *spec.Spec) {
	if s.Env.Bench.Net == nil {
		s.Skip("no_address", "the lab file names no network.endpoint_address")
	}
	s.Online(ctx)
	host := s.Env.Bench.Net.Address()
	echo, err := startEcho(host)
	s.Must(err, "start an echo server on "+host)
	defer echo.close()
	payload := make([]byte, 1000)
	rand.Read(payload)
	socket, err := s.Module.Open(ctx, host, echo.port(), spwf.TCP)
	s.Must(err, "open a TCP socket")
	_, err = socket.Write(ctx, payload)
	s.Must(err, "write 1000 bytes")
	back := make([]byte, len(payload))
	_, err = socket.ReadFull(ctx, back)
	s.Must(err, "read 1000 bytes")
	s.Must(socket.Close(ctx), "close the socket")
	if !bytes.Equal(payload, back) {
		s.Fail("bytes_changed", "what came back differs from what was sent")
	}
	s.Saw("endpoint", "echoed %d bytes to %s", len(payload), echo.peer())
}

// echo is a TCP server that sends back what it gets.
type echo struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu    sync.Mutex
	from  string
	conns []net.Conn
}

func startEcho(host string) (*echo, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	e := &echo{listener: listener}
	e.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			e.mu.Lock()
			e.from = conn.RemoteAddr().String()
			e.conns = append(e.conns, conn)
			e.mu.Unlock()
			e.serving.Go(func() {
				// The module closes first; an error is its end too.
				_, _ = io.Copy(conn, conn)
				conn.Close()
			})
		}
	})
	return e, nil
}

func (e *echo) port() int { return e.listener.Addr().(*net.TCPAddr).Port }

func (e *echo) peer() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.from
}

func (e *echo) close() {
	e.listener.Close()
	e.mu.Lock()
	for _, conn := range e.conns {
		conn.Close()
	}
	e.mu.Unlock()
	e.serving.Wait()
}
