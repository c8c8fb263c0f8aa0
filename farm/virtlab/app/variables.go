package app

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// kind is how a configuration variable is written and checked.
type kind int

const (
	text kind = iota
	number
	hex32    // printed as 0x%08X
	hexBytes // colon separated, max bytes, zero filled
	address  // IPv4
	speed    // one of speeds
	factory  // set by the maker only
)

// variable is one configuration variable.
type variable struct {
	name    string
	factory string
	kind    kind
	min     int
	max     int // of a number; longest text; bytes of hexBytes
}

// flag is a variable that is 0 or 1.
func flag(name, value string) variable { return variable{name, value, number, 0, 1} }

// variables are the configuration variables in the order of AT&V (UM1695 and
// dumps of modules). Those after the WEP keys are in no documented order.
func variables(p Profile, mac string) []variable {
	echo := "0"
	if p.Console.EchoFactory {
		echo = "1"
	}
	vs := []variable{
		{"nv_manuf", p.Manufacturer, factory, 0, 32},
		{"nv_model", p.Model, factory, 0, 32},
		{"nv_serial", p.Serial, factory, 0, 32},
		{"nv_wifi_macaddr", strings.ToUpper(mac), factory, 0, 17},
	}
	if p.Console.NumberedErrors {
		vs = append(vs, flag("etf_mode", "0"))
	}
	vs = append(vs,
		flag("blink_led", "0"),
		variable{"wind_off_low", "0x00000000", hex32, 0, 0},
		variable{"wind_off_medium", "0x00000000", hex32, 0, 0},
		variable{"wind_off_high", "0x00000000", hex32, 0, 0},
		variable{"user_desc", "anonymous", text, 0, 32},
		variable{"escape_seq", "at+s.", text, 1, 16},
		flag("localecho1", echo),
		variable{"console1_speed", "115200", speed, 0, 0},
		flag("console1_hwfc", "0"),
		flag("console1_enabled", "1"),
	)
	if p.Console.NumberedErrors {
		vs = append(vs, variable{"console1_delimiter", "0x0000002C", hex32, 0, 0},
			flag("console1_errs", "0"))
	}
	vs = append(vs, radioVariables()...)
	vs = append(vs, addressVariables(mac)...)
	for i := range vs {
		if v, ok := p.Factory[vs[i].name]; ok {
			if v, ok = vs[i].parse(v); ok {
				vs[i].factory = v
			}
		}
	}
	return vs
}

func radioVariables() []variable {
	return []variable{
		flag("sleep_enabled", "0"),
		flag("standby_enabled", "0"),
		{"standby_time", "10", number, 1, 65535},
		{"wifi_tx_msdu_lifetime", "0", number, 0, 65535},
		{"wifi_rx_msdu_lifetime", "0", number, 0, 65535},
		{"wifi_operational_mode", "0x00000011", hex32, 0, 0},
		{"wifi_beacon_wakeup", "1", number, 1, 255},
		{"wifi_beacon_interval", "100", number, 0, 65535},
		{"wifi_listen_interval", "0", number, 0, 255},
		{"wifi_rts_threshold", "3000", number, 0, 3000},
		{"wifi_ssid", strings.Repeat("00:", 31) + "00", hexBytes, 1, 32},
		{"wifi_ssid_len", "0", number, 0, 32},
		{"wifi_channelnum", "6", number, 1, 14},
		{"wifi_opr_rate_mask", "0x00003FCF", hex32, 0, 0},
		{"wifi_bas_rate_mask", "0x0000000F", hex32, 0, 0},
		{"wifi_mode", "1", number, 0, 3},
		{"wifi_auth_type", "0", number, 0, 2},
		{"wifi_atim_window", "0", number, 0, 65535},
		{"wifi_powersave", "0", number, 0, 2},
		{"wifi_tx_power", "18", number, 0, 18},
		{"wifi_rssi_thresh", "0", number, -100, 0},
		{"wifi_rssi_hyst", "0", number, 0, 100},
		{"wifi_ap_idle_timeout", "120", number, 0, 255},
		{"wifi_beacon_loss_thresh", "10", number, 0, 100},
		{"wifi_priv_mode", "2", number, 0, 2},
		{"wifi_wep_keys[0]", zeroBytes(16), hexBytes, 1, 16},
		{"wifi_wep_keys[1]", zeroBytes(16), hexBytes, 1, 16},
		{"wifi_wep_keys[2]", zeroBytes(16), hexBytes, 1, 16},
		{"wifi_wep_keys[3]", zeroBytes(16), hexBytes, 1, 16},
		{"wifi_wep_key_lens", "00:00:00:00", hexBytes, 1, 4},
		{"wifi_wep_default_key", "0", number, 0, 3},
		{"wifi_wpa_psk_raw", zeroBytes(32), hexBytes, 1, 32},
		{"wifi_wpa_psk_text", "", text, 0, 63},
		flag("wifi_ht_mode", "0"),
		{"wifi_reg_country", "0", number, 0, 255},
	}
}

func addressVariables(mac string) []variable {
	return []variable{
		{"ip_use_dhcp", "1", number, 0, 2},
		flag("ip_use_httpd", "1"),
		{"ip_mtu", "1500", number, 68, 1500},
		{"ip_use_cgis", "0x0000000F", hex32, 0, 0},
		{"ip_use_ssis", "0x0000000F", hex32, 0, 0},
		{"ip_use_decoder", "0", number, 0, 2},
		{"ip_hostname", hostname(mac), text, 0, 32},
		{"ip_apdomainname", "captiveportal.net", text, 0, 64},
		{"ip_apredirect", "firstset.html", text, 0, 64},
		{"ip_ipaddr", "192.168.0.50", address, 0, 0},
		{"ip_netmask", "255.255.255.0", address, 0, 0},
		{"ip_gw", "192.168.0.1", address, 0, 0},
		{"ip_dns", "192.168.0.1", address, 0, 0},
		{"ip_http_get_recv_timeout", "3000", number, 0, 3600000},
		{"ip_dhcp_timeout", "20", number, 0, 255},
		{"ip_sockd_timeout", "250", number, 0, 65535},
	}
}

// hostname is made from the last three bytes of the hardware address.
func hostname(mac string) string {
	if tail := strings.Split(strings.ToUpper(mac), ":"); len(tail) == 6 {
		return "iwm-" + strings.Join(tail[3:], "-")
	}
	return "iwm"
}

func zeroBytes(n int) string { return strings.Repeat("00:", n-1) + "00" }

// speeds are the rates that console1_speed takes.
func speeds() []int {
	return []int{9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600}
}

// parse brings a value into the form in which it is kept and printed.
func (v variable) parse(s string) (string, bool) {
	switch v.kind {
	case text, factory:
		return s, len(s) >= v.min && len(s) <= v.max && printable(s) == s
	case number:
		n, err := strconv.ParseInt(s, 0, 64)
		if err != nil || n < int64(v.min) || n > int64(v.max) {
			return "", false
		}
		return strconv.FormatInt(n, 10), true
	case hex32:
		n, err := strconv.ParseUint(s, 0, 32)
		return fmt.Sprintf("0x%08X", n), err == nil
	case speed:
		n, err := strconv.Atoi(s)
		return s, err == nil && slices.Contains(speeds(), n)
	case hexBytes:
		return parseHexBytes(s, v.max)
	default:
		ip, err := netip.ParseAddr(s)
		return s, err == nil && ip.Is4()
	}
}

// parseHexBytes reads up to n bytes as "AA:BB" or "AABB" and fills up with
// zeros.
func parseHexBytes(s string, n int) (string, bool) {
	s = strings.ReplaceAll(s, ":", "")
	if len(s) == 0 || len(s)%2 != 0 || len(s) > 2*n {
		return "", false
	}
	var out strings.Builder
	for i := range n {
		b := "00"
		if 2*i < len(s) {
			b = strings.ToUpper(s[2*i : 2*i+2])
			if _, err := strconv.ParseUint(b, 16, 8); err != nil {
				return "", false
			}
		}
		if i > 0 {
			out.WriteByte(':')
		}
		out.WriteString(b)
	}
	return out.String(), true
}
