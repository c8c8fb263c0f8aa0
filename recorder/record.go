// Package recorder keeps the journal of a bench: the one ordered record of
// bytes both ways, line changes, flashing, leases, specs and endpoint events.
// Every reader is a cursor on it and the offset is the resume token.
package recorder

import "time"

// Offset is a place in a journal: the count of journal bytes before a record,
// over all segments. It only grows, also over restarts of the owner.
type Offset int64

// Kind says what a record holds.
type Kind uint8

const (
	// KindRx holds bytes that came from the board, as read.
	KindRx Kind = 1 + iota
	// KindTx holds bytes for the board, recorded before the write.
	KindTx
	// KindReset, KindPower and KindBoot hold line changes as JSON. KindBoot has
	// the field rom: true when the next reset starts the boot ROM.
	KindReset
	KindPower
	KindBoot
	// KindFlash holds a flashing step as JSON.
	KindFlash
	// KindLease holds a change of the holder as JSON.
	KindLease
	// KindSpec holds an event of a suite as JSON.
	KindSpec
	// KindEndpoint holds what a TLS peer saw as JSON.
	KindEndpoint
	// KindControl holds a control call and its reply as JSON.
	KindControl
	// KindWatch holds what the watch saw in the bytes as JSON.
	KindWatch
	// KindNote holds text for a person.
	KindNote
	// KindSeal holds the running hash of all bytes of the segment before it.
	KindSeal
)

// Record is one entry of a journal.
type Record struct {
	Offset Offset
	Kind   Kind
	// Secret marks a payload that holds credentials: it stays in the raw
	// journal and is redacted, with its byte count kept, in all that is
	// rendered from it.
	Secret bool
	// Wall is the host's clock, Mono the time since the journal was opened
	// by the process that wrote the record.
	Wall time.Time
	Mono time.Duration
	Data []byte
}
