package app_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hil-runner/farm/virtlab/app"
)

func TestSettings(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		run(t, b, []step{
			{"AT+S.GCFG=nv_model\r", "#  nv_model = SPWF01SA1\r\n" + ok},
			{"AT+S.GCFG=nv_wifi_macaddr\r", "#  nv_wifi_macaddr = 00:80:E1:B0:00:01\r\n" + ok},
			{"AT+S.SCFG=nv_model,SPWF01SA11\r", failed("Invalid argument(s)")},
			{"AT+S.NVW=1\r", failed("Invalid argument(s)")},
			{"AT+S.NVW=8675309\r", ok},
			{"AT+S.SCFG=nv_model,SPWF01SA11\r", ok},
			{"AT+S.SCFG=wifi_opr_rate_mask,0x003FFFCF\r", ok},
			{"AT+S.GCFG=wifi_opr_rate_mask\r", "#  wifi_opr_rate_mask = 0x003FFFCF\r\n" + ok},
			{"AT+S.SCFG=console1_speed,115201\r", failed("Invalid argument(s)")},
			{"AT+S.SCFG=localecho1,2\r", failed("Invalid argument(s)")},
			{"AT+S.SCFG=localecho1\r", failed("Missing argument(s)")},
			{"AT+S.SCFG=nope,1\r", failed("Unrecognized key")},
			{"AT+S.SCFG=ip_ipaddr,1.2.3\r", failed("Invalid argument(s)")},
			{"AT+S.SCFG=wifi_wpa_psk_text,a,b,c\r", ok},
			{"AT+S.GCFG=wifi_wpa_psk_text\r", "#  wifi_wpa_psk_text = a,b,c\r\n" + ok},
			{"AT+S.SSIDTXT=my, lab\r", ok},
			{"AT+S.SSIDTXT\r", "SSID = 'my, lab'\r\n" + ok},
			{"AT+S.GCFG=wifi_ssid_len\r", "#  wifi_ssid_len = 7\r\n" + ok},
			{"AT+S.GCFG=wifi_ssid\r", "#  wifi_ssid = 6D:79:2C:20:6C:61:62" + strings.Repeat(":00", 25) + "\r\n" + ok},
			{"AT+S.SCFG=wifi_ssid,41:42\r", ok},
			{"AT+S.SCFG=wifi_ssid_len,2\r", ok},
			{"AT+S.SSIDTXT\r", "SSID = 'AB'\r\n" + ok},
			{"AT+S.SSIDTXT=" + strings.Repeat("x", 33) + "\r", failed("Invalid argument(s)")},
			{"AT&F\r", ok},
			{"AT+S.SSIDTXT\r", "SSID = ''\r\n" + ok},
			{"AT+S.GCFG=nv_model\r", "#  nv_model = SPWF01SA11\r\n" + ok},
		})
	})
}

func TestDump(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		got := b.cmd("AT&V\r")
		want := "# Dumping All Configuration Keys:\r\n#  nv_manuf = ST\r\n#  nv_model = SPWF01SA1\r\n#  nv_serial = 3214D99999\r\n" +
			"#  nv_wifi_macaddr = 00:80:E1:B0:00:01\r\n#  etf_mode = 0\r\n#  blink_led = 0\r\n#  wind_off_low = 0x00000000\r\n"
		if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\r\n"+ok) {
			t.Errorf("%q", got)
		}
		order := []string{"user_desc = anonymous", "escape_seq = at+s.", "localecho1", "console1_speed = 115200",
			"console1_hwfc = 0", "console1_enabled = 1", "sleep_enabled", "standby_enabled", "standby_time = 10",
			"wifi_operational_mode = 0x00000011", "wifi_rts_threshold = 3000", "wifi_ssid = 00:", "wifi_ssid_len",
			"wifi_channelnum = 6", "wifi_opr_rate_mask = 0x00003FCF", "wifi_mode", "wifi_tx_power = 18",
			"wifi_beacon_loss_thresh = 10", "wifi_priv_mode", "wifi_wep_keys[0]", "ip_use_dhcp", "ip_sockd_timeout"}
		at := 0
		for _, key := range order {
			i := strings.Index(got[at:], "#  "+key)
			if i < 0 {
				t.Fatalf("%s is missing or out of order in %q", key, got)
			}
			at += i
		}
	})
}

func TestSavedSettings(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		run(t, b, []step{
			{"AT+S.SCFG=console1_speed,921600\r", ok},
			{"AT+S.SCFG=user_desc,<&\"\\>\r", ok},
		})
		b.boot(true, false) // not saved
		b.settle()
		if b.baud != 115200 {
			t.Errorf("baud %d before AT&W", b.baud)
		}
		run(t, b, []step{
			{"AT+S.SCFG=console1_speed,921600\r", ok},
			{"AT+S.SCFG=user_desc,<&\"\\>\r", ok},
			{"AT&W\r", ok},
		})
		b.boot(true, false)
		b.settle()
		if b.baud != 921600 {
			t.Errorf("baud %d after AT&W", b.baud)
		}
		run(t, b, []step{
			{"AT+S.GCFG=user_desc\r", "#  user_desc = <&\"\\>\r\n" + ok},
			{"AT&F\r", ok}, // RAM only
		})
		b.boot(false, false)
		b.settle()
		if b.baud != 921600 {
			t.Errorf("baud %d after AT&F without AT&W", b.baud)
		}
		b.areas[app.AreaStage], b.areas[app.AreaFiles], b.areas[app.AreaTLS] = []byte("x"), []byte("y"), []byte("z")
		b.boot(false, true)
		if got := b.settle(); !strings.Contains(got, wind("65:HW Factory Reset (GPIO0 High)")+wind("3:Watchdog Running")) {
			t.Errorf("%q", got)
		}
		if b.baud != 115200 {
			t.Errorf("baud %d after GPIO0", b.baud)
		}
		if diff := cmp.Diff(map[app.Area][]byte{app.AreaTLS: []byte("z")}, b.areasOf()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestSavedSettingsFit keeps the largest configuration inside the module's two
// pages.
func TestSavedSettingsFit(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		b.cmd("AT+S.NVW=8675309\r")
		for name, n := range map[string]int{"nv_manuf": 32, "nv_model": 32, "nv_serial": 32, "user_desc": 32,
			"escape_seq": 16, "wifi_wpa_psk_text": 63, "ip_hostname": 32, "ip_apdomainname": 64, "ip_apredirect": 64} {
			if got := b.cmd("AT+S.SCFG=" + name + "," + strings.Repeat("\\", n) + "\r"); got != ok {
				t.Fatalf("%s: %q", name, got)
			}
		}
		b.cmd("AT&W\r")
		if n := len(b.areasOf()[app.AreaConfig]); n == 0 || n > 4000 {
			t.Errorf("%d bytes", n)
		}
	})
}

func TestDamagedSettings(t *testing.T) {
	for _, data := range []string{"{", "null", "[]", `{"values":{"console1_speed":"1","wind_off_low":"x","nope":"1"}}`, "\xff\xff"} {
		inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
			b.areas[app.AreaConfig] = []byte(data)
			b.boot(true, false)
			b.settle()
			run(t, b, []step{{"AT\r", ok}, {"AT+S.GCFG=console1_speed\r", "#  console1_speed = 115200\r\n" + ok}})
		})
	}
}

func TestSettingsOfAnotherBuild(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		b.cmd("AT&W\r")
		b.profile.Build = "180101-0000000"
		b.boot(false, false)
		if got := b.settle(); !strings.Contains(got, wind("0:Console active")+wind("73:System Configuration Updated (Run AT&W to Save it)")) {
			t.Errorf("%q", got)
		}
		b.cmd("AT&W\r")
		b.boot(false, false)
		if got := b.settle(); strings.Contains(got, "+WIND:73") {
			t.Errorf("%q", got)
		}
	})
}

func TestNoFlowControl(t *testing.T) {
	p := app.DefaultProfile()
	p.Console.NoFlowControl = true
	inBubble(t, p, func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		run(t, b, []step{{"AT+S.SCFG=console1_hwfc,1\r", ok}, {"AT&W\r", ok}})
		b.boot(false, false)
		run(t, b, []step{{"AT\r", ""}})
		b.boot(false, true)
		b.settle()
		run(t, b, []step{{"AT\r", ok}})
	})
}

func TestStatus(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		joined(t, b)
		run(t, b, []step{
			{"AT+S.STS=version\r", "#  version = 170111-665d284-SPWF01S\r\n" + ok},
			{"AT+S.STS=ip_ipaddr\r", "#  ip_ipaddr = 192.168.0.102\r\n" + ok},
			{"AT+S.STS=nope\r", failed("Variable not found")},
			{"AT+S.PEERS=0,rx_rssi\r", "#  0.rx_rssi = -52\r\n" + ok},
			{"AT+S.PEERS=5,rx_rssi\r", failed("Variable not found")},
			{"AT+S.SCAN\r", "1:\tBSS 02:00:00:AA:BB:CC CHAN: 06 RSSI: -52 SSID: 'lab' CAPS: 0431 WPA2 WPS \r\n" + ok},
			{"AT+S.SCAN=a,s\r", "1:\tBSS 02:00:00:AA:BB:CC CHAN: 06 RSSI: -52 SSID: 'lab' CAPS: 0431 WPA2 WPS \r\n" + ok},
			{"AT+S.PING=echo.test\r", "#PING: sendto 10.0.0.1\r\n" + ok},
			{"AT+S.PING=nope.test\r", failed("Failed to resolve name")},
			{"AT+S.WIFI=0\r", ok + wind("38:WiFi: Powered Down")},
			{"AT+S.SCAN\r", failed("Radio not running")},
			{"AT+S.STS=wifi_state\r", "#  wifi_state = 2\r\n" + ok},
		})
		if got := b.cmd("AT+S.WIFI=1\r"); !strings.HasSuffix(got, "+WIND:24:WiFi Up:192.168.0.102\r\n") {
			t.Errorf("%q", got)
		}
		got := b.cmd("AT+S.STS\r")
		if !strings.HasPrefix(got, "# Status & Statistics:\r\n#  version = 170111-665d284-SPWF01S\r\n#  reset_reason = ") ||
			strings.Count(got, "\r\n#  ") != 28 {
			t.Errorf("%q", got)
		}
		if got := b.cmd("AT+S.HELP\r"); !strings.Contains(got, "# AT+S.SOCKON =<hostname>,<port>,<t|u|s>[,ind] -- ") {
			t.Errorf("%q", got)
		}
	})
}

func TestClock(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle() // 10 s
		run(t, b, []step{
			{"AT+S.STS=current_time\r", "#  current_time = 10\r\n" + ok},
			{"AT+S.SETTIME=1491917021\r", ok},
			{"AT+S.SETTIME\r", "#  current_time = 1491917031\r\n" + ok},
			{"AT+S.SETTIME=x\r", failed("Invalid argument(s)")},
			{"AT+S.SETTIME=99999999999\r", failed("Invalid argument(s)")},
		})
		b.boot(false, false)
		b.settle()
		run(t, b, []step{{"AT+S.STS=current_time\r", "#  current_time = 10\r\n" + ok}})
	})
}

func TestMiniAP(t *testing.T) {
	p := app.DefaultProfile()
	p.Boot.MiniAPStrap = true
	inBubble(t, p, func(t *testing.T, b *bench) {
		b.gpio[7] = false
		b.boot(true, false)
		got := b.settle()
		if !strings.Contains(got, "+WIND:39:HW in miniAP mode (GPIO7 Low)") ||
			!strings.Contains(got, "+WIND:26:WiFi Started AP with network ") {
			t.Errorf("%q", got)
		}
		run(t, b, []step{{"AT+S.SCAN\r", failed("Scan Failed")}})
	})
}
