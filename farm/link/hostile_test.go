package link_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hil-runner/farm"
	"hil-runner/farm/link"
	"hil-runner/recorder"
)

func attached(version int, build string) []byte {
	body, err := json.Marshal(link.Attached{Version: version, Build: build, PID: 1})
	if err != nil {
		panic(err)
	}
	return rawFrame('h', body)
}

func hello(version int, build string) []byte {
	body, err := json.Marshal(link.Hello{Version: version, Build: build, Board: farm.Board{ID: "b1"}})
	if err != nil {
		panic(err)
	}
	return rawFrame('H', body)
}

// The owner refuses a peer that is another program, and one that says nothing.
func TestOwnerRefusesStrangers(t *testing.T) {
	for name, c := range map[string]struct {
		says []byte
		want string
	}{
		"version":   {attached(link.Version+1, build), "speaks version"},
		"build":     {attached(link.Version, "another"), `"another"`},
		"not json":  {rawFrame('h', []byte("{")), "attach frame"},
		"a write":   {rawFrame('w', id(1), []byte("\x00AT\r")), "expected an attach frame"},
		"oversize":  {[]byte{0xFF, 0xFF, 0xFF, 0xFF, 'h'}, "over the limit"},
		"cut short": {attached(link.Version, build)[:9], "cut short"},
		"mute":      {nil, "did not attach within 30s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newOwner(t)
				peer := r.serve(t)
				readFrame(t, peer)
				if c.says != nil {
					if _, err := peer.Write(c.says); err != nil {
						t.Fatal(err)
					}
					if name == "cut short" {
						peer.Close()
					}
				}
				err := <-r.served
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "b1") {
					t.Errorf("Serve gave %v", err)
				}
				if stranger := name == "version" || name == "build"; errors.Is(err, link.ErrStranger) != stranger {
					t.Errorf("ErrStranger is %v: %v", !stranger, err)
				}
				if got := r.Written(); len(got) > 0 {
					t.Errorf("the board got %q", got)
				}
			})
		})
	}
}

// The peer refuses an owner that is another program.
func TestPeerRefusesStrangers(t *testing.T) {
	for name, c := range map[string]struct {
		says []byte
		want error
	}{
		"version":   {hello(link.Version+1, build), link.ErrStranger},
		"build":     {hello(link.Version, "another"), link.ErrStranger},
		"not json":  {rawFrame('H', []byte("{")), nil},
		"no hello":  {rawFrame('R', make([]byte, 9)), nil},
		"gone":      {nil, io.EOF},
		"cut short": {hello(link.Version, build)[:7], io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			owner, peer := newPipe(64 << 10)
			if _, err := owner.Write(c.says); err != nil {
				t.Fatal(err)
			}
			if c.want == io.EOF || c.want == io.ErrUnexpectedEOF {
				owner.Close()
			}
			s, err := link.Attach(peer, build, 1)
			if s != nil || err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("Attach gave %v, %v", s, err)
			}
			if _, err := peer.Write([]byte("x")); err == nil {
				t.Error("the refused connection is still open")
			}
		})
	}
}

// What breaks the protocol ends the session with an error that names the board.
func TestMalformedFramesEndTheSession(t *testing.T) {
	many := func(kind byte, n int, body string) (all []byte) {
		for i := range n {
			all = append(all, rawFrame(kind, id(uint32(i)), []byte(body))...)
		}
		return all
	}
	for name, c := range map[string]struct {
		frames []byte
		want   string
	}{
		"unknown kind":    {rawFrame('?', id(1)), "unknown frame"},
		"no id":           {rawFrame('q', []byte{1}), "has no id"},
		"write no flags":  {rawFrame('w', id(1)), "write frame"},
		"write too long":  {rawFrame('w', id(1), make([]byte, 40<<10)), "write frame"},
		"call not json":   {rawFrame('q', id(1), []byte("[")), "call"},
		"call twice":      {append(rawFrame('q', id(1), []byte(`{"op":"reset"}`)), rawFrame('q', id(1), []byte(`{"op":"reset"}`))...), "came twice"},
		"too many calls":  {many('q', 70, `{"op":"reset"}`), "more than 64 calls"},
		"too many writes": {many('w', 70, "\x00x"), "more than 64 calls"},
		"credit unasked":  {rawFrame('c', id(1)), "credit for 1 bytes"},
		"oversize":        {[]byte{0, 4, 0, 1, 'w'}, "over the limit"},
		"a second attach": {attached(link.Version, build), "unknown frame"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newOwner(t)
				gate := &gatedUART{stubs: r.stubs, open: make(chan struct{})}
				r.share.Bench.UART = gate
				r.reset = func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }
				peer := r.serve(t)
				go func() { _, _ = io.Copy(io.Discard, peer) }()
				if _, err := peer.Write(attached(link.Version, build)); err != nil {
					t.Fatal(err)
				}
				_, _ = peer.Write(c.frames)
				synctest.Wait()
				close(gate.open)
				if err := <-r.served; err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "b1") {
					t.Errorf("Serve gave %v, want %q", err, c.want)
				}
			})
		})
	}
}

// Parts that the bench has not and calls that do not exist are errors of the
// call, not of the session.
func TestCallsOfMissingParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newOwner(t)
		r.share.Bench.Power = nil
		peer := r.serve(t)
		readFrame(t, peer)
		_, _ = peer.Write(attached(link.Version, build))
		for i, op := range []string{"power_on", "flash", "nonsense", ""} {
			body, _ := json.Marshal(map[string]string{"op": op})
			_, _ = peer.Write(rawFrame('q', id(uint32(i)), body))
			kind, got := readFrame(t, peer)
			if kind != 'A' || !bytes.Contains(got, []byte("no_such_part")) {
				t.Errorf("%q was answered with %q %s", op, kind, got)
			}
		}
	})
}

// An owner that sends more than it has credit for ends the session, not the
// peer's memory.
func TestOwnerBeyondItsCredit(t *testing.T) {
	owner, peer := newPipe(64 << 10)
	sent := make(chan error, 1)
	go func() {
		_, _ = owner.Write(hello(link.Version, build))
		var err error
		for err == nil {
			_, err = owner.Write(rawFrame('R', make([]byte, 8+32<<10)))
		}
		sent <- err
	}()
	s, err := link.Attach(peer, build, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	<-s.Lost()
	if err := s.Err(); !errors.Is(err, link.ErrOwnerGone) || !strings.Contains(err.Error(), "had credit for") {
		t.Errorf("the session ended with %v", err)
	}
	<-sent
}

// scripted is a connection whose other end has said all that it will.
type scripted struct {
	io.Reader
}

func (scripted) Write(p []byte) (int, error) { return len(p), nil }
func (scripted) Close() error                { return nil }

func FuzzOwner(f *testing.F) {
	f.Add(rawFrame('q', id(1), []byte(`{"op":"event","kind":8,"name":"x","attrs":{"a":1}}`)))
	f.Add(rawFrame('q', id(1), []byte(`{"op":"reset","hold_ns":5}`)))
	f.Add(append(rawFrame('w', id(1), []byte("\x01AT\r")), rawFrame('x', id(1))...))
	f.Add(rawFrame('c', id(4)))
	f.Add([]byte{0, 0, 0, 1, 'q'})
	f.Add([]byte{0xFF, 0xFF})
	var once sync.Once
	var r *rig
	f.Fuzz(func(t *testing.T, frames []byte) {
		once.Do(func() {
			j, err := recorder.Create(t.TempDir(), recorder.Options{Board: "b1"})
			if err != nil {
				t.Fatal(err)
			}
			_ = j.Close() // events are refused: the fuzzer's time is not for the disk
			r = &rig{stubs: &stubs{j: j}}
			r.reset = func(context.Context, time.Duration) error { return nil }
			r.name = func(string, string) error { return nil }
		})
		bench := &farm.Bench{Board: farm.Board{ID: "b1"}, UART: r.stubs, Reset: r.stubs, Net: r.stubs, Journal: r.stubs}
		share := &link.Share{Bench: bench, Journal: r.j, Build: build}
		_ = share.Serve(t.Context(), scripted{io.MultiReader(bytes.NewReader(attached(link.Version, build)), bytes.NewReader(frames))})
	})
}

func FuzzPeer(f *testing.F) {
	f.Add(rawFrame('R', make([]byte, 8), []byte("+WIND:1:Poweron\r\n")))
	f.Add(rawFrame('W', []byte(`{"code":"hard_fault","text":"pc"}`)))
	f.Add(rawFrame('A', id(1), []byte(`{"error":{"outcome":"failed","cause":{"code":"x"}}}`)))
	f.Add(rawFrame('P', id(1), []byte(`{"stage":"write","done":1,"total":2}`)))
	f.Add([]byte{0, 0, 0, 3, 'A', 1, 2, 3})
	f.Fuzz(func(t *testing.T, frames []byte) {
		s, err := link.Attach(scripted{io.MultiReader(bytes.NewReader(hello(link.Version, build)), bytes.NewReader(frames))}, build, 1)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = s.Bench.UART.SetReadDeadline(time.Now().Add(time.Second)) }()
		<-s.Lost()
		if s.Err() == nil {
			t.Error("the stream ended and the session did not")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
