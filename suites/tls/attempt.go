package tls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"hil-runner/endpoint"
	"hil-runner/spwf"
	"hil-runner/suites/spec"
)

// attempt is one try of the module to connect, as its witnesses saw it.
type attempt struct {
	// refusal is the module's own word: the text after ERROR, when it gave one.
	refusal string
	refused bool
	// echoed is true when a nonce went to the server and came back.
	echoed bool
	// seen is what the server wrote down; ID is 0 when it saw nothing.
	seen endpoint.Connection
	took time.Duration
}

// String is one line for the evidence.
func (a attempt) String() string {
	said := "OK"
	if a.refused {
		said = "ERROR: " + a.refusal
	}
	return fmt.Sprintf("SOCKON said %s after %v, nonce echoed: %v", said, a.took.Round(time.Millisecond), a.echoed)
}

// connected is true when both witnesses agree: the module has a connection
// and the server saw this very module on it.
func (a attempt) connected() bool {
	return !a.refused && a.echoed && a.seen.Verdict() == endpoint.VerdictConnected
}

// The limits of the oracles. A module that is alive answers AT at once; a
// server writes its log while the module still talks.
const (
	aliveWithin   = 2 * time.Second
	witnessWithin = 5 * time.Second
	// knockWithin is for a server that may have seen nothing at all: its
	// listener takes a connection before the module can know of it.
	knockWithin = 500 * time.Millisecond
)

// try lets the module connect to a server and watches it from both sides.
// address is the module's own, by which the server knows it.
func try(ctx context.Context, s *spec.Spec, who, address, host string, srv *endpoint.Server) attempt {
	var a attempt
	before := srv.LastConnection()
	nonce := endpoint.NewNonce()
	started := time.Now()
	socket, err := s.Module.Open(ctx, host, srv.Port(), spwf.TLS)
	a.took = time.Since(started)
	var refused *spwf.CommandError
	switch {
	case errors.As(err, &refused):
		a.refused, a.refusal = true, refused.Text
	case err != nil:
		s.Must(err, "open a TLS socket to "+srv.Addr())
	default:
		a.echoed = echo(ctx, s, socket, nonce)
	}
	a.seen = witness(ctx, srv, before, address)
	alive, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	s.Must(s.Module.At(alive), "AT after the attempt")
	s.Saw(who, "%s", a)
	if a.seen.ID == 0 {
		s.Saw("endpoint", "saw no connection of %s", address)
	} else {
		s.Saw("endpoint", "%s", a.seen)
		s.Must(s.Env.Note(ctx, who, a.seen), "record the endpoint's log")
	}
	return a
}

// echo sends the nonce and wants it back, and closes the socket.
func echo(ctx context.Context, s *spec.Spec, socket *spwf.Socket, nonce []byte) bool {
	back := make([]byte, len(nonce))
	_, err := socket.Write(ctx, nonce)
	if err == nil {
		_, err = socket.ReadFull(ctx, back)
	}
	if err != nil {
		s.Saw("module", "the open socket carries nothing: %v", err)
	}
	s.Must(socket.Close(ctx), "close the socket")
	return err == nil && bytes.Equal(nonce, back)
}

// witness finds the module's connection in the server's log: newer than
// before, from the module's address, and with a verdict.
func witness(ctx context.Context, srv *endpoint.Server, before int, address string) endpoint.Connection {
	ours := func(c endpoint.Connection) bool { return c.ID > before && c.Remote == address }
	knocking, cancel := context.WithTimeout(ctx, knockWithin)
	defer cancel()
	if _, err := srv.WaitConnection(knocking, ours); err != nil {
		// Not finding one is an answer too; the caller judges it.
		return endpoint.Connection{}
	}
	ctx, stop := context.WithTimeout(ctx, witnessWithin)
	defer stop()
	// A connection that stays open for so long is judged as it was last seen.
	seen, _ := srv.WaitConnection(ctx, func(c endpoint.Connection) bool {
		return ours(c) && c.Verdict() != endpoint.VerdictOpen
	})
	return seen
}

// mustConnect is a positive control: if it fails, what it brackets proves
// nothing.
func mustConnect(ctx context.Context, s *spec.Spec, which, address, host string, srv *endpoint.Server) {
	if a := try(ctx, s, which, address, host, srv); !a.connected() {
		s.Inconclusive("control_failed", fmt.Sprintf("the %s to %s did not connect: %s; %s", which, srv.Addr(), a, a.seen))
	}
}
