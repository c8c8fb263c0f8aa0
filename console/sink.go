package console

import (
	"fmt"

	"hil-runner/recorder"
)

// Sink takes what passes through a port. Its methods are called in the order
// of the bytes and never two at a time for the same direction; an error of one
// ends the port, because what cannot be recorded must not happen.
type Sink interface {
	// Received takes bytes of the board; p is valid during the call.
	Received(p []byte) error
	// Sending takes bytes for the board, before they are written.
	Sending(p []byte) error
	// Waiting says whether somebody waits for bytes of this board. While it is
	// false the port may gather bytes for some milliseconds.
	Waiting() bool
}

// secretSink is a Sink that can mark bytes as secret.
type secretSink interface{ SendingSecret(p []byte) error }

// unsentSink is a Sink that wants to know what was not sent after all.
type unsentSink interface{ Unsent(n int) error }

// hurrySink is a Sink that tells when somebody begins to wait.
type hurrySink interface{ OnWait(f func()) (off func()) }

// Record returns the sink that records a port in a journal.
func Record(j *recorder.Journal) Sink { return journalSink{j} }

type journalSink struct{ j *recorder.Journal }

func (s journalSink) Received(p []byte) error {
	_, err := s.j.Append(recorder.KindRx, p, false)
	return err
}

func (s journalSink) Sending(p []byte) error {
	_, err := s.j.Append(recorder.KindTx, p, false)
	return err
}

func (s journalSink) SendingSecret(p []byte) error {
	_, err := s.j.Append(recorder.KindTx, p, true)
	return err
}

func (s journalSink) Unsent(n int) error {
	_, err := s.j.Append(recorder.KindNote, fmt.Appendf(nil, "the last %d bytes of the record before were not sent", n), false)
	return err
}

func (s journalSink) Waiting() bool { return s.j.Waiting() }

func (s journalSink) OnWait(f func()) (off func()) { return s.j.OnWait(f) }
