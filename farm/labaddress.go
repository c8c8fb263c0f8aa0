package farm

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const sockPrefix = "sock:"

// maxSockPath is what fits into a unix socket's address (sockaddr_un is 108
// bytes with the closing zero).
const maxSockPath = 107

// cutSock takes sock:PATH#role apart; role is empty without a #.
func cutSock(address string) (path, role string, ok bool) {
	rest, ok := strings.CutPrefix(address, sockPrefix)
	if !ok {
		return "", "", false
	}
	path, role, _ = strings.Cut(rest, "#")
	return path, role, true
}

// checkPort says what is wrong with a board's port, "" when nothing is.
func checkPort(port string) (text, hint string) {
	const served = "served are device paths, such as /dev/serial/by-id/... (by serial number), /dev/serial/by-path/... (by socket) or /dev/ttyUSB0"
	for _, later := range []string{"usb:serial=", "usb:path=", "rfc2217://", "tcp://"} {
		if strings.HasPrefix(port, later) {
			return fmt.Sprintf("ports of the form %s are not served yet", later+"..."), served
		}
	}
	switch {
	case port == "":
		return "has no value", served
	case !printable(port) || len(port) > 4096:
		return quote(port) + " is no path", served
	case !filepath.IsAbs(port):
		if !strings.ContainsAny(port, ":/") {
			return quote(port) + " is no absolute path", "write /dev/" + port
		}
		return quote(port) + " is no absolute path", served
	}
	return "", ""
}

// checkLine says what is wrong with a line's address, "" when nothing is.
func checkLine(role, address string) (text, hint string) {
	const forms = "write chip-label/offset, a line's name, a pin such as GPIO17, or sock:PATH#"
	path, fragment, isSock := cutSock(address)
	switch {
	case address == "":
		return "has no address", forms + role
	case !printable(address) || len(address) > 4096:
		return quote(address) + " is no address of a line", forms + role
	case strings.Contains(address, "://"):
		return quote(address) + " is no address of a line", forms + role
	case !isSock:
		return "", ""
	case fragment == "":
		return "the socket's line is not named", "write " + sockPrefix + path + "#" + role
	case fragment != role:
		return fmt.Sprintf("the %s line is wired to the socket's line %s", role, quote(fragment)), "did you mean #" + role + "?"
	}
	return checkSockPath(path)
}

// checkNet says what is wrong with a board's net, "" when nothing is.
func checkNet(address string) (text, hint string) {
	path, role, ok := cutSock(address)
	if !ok || role != "" || strings.Contains(address, "#") {
		return quote(address) + " is no control socket", "write sock:PATH"
	}
	return checkSockPath(path)
}

func checkSockPath(path string) (text, hint string) {
	switch {
	case path == "" || !printable(path):
		return "sock: without a path", "write sock:/run/lab/vm01.sock"
	case len(path) > maxSockPath:
		return fmt.Sprintf("the socket's path has %d bytes, more than %d", len(path), maxSockPath), "use a shorter folder"
	}
	return "", ""
}

// validID accepts what may name a board, a release or a folder of theirs.
func validID(s string) bool {
	return validTag(s) && s[0] != '.' && s[0] != '-' && !strings.HasSuffix(s, ".")
}

// validTag accepts letters, digits, dot, dash, underscore.
func validTag(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || slices.Contains([]rune(".-_"), r))
	})
}

// printable accepts text that does nothing to a terminal.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
