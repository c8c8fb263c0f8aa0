package app

import (
	"fmt"
	"strings"
	"time"
)

// entry is one line of STS or PEERS.
type entry struct{ name, value string }

// status is STS.
func (a *App) status(g arguments) {
	entries := a.statusEntries()
	if !g.given {
		a.info("# Status & Statistics:")
		for _, e := range entries {
			a.info("#  %s = %s", e.name, e.value)
		}
		a.ok()
		return
	}
	for _, e := range entries {
		if strings.EqualFold(e.name, g.text) {
			a.info("#  %s = %s", e.name, e.value)
			a.ok()
			return
		}
	}
	a.fail(a.p.Texts.NoVariable)
}

// statusEntries are the status variables in the order of a dump.
func (a *App) statusEntries() []entry {
	r, c := &a.radio, a.config
	bssid, ip, mask, gw, dns := "00:00:00:00:00:00", "0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0"
	assoc := 0
	if r.up() {
		bssid, ip, assoc = r.bssid, r.ip, 1
		mask, gw, dns = c.get("ip_netmask"), c.get("ip_gw"), c.get("ip_dns")
		if c.number("ip_use_dhcp") == 1 {
			mask, gw, dns = "255.255.255.0", gateway(ip), gateway(ip)
		}
	}
	port, open, used := 0, 0, 0
	for _, s := range a.sockets {
		if s != nil {
			open, used = open|1<<s.id, used+1
		}
	}
	if a.server != nil {
		port = a.server.port
	}
	up := int((a.host.Now() - a.started) / time.Second)
	return []entry{
		{"version", a.p.Version() + a.p.VersionTail},
		{"reset_reason", fmt.Sprint(2 * boolNumber(!a.cold))}, // 2 after CFUN
		{"conf_flag", "5"},
		{"system_uptime", fmt.Sprint(up)},
		{"system_sleeptime", "0"},
		{"gpio_enable", fmt.Sprint(a.pinsEnabled())},
		{"captiveportal", "0"},
		{"wifi_state", fmt.Sprint(r.state)},
		{"wifi_bssid", bssid},
		{"wifi_aid", fmt.Sprint(assoc)},
		{"wifi_channelnum", a.channel()},
		{"wifi_sup_rate_mask", "0x003FFFCF"},
		{"wifi_bas_rate_mask", c.get("wifi_bas_rate_mask")},
		{"wifi_chan_activity2", "0x00000000"},
		{"wifi_max_tx_power", c.get("wifi_tx_power")},
		{"wifi_reg_country", c.get("wifi_reg_country")},
		{"wifi_dtim_period", "0"},
		{"wifi_sleeping", "0"},
		{"wifi_num_assoc", fmt.Sprint(assoc)},
		{"ip_ipaddr", ip},
		{"ip_netmask", mask},
		{"ip_gw", gw},
		{"ip_dns", dns},
		{"ip_sock_open", fmt.Sprint(open)},
		{"ip_sockd_port", fmt.Sprint(port)},
		{"free_heap", fmt.Sprint(20304 - 512*used)},
		{"min_heap", fmt.Sprint(18576 - 512*used)},
		{"current_time", fmt.Sprint(a.unix())},
	}
}

func boolNumber(b bool) int {
	if b {
		return 1
	}
	return 0
}

// channel is the access point's channel while joined.
func (a *App) channel() string {
	if a.radio.up() && a.config.number("wifi_mode") == modeStation {
		return fmt.Sprint(a.host.Net().Access().Channel)
	}
	return a.config.get("wifi_channelnum")
}

// gateway guesses the first address of a /24.
func gateway(ip string) string {
	if i := strings.LastIndexByte(ip, '.'); i > 0 {
		return ip[:i] + ".1"
	}
	return ip
}

// peers is PEERS: the access point is peer 0.
func (a *App) peers(g arguments) {
	var entries []entry
	if a.radio.up() && a.config.number("wifi_mode") == modeStation {
		ap := a.host.Net().Access()
		entries = []entry{
			{"0.link_id", "0"},
			{"0.state", "4"},
			{"0.addr", ap.BSSID},
			{"0.last_rx", "0"},
			{"0.last_tx", "0"},
			{"0.rx_drops", "0"},
			{"0.tx_drops", "0"},
			{"0.rx_pkts", "0"},
			{"0.tx_pkts", "0"},
			{"0.tx_errs", "0"},
			{"0.rate_mask", "0x003FFFCF"},
			{"0.cur_rate_idx", "3"},
			{"0.cur_rate_ok", "0"},
			{"0.cur_rate_fail", "0"},
			{"0.tx_consec_fail", "0"},
			{"0.rx_seqnum", "0x00000000"},
			{"0.rx_seqnum_mc", "0x00000000"},
			{"0.rx_rssi", fmt.Sprint(ap.RSSI)},
			{"0.rx_rateidx", "0"},
			{"0.setprot", "3"},
			{"0.listen_interval", a.config.get("wifi_listen_interval")},
			{"0.capinfo", "0x00000431"},
		}
	}
	want := ""
	if g.given {
		want = strings.Join(g.list, ".")
	}
	shown := 0
	if want == "" {
		a.info("# Size of peer table: %d", boolNumber(len(entries) > 0))
	}
	for _, e := range entries {
		if want == "" || strings.EqualFold(e.name, want) ||
			len(g.list) == 1 && strings.HasPrefix(e.name, want+".") {
			a.info("#  %s = %s", e.name, e.value)
			shown++
		}
	}
	if want != "" && shown == 0 {
		a.fail(a.p.Texts.NoVariable)
		return
	}
	a.ok()
}

// removePeer is RMPEER. A station has nobody to remove.
func (a *App) removePeer(g arguments) {
	if _, ok := g.number(0, 0, 7); !ok {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.ok()
}
