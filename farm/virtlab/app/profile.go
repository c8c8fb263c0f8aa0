package app

import (
	"encoding/json"
	"fmt"
	"time"
)

// Profile is what makes one release of the firmware differ from another, and
// what the public documents leave open. It is plain data: a virtual image
// carries it as JSON. Start from DefaultProfile or ParseProfile and change
// fields; a field whose fact is not documented says "unverified".
type Profile struct {
	// Release is the catalogue's label, such as "3.5.3". The module never
	// prints it.
	Release string
	// Build is what the module reports, without its suffix:
	// "170111-665d284".
	Build string
	// BuildSuffix follows the build in WIND 1 and STS=version: "-SPWF01S",
	// older releases "-RELEASE", the first ones "-stm_demo".
	BuildSuffix string

	// VersionTail follows the version in STS: builds up to 141106 print a
	// blank there.
	VersionTail string

	// Manufacturer is nv_manuf: "ST", on SA11 modules "STM".
	Manufacturer string
	// Model is nv_model: "SPWF01SA1".
	Model string
	// UpdateModel is the name that FWUPDATE compares with the one in the
	// image's header.
	UpdateModel string
	// Copyright follows "<manufacturer> <model> IWM: " in WIND 13.
	Copyright string
	// Serial is nv_serial.
	Serial string

	// ExternalFlash says whether the module is an .11 with external flash.
	// The .21 has neither FWUPDATE nor HTTPDFSUPDATE.
	ExternalFlash bool

	// Console holds what concerns the UART and the command parser.
	Console Console
	// Boot holds what concerns the way from reset to WIND 32.
	Boot Boot
	// Factory overrides factory values of configuration variables, by name.
	Factory map[string]string
	// TLS is the firmware's TLS client.
	TLS TLS
	// Sockets holds limits and habits of the socket commands.
	Sockets Sockets
	// HTTP holds habits of the HTTP client and of the updates it feeds.
	HTTP HTTP
	// Texts are the words after "ERROR: " and in answers.
	Texts Texts
	// Bugs are the known faults of the release.
	Bugs Bugs
	// Timing holds delays in module time; the lab's speed scales them.
	Timing Timing
	// Limits holds deadlines of network operations in real time.
	Limits Limits
}

// Console holds the knobs of the UART and the command parser.
type Console struct {
	// EchoFactory is the factory value of localecho1 (unverified; dumps of
	// nearly untouched modules show 0).
	EchoFactory bool
	// EchoPayload says whether payload bytes are echoed too (unverified).
	EchoPayload bool
	// MaxLine is the longest command in bytes (unverified: 127 in an early
	// manual, 512 on the next model).
	MaxLine int
	// Input is how many bytes the module keeps while it is busy with a
	// command; more are lost (unverified).
	Input int
	// NumberedErrors says whether console1_errs and console1_delimiter exist
	// (builds from 160129).
	NumberedErrors bool
	// NumberedFormat prints a numbered error from number and text
	// (unverified).
	NumberedFormat string
	// NoFlowControl says that nobody drives the module's CTS: with
	// console1_hwfc saved as 1 it transmits nothing and looks dead.
	NoFlowControl bool
	// EscapeGap is the silence around the escape sequence that makes it "one
	// packet" in data mode (unverified).
	EscapeGap time.Duration
	// HighestIndication is the highest WIND that this release knows; higher
	// ones are not printed. 73 came with 3.x, 74-78 with 3.5.
	HighestIndication int
	// DataModeIndications says whether indications are printed in data mode
	// at once; otherwise they wait, but for 62 (unverified).
	DataModeIndications bool
}

// Boot holds the knobs of the start.
type Boot struct {
	// Noise is what the UART shows at the start of a reset that was not a
	// loss of power: FF 00 was seen.
	Noise []byte
	// ResetText follows "+WIND:2:"; the first releases printed "RESET".
	ResetText string
	// ShowStart says whether 3 and 0 are printed.
	ShowStart bool
	// KeyAfterConsole says whether a WPA key is made (WIND 46) after WIND 0,
	// as on the first releases; from 3.3 on the console waits for it.
	KeyAfterConsole bool
	// MiniAPStrap says whether GPIO7 low at the start makes a mini access
	// point (WIND 39). It must be off where the host does not pull GPIO7 up.
	MiniAPStrap bool
	// FactoryClearsTLS says whether the factory reset by GPIO0 also erases
	// the TLS slots (unverified).
	FactoryClearsTLS bool
	// UpdateStart and UpdateDone are the texts of WIND 17 around the writing
	// of a staged image. Only the first letter P of the former is known.
	UpdateStart, UpdateDone string
}

// Verification of names in a server's certificate.
const (
	// NamesSAN looks at subject alternative names only.
	NamesSAN = "san"
	// NamesCN looks at the common name only.
	NamesCN = "cn"
	// NamesEither takes the alternative names, or the common name of a
	// certificate that has none.
	NamesEither = "either"
)

// TLS is the firmware's TLS client. AN4683's table of suites is not public
// text: the defaults are an assumption.
type TLS struct {
	// MinVersion and MaxVersion are TLS versions as on the wire: 0x0301 to
	// 0x0303.
	MinVersion, MaxVersion uint16
	// CipherSuites are offered in Go's order of preference.
	CipherSuites []uint16
	// SNI says whether the client sends server_name.
	SNI bool
	// Slots says that the release has TLSCERT, TLSCERT2 and TLSDOMAIN
	// (AN4683, 3.4 and later); older ones have only PEMDATA.
	Slots bool
	// SlotLimit is the size of one slot in bytes (unverified).
	SlotLimit int
	// DomainLimit is the length of f_domain in bytes (unverified).
	DomainLimit int
	// DomainByCert says whether TLSCERT=f_domain,<len> is taken as well
	// (unverified; ST's forum reply says so, ST's code does otherwise).
	DomainByCert bool
	// MaxRSABits is the longest RSA key of a CA or a server (unverified); 0
	// is no limit.
	MaxRSABits int
	// Names is how the server's name is checked: NamesSAN, NamesCN or
	// NamesEither (unverified).
	Names string
	// Wildcards says whether *.example.org matches (unverified).
	Wildcards bool
	// ChecksUsage says whether the extended key usage is looked at
	// (unverified).
	ChecksUsage bool
	// ChecksKeyPair says whether a key that does not belong to the
	// certificate is found out before the handshake (unverified).
	ChecksKeyPair bool
	// MaxSockets is how many TLS sockets may be open at once (unverified:
	// 20 KB of heap).
	MaxSockets int
	// ContentFormat is a line of TLSCERT=f_content: slot name, bytes used
	// (unverified).
	ContentFormat string
}

// Sockets holds limits and habits of sockets.
type Sockets struct {
	// Max is the number of sockets; ids run from 0.
	Max int
	// Buffer is how many received bytes one socket holds.
	Buffer int
	// WriteLimit refuses a longer SOCKW; 0 is no limit (unverified: 730 is
	// safe, 4096 is used).
	WriteLimit int
	// CumulativePending says that WIND 55 counts what is buffered, as seen;
	// otherwise it counts the new bytes.
	CumulativePending bool
	// FailedWriteEats says whether a SOCKW that cannot succeed still takes its
	// payload off the line before it answers (unverified).
	FailedWriteEats bool
	// QueryBreak prints CR LF before SOCKQ's DATALEN. A log of build 141106
	// has it and one client needs it; most take the line with or without.
	QueryBreak bool
	// Clients is how many clients the socket server takes.
	Clients int
	// AutoData enters data mode when a client comes (seen with some hosts).
	AutoData bool
}

// HTTP holds habits of the HTTP client.
type HTTP struct {
	// Trailer says whether 3.x's CR LF, three 1A and CR LF follow a response.
	Trailer bool
	// UserAgent is sent with a request (unverified).
	UserAgent string
	// MaxResponse is how many bytes of a response are printed.
	MaxResponse int
	// StageSize is the room for an image in external flash (unverified:
	// 1 MB).
	StageSize int
}

// Texts are the module's words. The ones marked borrowed come from the next
// model's table of errors because this model's are not public.
type Texts struct {
	// Seen on this model.
	CALoad, PendingData, IllegalID, TooManySockets, SocketError   string
	NotEnoughData, NoDataMode, NoCommandMode, Resolve, HTTPHost   string
	Starting, UpdateConnect, FileNotFound, ServerUp, ServerNotRun string
	// Unknown is the answer to a command, NoKey that to a configuration
	// variable which does not exist: seen on 3.3.
	Unknown, NoKey string
	// InvalidImage takes the image's first word, ModelMismatch the two
	// model names.
	InvalidImage, ModelMismatch string
	// TLSConnect is the answer to every failed handshake or refused
	// certificate (unverified).
	TLSConnect string
	// Borrowed.
	CertLoad, KeyLoad, KeyPair, Missing, TooMany, Invalid       string
	NoVariable, LowMemory, ScanBusy, ScanFailed, RadioOff, NoIP string
	OpenSocket, WriteFailed, RequestFailed, FileExists, NoFlash string
	// Ping prints the address; drivers take it from column 14.
	Ping string
	// SSID prints the name for SSIDTXT without an argument.
	SSID string
	// Time prints seconds for SETTIME without an argument (unverified).
	Time string
}

// Bugs are known faults.
type Bugs struct {
	// NoPending loses every WIND 55 although ind was asked for.
	NoPending bool
	// LatePending delays WIND 55.
	LatePending time.Duration
	// NoDates connects without a look at the certificate's dates.
	NoDates bool
	// NoNames connects whatever the certificate's name.
	NoNames bool
	// NoChain connects whatever the certificate's issuer.
	NoChain bool
	// SilentReset leaves out WIND 2.
	SilentReset bool
	// WriteStall never ends a SOCKW of more than this many bytes; 0 is none.
	WriteStall int
	// UpdateCorrupts damages one byte of a staged image.
	UpdateCorrupts bool
}

// Timing holds delays in module time.
type Timing struct {
	// PowerOn is from reset to WIND 1, Console from there to WIND 0, Radio
	// from there to WIND 32.
	PowerOn, Console, Radio time.Duration
	// Crunch is the time for a WPA key (WIND 46).
	Crunch time.Duration
	// Scan, Join, Handshake and DHCP are the steps to WIND 24; Rescan the
	// pause after a network was not found.
	Scan, Join, Handshake, DHCP, Rescan time.Duration
	// Connect is added to SOCKON, TLS to a TLS handshake.
	Connect, TLS time.Duration
	// Factory is AT&F, Save is AT&W.
	Factory, Save time.Duration
	// SlotWrite is one write to a flash slot, Resolve a look-up.
	SlotWrite, Resolve time.Duration
	// UpdateBlock is the writing of 4096 bytes to external flash.
	UpdateBlock time.Duration
	// Programming is the writing of a staged image at the next start.
	Programming time.Duration
}

// Limits holds deadlines in real time: a network does not run at the lab's
// speed.
type Limits struct {
	// Resolve, Connect, Handshake and Write end an operation without
	// success.
	Resolve, Connect, Handshake, Write time.Duration
}

// ParseProfile reads a profile from JSON; what it leaves out is as in
// DefaultProfile.
func ParseProfile(data []byte) (Profile, error) {
	p := DefaultProfile()
	if err := json.Unmarshal(data, &p); err != nil {
		return Profile{}, fmt.Errorf("behaviour profile: %w", err)
	}
	return p, nil
}

// Version is the build with its suffix, as the module reports it.
func (p Profile) Version() string { return p.Build + p.BuildSuffix }
