package app_test

import (
	"strings"
	"testing"

	"hil-runner/farm/virtlab/app"
)

// TestAnswersOfAModule holds to the byte what a module with build 141106 was
// recorded to answer; clients written against modules read these lines by
// column and by number.
func TestAnswersOfAModule(t *testing.T) {
	p := app.DefaultProfile()
	p.VersionTail = " "
	p.Sockets.QueryBreak = true
	inBubble(t, p, func(t *testing.T, b *bench) {
		b.air.services["10.0.0.1:8775"] = echo
		joined(t, b)
		peer := strings.Join([]string{"link_id = 0", "state = 4", "addr = 02:00:00:AA:BB:CC", "last_rx = 0",
			"last_tx = 0", "rx_drops = 0", "tx_drops = 0", "rx_pkts = 0", "tx_pkts = 0", "tx_errs = 0",
			"rate_mask = 0x003FFFCF", "cur_rate_idx = 3", "cur_rate_ok = 0", "cur_rate_fail = 0",
			"tx_consec_fail = 0", "rx_seqnum = 0x00000000", "rx_seqnum_mc = 0x00000000", "rx_rssi = -52",
			"rx_rateidx = 0", "setprot = 3", "listen_interval = 0", "capinfo = 0x00000431"}, "\r\n#  0.")
		run(t, b, []step{
			{"AT+S.SCFG=ip_use_decoders,2\r", failed("Unrecognized key")},
			{"AT+S.SSIDTXT\r", "SSID = 'lab'\r\n" + ok},
			{"AT+S.STS=version\r", "#  version = 170111-665d284-SPWF01S \r\n" + ok},
			{"AT+S.STS=reset_reason\r", "#  reset_reason = 2\r\n" + ok},
			{"AT+S.PEERS\r", "# Size of peer table: 1\r\n#  0." + peer + "\r\n" + ok},
			{"AT+S.PEERS=0\r", "#  0." + peer + "\r\n" + ok},
			{"AT+S.PING=echo.test\r", "#PING: sendto 10.0.0.1\r\n" + ok},
			{"AT+S.SOCKON=echo.test,8775,tcp,ind\r", "\r\n ID: 00\r\n" + ok},
			{"AT+S.SOCKW=00,5\rhello", ok + wind("55:Pending Data:0:5")},
			{"AT+S.SOCKQ=00\r", "\r\n DATALEN: 5\r\n" + ok},
			{"AT+S.SOCKQ= 00\r", "\r\n DATALEN: 5\r\n" + ok},
			{"AT+S.SOCKR= 00, 6\r", failed("Not enough data in buffer")},
			{"AT+S.SOCKR=00,5\r", "hello" + ok},
			{"AT+S.SOCKQ=00\r", "\r\n DATALEN: 0\r\n" + ok},
			{"AT+S.SOCKC=00\r", ok},
			{"AT+S.SOCKD=65000,t\r", ok},
			{"AT+S.SOCKD=0\r", ok},
			{"AT+S.GCFG=ip_hostname\r", "#  ip_hostname = iwm-B0-00-01\r\n" + ok},
			{"AT+S.GCFG=ip_mtu\r", "#  ip_mtu = 1500\r\n" + ok},
			{"AT+S.GCFG=wifi_wep_keys[3]\r", "#  wifi_wep_keys[3] = " + strings.Repeat("00:", 15) + "00\r\n" + ok},
		})
	})
}

// TestKeyBeforeConsole has a WPA key made before WIND 0, and after it on the
// first releases.
func TestKeyBeforeConsole(t *testing.T) {
	for after, want := range map[bool]string{
		false: wind("3:Watchdog Running") + wind("46:WPA: Crunching PSK...") + wind("0:Console active") + wind("32:WiFi Hardware Started"),
		true:  wind("3:Watchdog Running") + wind("0:Console active") + wind("46:WPA: Crunching PSK...") + wind("32:WiFi Hardware Started"),
	} {
		p := app.DefaultProfile()
		p.Boot.KeyAfterConsole = after
		inBubble(t, p, func(t *testing.T, b *bench) {
			joined(t, b)
			if got := b.cmd("AT+CFUN=1\r"); !strings.Contains(got, want) {
				t.Errorf("%v: %q", after, got)
			}
		})
	}
}

// TestServerBeforeTheNetwork starts the socket server as soon as the hardware
// has started: clients do so while the module still joins.
func TestServerBeforeTheNetwork(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		run(t, b, []step{
			{"AT+S.SOCKD=32000\r\n", ok},
			{"AT+S.SOCKD=32000\r\n", failed("Socket Server already up and running")},
		})
		if _, err := b.air.visit(":32000").Read(make([]byte, 1)); err == nil {
			t.Error("a client came before the network")
		}
		b.input("AT+S.SSIDTXT=lab\rAT+S.SCFG=wifi_wpa_psk_text,secret-key\rAT+S.WIFI=0\r")
		b.settle()
		run(t, b, []step{{"AT+S.SOCKD=0\r", ok}, {"AT+S.SOCKD=32000\r", failed("Radio not running")}, {"AT+S.WIFI=1\r", ok +
			wind("32:WiFi Hardware Started") + wind("21:WiFi Scanning") + wind("35:WiFi Scan Complete (0x0)") +
			wind("19:WiFi Join:02:00:00:AA:BB:CC") + wind("25:WiFi Association with 'lab' successful") +
			wind("51:WPA Handshake Complete") + wind("24:WiFi Up:192.168.0.102")},
			{"AT+S.SOCKD=32000,t,ind\r", ok}})
		peer := b.air.visit(":32000")
		run(t, b, []step{{"", wind("61:Incoming Socket Client:192.168.0.7")}})
		peer.Close()
	})
}
