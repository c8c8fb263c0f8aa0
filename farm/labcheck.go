package farm

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
)

const (
	maxBoards = 4096
	maxLimit  = 7 * 24 * time.Hour
	maxBaud   = 4_000_000
)

// labChecker looks for what the shape of a lab file alone does not show.
type labChecker struct {
	*labDecoder
	file   *LabFile
	lookup func(string) (string, bool)
	// ids, ports and lines hold where each was first used.
	ids, ports, lines map[string]string
}

func (c *labChecker) check() {
	if c.unread[""] {
		return
	}
	c.noEnv(reflect.ValueOf(c.file).Elem(), "")
	c.text("lab", c.file.Lab, true)
	c.firmware()
	c.network()
	c.limits("limits", c.file.Limits)
	c.common("defaults", c.file.Defaults.Model, c.file.Defaults.Baud, c.file.Defaults.Idle)
	c.tags("defaults.tags", c.file.Defaults.Tags)
	switch n := len(c.file.Boards); {
	case n == 0 && !c.unread["boards"]:
		c.at("boards", "the lab has no boards", "list at least one with id and port")
	case n > maxBoards:
		c.at("boards", fmt.Sprintf("%d boards are more than %d", n, maxBoards), "")
		return
	}
	for i := range c.file.Boards {
		c.board(fmt.Sprintf("boards[%d]", i), &c.file.Boards[i])
	}
}

func (c *labChecker) board(path string, b *LabBoard) {
	_, given := c.marks[path+".id"]
	switch {
	case c.unread[path] || c.unread[path+".id"]:
	case !given:
		c.missing(path, "id")
	case !validID(b.ID):
		c.at(path+".id", quote(b.ID)+" is no name for a board", "use up to 64 letters, digits, dots, dashes and underscores")
	default:
		c.once(c.ids, b.ID, path+".id", "board "+quote(b.ID)+" is there twice")
	}
	c.common(path, b.Model, b.Baud, b.Idle)
	c.text(path+".slot", b.Slot, false)
	c.port(path, b.Port)
	for _, l := range b.Lines.byRole() {
		c.line(path+".lines."+l.Role, l)
	}
	if b.Net != "" {
		if text, hint := checkNet(b.Net); text != "" {
			c.at(path+".net", text, hint)
		}
	}
	if b.Idle == IdleOff && b.Lines.Power == nil {
		c.at(path+".idle", "the board has no power line to be off by", "add lines.power")
	}
	if b.Idle == IdleHeld && b.Lines.Reset == nil {
		c.at(path+".idle", "the board has no reset line to be held by", "add lines.reset")
	}
	c.tags(path+".tags", b.Tags)
	c.limits(path+".limits", b.Limits)
}

func (c *labChecker) port(board, port string) {
	path := board + ".port"
	if c.unread[board] || c.unread[path] {
		return
	}
	if _, given := c.marks[path]; !given {
		c.missing(board, "port")
		return
	}
	if text, hint := checkPort(port); text != "" {
		c.at(path, text, hint)
		return
	}
	c.once(c.ports, filepath.Clean(port), path, "port "+quote(port)+" is used twice")
}

func (c *labChecker) line(path string, l roleLine) {
	if text, hint := checkLine(l.Role, l.Line.Address); text != "" {
		c.at(path, text, hint)
		return
	}
	address := l.Line.Address
	if p, role, ok := cutSock(address); ok {
		address = sockPrefix + c.file.absolute(p) + "#" + role
	}
	c.once(c.lines, address, path, "line "+quote(l.Line.Address)+" is used twice")
}

// once notes the second use of what may be used once only.
func (c *labChecker) once(seen map[string]string, key, path, text string) {
	first, twice := seen[key]
	if !twice {
		seen[key] = path
		return
	}
	c.at(path, text, fmt.Sprintf("the first one is %s on line %d", first, c.marks[first].Line))
}

func (c *labChecker) firmware() {
	f := c.file.Firmware
	if f.Release != "" && !validID(f.Release) {
		c.at("firmware.release", quote(f.Release)+" is no name of a release", "write 3.5.3 or the like")
	}
	if f.Catalogue != "" && !printable(f.Catalogue) {
		c.at("firmware.catalogue", quote(f.Catalogue)+" is no path", "")
	}
	for i, key := range f.Keys {
		// A minisign public key is "Ed", eight bytes of key id and the key.
		raw, err := base64.StdEncoding.DecodeString(key)
		if err != nil || len(raw) != 42 || string(raw[:2]) != "Ed" {
			c.at(fmt.Sprintf("firmware.keys[%d]", i), "not a minisign public key", "take the second line of minisign.pub, which begins with RW")
		}
	}
}

func (c *labChecker) network() {
	n := &c.file.Network
	if len(n.SSID) > 32 {
		c.at("network.ssid", fmt.Sprintf("%d bytes are more than the 32 that a network's name may have", len(n.SSID)), "")
	}
	c.text("network.ap", n.AP, false)
	for _, a := range []struct{ key, addr string }{{"endpoint_address", n.EndpointAddress}, {"dns", n.DNS}} {
		if _, err := netip.ParseAddr(a.addr); a.addr != "" && err != nil {
			c.at("network."+a.key, quote(a.addr)+" is no IP address", "write 192.168.50.1 or the like")
		}
	}
	if _, given := c.marks["network.psk"]; !given || c.unread["network.psk"] {
		return
	}
	if err := n.PSK.resolve(c.lookup, c.file.absolute); err != nil {
		c.at("network.psk", err.Error(), "write ${env:NAME} or file:PATH")
		return
	}
	// IEEE 802.11: a passphrase has 8 to 63 characters, a raw key 64 hex digits.
	if v := n.PSK.Reveal(); v != "" && (len(v) < 8 || len(v) > 64) {
		c.at("network.psk", "the value has a length that no passphrase has", "a passphrase has 8 to 63 characters, a raw key 64 hex digits")
	}
	if n.SSID == "" {
		c.at("network.psk", "a passphrase without a network", "add network.ssid")
	}
}

func (c *labChecker) limits(path string, l LabLimits) {
	v := reflect.ValueOf(l)
	for i := range v.NumField() {
		d, _ := v.Field(i).Interface().(*time.Duration)
		if d == nil {
			continue
		}
		key := yamlName(v.Type().Field(i))
		switch at := join(path, key); {
		case *d < 0:
			c.at(at, "a time limit is never negative", "")
		case *d == 0 && key != "settle" && !c.unread[at]:
			c.at(at, "a time limit of nothing is reached at once", "leave the key out for the default")
		case *d > maxLimit:
			c.at(at, fmt.Sprintf("%s is longer than %s", *d, maxLimit), "")
		}
	}
}

func (c *labChecker) common(path, model string, baud int, idle Idle) {
	c.text(path+".model", model, false)
	if _, given := c.marks[path+".baud"]; given && (baud < 110 || baud > maxBaud) && !c.unread[path+".baud"] {
		c.at(path+".baud", fmt.Sprintf("%d is no speed of a UART", baud), "write 115200 or the like")
	}
	if idle != "" && !slices.Contains(idleStates(), string(idle)) {
		c.at(path+".idle", quote(string(idle))+" is no idle state", hintFor(string(idle), idleStates()))
	}
}

func (c *labChecker) tags(path string, tags map[string]string) {
	for _, key := range sortedKeys(tags) {
		if v := tags[key]; !printable(v) || len(v) > 256 {
			c.at(join(path, key), quote(v)+" is no value for a tag", "")
		}
	}
}

// text checks a name that is shown to people.
func (c *labChecker) text(path, s string, required bool) {
	_, given := c.marks[path]
	switch {
	case required && !given:
		c.missing("", path)
	case given && s == "" && !c.unread[path]:
		c.at(path, "has no value", "give one or leave the key out")
	case !printable(s) || len(s) > 256:
		c.at(path, quote(s)+" has characters that do not print, or too many", "")
	}
}

func (c *labChecker) missing(path, key string) {
	c.at(path, fmt.Sprintf("key %q is missing", key), "")
}

// noEnv refuses ${env:...} wherever it is not read.
func (c *labChecker) noEnv(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c.noEnv(v.Elem(), path)
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.noEnv(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			c.noEnv(v.MapIndex(key), join(path, key.String()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := yamlName(v.Type().Field(i)); name != "" && v.Type() != reflect.TypeFor[Secret]() {
				c.noEnv(v.Field(i), join(path, name))
			}
		}
	case reflect.String:
		if strings.Contains(v.String(), "${env:") {
			c.at(path, "${env:...} is not read here", "it is read in network.psk only")
		}
	}
}
