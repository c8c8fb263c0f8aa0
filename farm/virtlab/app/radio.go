package app

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// States of the radio as wifi_state shows them.
const (
	stateOff       = 0
	stateUserOff   = 2
	stateIdle      = 3
	stateScanning  = 4
	stateJoining   = 5
	stateHandshake = 9
	stateUp        = 10
)

// Values of wifi_mode.
const (
	modeIdle    = 0
	modeStation = 1
	modeAP      = 3
)

// rescanPause keeps a lab without delays from scanning without end.
const rescanPause = 200 * time.Millisecond

// radio is the state of Wi-Fi.
type radio struct {
	hardware bool // WIND 32 was printed
	off      bool // by WIFI=0 or an exception
	state    int
	try      int // counts attempts: what belongs to an older one stops
	ip       string
	bssid    string
}

// up says whether the module has an address.
func (r *radio) up() bool { return r.state == stateUp }

// radioOn starts the radio after the console.
func (a *App) radioOn() {
	if a.p.Boot.MiniAPStrap && !a.host.GPIO(7) {
		a.wind(windMiniAP, "HW in miniAP mode (GPIO7 Low)")
		a.config.values["wifi_mode"] = fmt.Sprint(modeAP)
	}
	wait := a.p.Timing.Radio
	if a.p.Boot.KeyAfterConsole {
		wait += a.crunch()
	}
	a.after(wait, func() {
		a.radio.hardware = true
		a.radio.state = stateIdle
		a.wind(windHardware, "WiFi Hardware Started")
		a.connect()
	})
}

// crunch tells that a WPA key is being made from a text (WIND 46), if it is,
// and gives the time that it takes.
func (a *App) crunch() time.Duration {
	if !a.keyedByText() {
		return 0
	}
	a.wind(windCrunching, "WPA: Crunching PSK...")
	return a.p.Timing.Crunch
}

// keyedByText says whether a WPA key must be made from a text.
func (a *App) keyedByText() bool {
	return a.config.number("wifi_priv_mode") == 2 && a.config.get("wifi_wpa_psk_text") != "" &&
		a.config.number("wifi_mode") != modeIdle
}

// connect does what wifi_mode says.
func (a *App) connect() {
	a.radio.try++
	if a.radio.off || !a.radio.hardware {
		return
	}
	switch a.config.number("wifi_mode") {
	case modeStation:
		if a.config.ssid() != "" {
			a.search()
		}
	case modeAP:
		a.startAP()
	}
}

// startAP is the mini access point: an address and nobody in it.
func (a *App) startAP() {
	a.step(a.p.Timing.Join, func() {
		a.radio.bssid = a.config.get("nv_wifi_macaddr")
		a.wind(windStartedAP, fmt.Sprintf("WiFi Started AP with network %q", printable(a.config.ssid())))
		a.radio.ip = a.host.Net().Address()
		a.radio.state = stateUp
		a.wind(windUp, "WiFi Up:"+a.radio.ip)
	})
}

// step runs f after d unless the attempt has been given up by then.
func (a *App) step(d time.Duration, f func()) {
	try := a.radio.try
	a.after(d, func() {
		if a.radio.try == try {
			f()
		}
	})
}

// search looks for the configured network and joins it.
func (a *App) search() {
	a.radio.state = stateScanning
	a.wind(windScanning, "WiFi Scanning")
	a.step(a.p.Timing.Scan, func() {
		a.wind(windScanDone, "WiFi Scan Complete (0x0)")
		ap := a.host.Net().Access()
		if !ap.Up || ap.SSID != a.config.ssid() {
			a.radio.state = stateIdle
			a.again()
			return
		}
		a.join(ap)
	})
}

// again searches once more after a while.
func (a *App) again() {
	try := a.radio.try
	a.pause(rescanPause, func() {
		a.after(a.p.Timing.Rescan, func() {
			if a.radio.try == try {
				a.search()
			}
		})
	})
}

// join associates with the access point.
func (a *App) join(ap AccessPoint) {
	a.radio.state = stateJoining
	a.step(a.p.Timing.Join, func() {
		a.wind(windJoin, "WiFi Join:"+ap.BSSID)
		if !a.admitted(ap) {
			a.step(a.p.Timing.Handshake, func() {
				a.wind(windJoinFailed, "JOINFAILED: 000f")
				a.radio.state = stateIdle
				a.again()
			})
			return
		}
		a.wind(windAssociated, "WiFi Association with '"+printable(ap.SSID)+"' successful")
		a.step(a.p.Timing.Handshake, func() {
			if ap.PSK != "" {
				a.wind(windHandshake, "WPA Handshake Complete")
			}
			a.radio.state = stateHandshake
			a.step(a.p.Timing.DHCP, func() { a.joined(ap) })
		})
	})
}

// joined is WIND 24.
func (a *App) joined(ap AccessPoint) {
	a.radio.bssid = ap.BSSID
	a.radio.ip = a.host.Net().Address()
	if a.config.number("ip_use_dhcp") == 0 {
		a.radio.ip = a.config.get("ip_ipaddr")
	}
	a.radio.state = stateUp
	a.wind(windUp, "WiFi Up:"+a.radio.ip)
}

// admitted says whether the module's key opens the access point.
func (a *App) admitted(ap AccessPoint) bool {
	mode := a.config.number("wifi_priv_mode")
	if ap.PSK == "" || mode != 2 {
		return ap.PSK == "" && mode != 1
	}
	if text := a.config.get("wifi_wpa_psk_text"); text != "" {
		return text == ap.PSK
	}
	key, err := pbkdf2.Key(sha1.New, ap.PSK, []byte(ap.SSID), 4096, 32)
	raw := strings.ReplaceAll(a.config.get("wifi_wpa_psk_raw"), ":", "")
	return err == nil && strings.EqualFold(raw, hex.EncodeToString(key))
}

// AccessChanged tells the firmware that the access point has gone or come
// back. It is for the host, on the loop.
func (a *App) AccessChanged() {
	r := &a.radio
	if !r.up() || a.config.number("wifi_mode") != modeStation {
		return
	}
	if ap := a.host.Net().Access(); ap.Up && ap.SSID == a.config.ssid() {
		return
	}
	a.disconnect()
	a.wind(windBSSLost, "WiFi BSS Lost")
	a.wind(windNetworkLost, "WiFi Network Lost")
	a.again()
}

// disconnect takes the radio from the network; sockets lose their peers.
func (a *App) disconnect() {
	a.radio.try++
	a.radio.state, a.radio.ip, a.radio.bssid = stateIdle, "", ""
	for _, s := range a.sockets {
		if s != nil {
			s.drop()
		}
	}
}

// wifi is WIFI=0 and WIFI=1.
func (a *App) wifi(g arguments) {
	n, ok := g.number(0, 0, 1)
	switch {
	case !ok:
		a.fail(a.p.Texts.Invalid)
	case n == 0:
		a.disconnect()
		a.radio.off, a.radio.state = true, stateUserOff
		a.wind(windPoweredDown, "WiFi: Powered Down")
		a.ok()
	default:
		if a.radio.off {
			a.radio.off, a.radio.state = false, stateIdle
			a.wind(windHardware, "WiFi Hardware Started")
			a.connect()
		}
		a.ok()
	}
}

// roam is ROAM: leave and join again.
func (a *App) roam(arguments) {
	if a.radio.off {
		a.fail(a.p.Texts.RadioOff)
		return
	}
	a.disconnect()
	a.connect()
	a.ok()
}

// scan is SCAN: one line per network and no empty line before the first.
func (a *App) scan(g arguments) {
	r := &a.radio
	switch {
	case g.given && !oneOf(g.at(0), "a", "p", "") || !oneOf(g.at(1), "s", "m", ""):
		a.fail(a.p.Texts.Invalid)
	case r.off:
		a.fail(a.p.Texts.RadioOff)
	case a.config.number("wifi_mode") == modeAP:
		a.fail(a.p.Texts.ScanFailed)
	case r.state == stateScanning:
		a.fail(a.p.Texts.ScanBusy)
	default:
		a.after(a.p.Timing.Scan, func() {
			if ap := a.host.Net().Access(); ap.Up {
				a.print([]byte(scanLine(1, ap)))
			}
			a.ok()
		})
	}
}

// scanLine is one network in a scan.
func scanLine(n int, ap AccessPoint) string {
	caps, security := "0431", "WPA2 WPS "
	if ap.PSK == "" {
		caps, security = "0401", ""
	}
	return fmt.Sprintf("%d:\tBSS %s CHAN: %02d RSSI: %d SSID: '%s' CAPS: %s %s\r\n",
		n, ap.BSSID, ap.Channel, ap.RSSI, printable(ap.SSID), caps, security)
}

// printable keeps a foreign name from breaking a line: what is not printable
// ASCII becomes a dot.
func printable(s string) string {
	out := []byte(s)
	for i, b := range out {
		if b < ' ' || b > '~' {
			out[i] = '.'
		}
	}
	return string(out)
}

func oneOf(s string, choices ...string) bool {
	for _, c := range choices {
		if strings.EqualFold(s, c) {
			return true
		}
	}
	return false
}

// ping is PING: it answers when the name is known and the network is up.
func (a *App) ping(g arguments) {
	if !a.ready() {
		return
	}
	a.after(a.p.Timing.Resolve, func() {
		a.work(func(ctx context.Context) func() {
			ip, err := a.resolve(ctx, g.at(0))
			return func() {
				if err != nil {
					a.fail(a.p.Texts.Resolve)
					return
				}
				a.info(a.p.Texts.Ping, ip)
				a.ok()
			}
		})
	})
}

// ready refuses a command that needs an address.
func (a *App) ready() bool {
	switch {
	case a.radio.off:
		a.fail(a.p.Texts.RadioOff)
	case !a.radio.up():
		a.fail(a.p.Texts.NoIP)
	default:
		return true
	}
	return false
}
