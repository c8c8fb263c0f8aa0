package spwf

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Numbers of the indications that the driver acts on (UM1695, asynchronous
// indications).
const (
	WindConsole     = 0  // the console takes commands
	WindPoweron     = 1  // the banner, with the firmware's build
	WindReset       = 2  // the module resets itself
	WindUpdate      = 17 // firmware update in progress or complete
	WindJoinFailed  = 20
	WindScanFailed  = 23
	WindUp          = 24 // joined, with the IP address
	WindHardware    = 32 // the radio has started
	WindNetworkLost = 33
	WindPending     = 55 // data waits on a socket
	WindClosed      = 58 // the peer closed a socket
	WindCommandMode = 59
	WindDataMode    = 60
	WindClientIn    = 61 // a client connected to the socket server
	WindClientGone  = 62
	WindFactory     = 65 // factory reset by GPIO0
	WindUpdated     = 73 // configuration updated by a new firmware
)

// Indication is one asynchronous message of the module.
type Indication struct {
	ID int
	// Text is what follows the number, as printed.
	Text string
}

// String gives the indication as the module prints it, with control bytes
// made visible.
func (i Indication) String() string {
	return "+WIND:" + strconv.Itoa(i.ID) + ":" + printable(i.Text)
}

// Fault is true for the indications after which the module is not to be
// trusted until it was reset: heap, hardware, watchdog, hard fault, stack,
// memory and radio exception.
func (i Indication) Fault() bool {
	switch i.ID {
	case 4, 5, 6, 8, 9, 10, 31:
		return true
	}
	return false
}

// Restart is true for the indications that a module prints when it starts.
func (i Indication) Restart() bool { return i.ID == WindPoweron || i.ID == WindReset }

// maxSocketID bounds the ids that are believed: they print as two digits.
const maxSocketID = 99

// socket reads the socket id of indications 55 and 58. The byte count of 55
// may be stale and is not used.
func (i Indication) socket() (id int, ok bool) {
	if i.ID != WindPending && i.ID != WindClosed {
		return 0, false
	}
	parts := strings.Split(i.Text, ":")
	if len(parts) < 2 {
		return 0, false
	}
	id, err := strconv.Atoi(strings.TrimSpace(parts[1]))
	return id, err == nil && id >= 0 && id <= maxSocketID
}

var windMark = []byte("+WIND:")

// parseIndication reads one line without its end. Noise of a reset (bytes
// that are not printable) may stand before the mark.
func parseIndication(line []byte) (Indication, bool) {
	at := bytes.IndexByte(line, windMark[0])
	if at < 0 || !bytes.HasPrefix(line[at:], windMark) {
		return Indication{}, false
	}
	for _, b := range line[:at] {
		if b >= ' ' && b < 0x7f {
			return Indication{}, false
		}
	}
	rest := line[at+len(windMark):]
	id, digits := 0, 0
	for digits < len(rest) && digits < 4 && rest[digits] >= '0' && rest[digits] <= '9' {
		id = id*10 + int(rest[digits]-'0')
		digits++
	}
	if digits == 0 || digits > 3 {
		return Indication{}, false
	}
	rest = rest[digits:]
	if len(rest) > 0 {
		if rest[0] != ':' {
			return Indication{}, false
		}
		rest = rest[1:]
	}
	return Indication{ID: id, Text: string(rest)}, true
}

// printable shows hostile text on a terminal or in an error: control bytes
// and invalid UTF-8 are escaped.
func printable(s string) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	q := strconv.QuoteToASCII(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// cut shortens text for an error and says how much is missing.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return fmt.Sprintf("%s... (%d bytes more)", s[:limit], len(s)-limit)
}
