package spwf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Security is how a network is protected (wifi_priv_mode).
type Security int

const (
	// OpenNetwork has no key.
	OpenNetwork Security = 0
	// WPA is WPA or WPA2 with a pass phrase.
	WPA Security = 2
)

// JoinError is a network that was not joined in time.
type JoinError struct {
	Board string
	SSID  string
	// Seen are the indications of the attempt, oldest first.
	Seen []Indication
	Err  error
}

// Error names the network and the last indications.
func (e *JoinError) Error() string {
	s := where(e.Board, "join "+strconv.Quote(e.SSID))
	last := e.Seen[max(0, len(e.Seen)-6):]
	if len(last) == 0 {
		return s + e.Err.Error()
	}
	texts := make([]string, len(last))
	for n, i := range last {
		texts[n] = i.String()
	}
	return s + e.Err.Error() + "; the module said " + strings.Join(texts, ", ")
}

// Unwrap gives what ended the wait.
func (e *JoinError) Unwrap() error { return e.Err }

// Join configures a network, saves, restarts the module and waits until it
// has an address (WIND 24). psk is empty for an open network; it shows in no
// error.
func (m *Module) Join(ctx context.Context, ssid, psk string, mode Security) (netip.Addr, error) {
	if len(ssid) == 0 || len(ssid) > 32 {
		return netip.Addr{}, fmt.Errorf("spwf: an SSID has 1 to 32 bytes, this one %d: %w", len(ssid), ErrArgument)
	}
	if _, err := m.Do(ctx, "AT+S.SSIDTXT="+ssid); err != nil {
		return netip.Addr{}, err
	}
	settings := []Value{{"wifi_priv_mode", strconv.Itoa(int(mode))}}
	if mode == WPA {
		settings = append(settings, Value{"wifi_wpa_psk_text", psk})
	}
	settings = append(settings, Value{"wifi_mode", "1"})
	for _, v := range settings {
		if err := m.SetConfig(ctx, v.Key, v.Value); err != nil {
			return netip.Addr{}, err
		}
	}
	if err := m.Save(ctx); err != nil {
		return netip.Addr{}, err
	}
	if _, err := m.Restart(ctx); err != nil {
		return netip.Addr{}, err
	}
	return m.WaitUp(ctx, ssid)
}

// WaitUp waits for the address of a module that joins ssid by itself
// (WIND 24). ssid is named in the JoinError only.
func (m *Module) WaitUp(ctx context.Context, ssid string) (netip.Addr, error) {
	var seen []Indication
	q := &request{shown: "wait for the network (+WIND:24)", limit: "join", within: m.opt.Limits.Join}
	for {
		i, err := m.wait(ctx, q, true, []int{WindUp})
		if err != nil {
			m.mu.Lock()
			seen = append(seen, m.kept...)
			m.mu.Unlock()
			var silent *TimeoutError
			if errors.As(err, &silent) {
				err = &JoinError{Board: m.opt.Board, SSID: ssid, Seen: seen, Err: err}
			}
			return netip.Addr{}, err
		}
		_, text, _ := strings.Cut(i.Text, ":")
		if addr, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil && addr.Is4() {
			return addr, nil
		}
		seen = append(seen, i) // a second address family; the IPv4 one follows
	}
}

// Radio switches the radio on or off (WIFI=0|1).
func (m *Module) Radio(ctx context.Context, on bool) error {
	command := "AT+S.WIFI=0"
	if on {
		command = "AT+S.WIFI=1"
	}
	_, err := m.Do(ctx, command)
	return err
}

// Network is one line of a scan.
type Network struct {
	BSSID   string
	Channel int
	RSSI    int // dBm
	SSID    string
	// Caps are the capability bits of the beacon, Flags the words after them
	// such as "WPA2" and "WPS".
	Caps  uint16
	Flags []string
}

// The lines are "1:<HT>BSS 00:80:E1:00:00:01 CHAN: 06 RSSI: -52 SSID: 'x'
// CAPS: 0431 WPA2 WPS"; the SSID may hold anything.
var scanForm = regexp.MustCompile(`(?s)(?:^|\r?\n)\s*\d+:\s*BSS ([0-9A-Fa-f:]{17}) CHAN: *(\d+) RSSI: *(-?\d+) SSID: '(.*?)' CAPS: ([0-9A-Fa-f]{4})([ -~]*)`)

// Scan lists the networks in reach (SCAN). Names are as sent by the access
// points: hostile text.
func (m *Module) Scan(ctx context.Context) ([]Network, error) {
	f, err := m.content(ctx, &request{command: "AT+S.SCAN", limit: "scan", within: m.opt.Limits.Scan}, false)
	if err != nil {
		return nil, err
	}
	return parseScan(f.body), nil
}

func parseScan(p []byte) []Network {
	var all []Network
	for _, g := range scanForm.FindAllSubmatch(p, -1) {
		n := Network{BSSID: strings.ToLower(string(g[1])), SSID: string(g[4]), Flags: strings.Fields(string(g[6]))}
		n.Channel, _ = strconv.Atoi(string(g[2]))
		n.RSSI, _ = strconv.Atoi(string(g[3]))
		caps, _ := strconv.ParseUint(string(g[5]), 16, 16)
		n.Caps = uint16(caps)
		all = append(all, n)
	}
	return all
}

// content sends a command whose reply is free content.
func (m *Module) content(ctx context.Context, q *request, trailer bool) (*contentFrame, error) {
	if err := m.lock(ctx); err != nil {
		return nil, fmt.Errorf("%s%w", where(m.opt.Board, q.name()), err)
	}
	defer m.unlock()
	if err := m.start(ctx, q); err != nil {
		return nil, err
	}
	f := &contentFrame{command: q.command, onWind: m.keep, trailer: trailer, silence: m.opt.Silence}
	if err := m.run(ctx, f, q); err != nil {
		return nil, err
	}
	return f, m.judge(&f.verdict, f.got.buf, q)
}

// Peers gives the variables of the joined or associated stations (PEERS).
func (m *Module) Peers(ctx context.Context) (Values, error) { return m.values(ctx, "AT+S.PEERS") }

// Peer gives one variable of one station, such as rx_rssi of station 0.
func (m *Module) Peer(ctx context.Context, n int, key string) (string, error) {
	if err := checkField("the variable's name", key); err != nil {
		return "", err
	}
	return m.value(ctx, fmt.Sprintf("AT+S.PEERS=%d,%s", n, key), fmt.Sprintf("%d.%s", n, key))
}

// Ping sends one echo request (PING) and gives the module's lines about the
// answer, whose form no public document shows.
func (m *Module) Ping(ctx context.Context, host string) ([]string, error) {
	if err := checkField("the host", host); err != nil {
		return nil, err
	}
	r, err := m.Do(ctx, "AT+S.PING="+host)
	return r.Lines, err
}
