package spwf_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hil-runner/spwf"
)

const bootText = "\xff\x00\r\n+WIND:1:Poweron (170111-665d284-SPWF01S)\r\n" +
	"\r\n+WIND:13:ST SPWF01SA1 IWM: Copyright (c) 2012-2016 STMicroelectronics, Inc. All rights Reserved.\r\n" +
	"\r\n+WIND:3:Watchdog Running\r\n\r\n+WIND:0:Console active\r\n"

// restarts makes AT+CFUN=1 behave as on a module.
func restarts(after string) func(*fake, string, []byte) {
	return func(f *fake, _ string, _ []byte) {
		f.print(wind(2, "Reset"))
		time.AfterFunc(300*time.Millisecond, func() { f.print(bootText) })
		time.AfterFunc(900*time.Millisecond, func() { f.print(after) })
	}
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{echo: true})
		f.on = map[string]func(*fake, string, []byte){
			"AT+CFUN":                restarts(wind(32, "WiFi Hardware Started")),
			"AT+S.SCFG=localecho1,0": func(f *fake, _ string, _ []byte) { f.echo = false; f.print(ok) },
		}
		m := f.module(spwf.Options{})
		f.print(wind(1, "Poweron (111111-aaaaaaa-SPWF01S)") + wind(32, "stale")) // of an earlier start
		b, err := m.Restart(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b.ID() != "170111-665d284" || !b.Known() {
			t.Errorf("got %+v", b)
		}
		if f.echo {
			t.Error("the echo is still on")
		}
	})
}

func TestRestartThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{"AT+CFUN": wind(2, "Reset")}})
		m := f.module(spwf.Options{})
		_, err := m.Restart(t.Context())
		var silent *spwf.TimeoutError
		if !errors.As(err, &silent) || silent.Limit != "banner" || !strings.Contains(err.Error(), "RESETn must float") {
			t.Errorf("got %v", err)
		}
	})
}

func TestBootAfterAPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		m := f.module(spwf.Options{})
		f.print("left over from before\r\n" + bootText + wind(32, ""))
		if err := m.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(2*time.Second, func() { f.print(bootText + wind(46, "WPA: Crunching PSK...") + wind(32, "WiFi Hardware Started")) })
		began := time.Now()
		b, err := m.Boot(t.Context())
		if err != nil || b.Text != "170111-665d284-SPWF01S" {
			t.Fatalf("got %v, %v", b, err)
		}
		if time.Since(began) < 2*time.Second {
			t.Error("took a stale banner")
		}
	})
}

func TestWaitConsoleWithMaskedIndications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		m := f.module(spwf.Options{})
		if err := m.WaitConsole(t.Context()); err != nil {
			t.Error(err)
		}
		f.answers = map[string]string{"AT": ""}
		var silent *spwf.TimeoutError
		if err := m.WaitConsole(t.Context()); !errors.As(err, &silent) || silent.Limit != "console" {
			t.Errorf("got %v", err)
		}
	})
}

func TestParseBuild(t *testing.T) {
	table := []struct{ text, id, suffix string }{
		{"Poweron (170111-665d284-SPWF01S)", "170111-665d284", "SPWF01S"},
		{"150410-c2e37a3-SPWF01S", "150410-c2e37a3", "SPWF01S"},
		{"140805-3f58d6b-RELEASE", "140805-3f58d6b", "RELEASE"},
		{"140805-3f58d6b-RELEASE-main", "140805-3f58d6b", "RELEASE-main"},
		{"160129-c5bf5ce", "160129-c5bf5ce", ""},
		{"1203-121218_01-50-g511fab4-stm_demo", "121218-511fab4", "stm_demo"},
		{"Poweron (\x1b[2J)", "\x1b[2J", ""},
		{"3.0.0", "3.0.0", ""},
	}
	for _, row := range table {
		b := spwf.ParseBuild(row.text)
		if b.ID() != row.id || b.Suffix != row.suffix || b.Known() != (b.Date != "") {
			t.Errorf("%q: got %+v", row.text, b)
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Errorf("%q prints raw", row.text)
		}
	}
}

func TestConfigAndStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{
			"AT+S.GCFG=escape_seq":  "#  escape_seq = at+s.\r\n" + ok,
			"AT+S.GCFG=empty":       "#  empty =\r\n" + ok,
			"AT+S.GCFG=nothing":     ok,
			"AT+S.STS=version":      "#  version = 170111-665d284-SPWF01S\r\n" + ok,
			"AT+S.STS=current_time": "#  current_time = 1491917021\r\n" + ok,
			"AT+S.PEERS=0,rx_rssi":  "#  0.rx_rssi = -52\r\n" + ok,
			"AT&V":                  "# Dumping All Configuration Keys:\r\n#  nv_manuf = ST\r\n#  user_desc = a = b\r\n" + ok,
			"AT+S.STS":              "# Status & Statistics:\r\n#  free_heap = 20304\r\n" + ok,
			"AT+S.FSL":              " I 1234 /index.html\r\n D 10 /ram.txt\r\n nonsense\r\n" + ok,
			"AT+S.PING=10.0.0.1":    "ping sent: 10.0.0.1\r\n" + ok,
		}})
		m := f.module(spwf.Options{})
		ctx := t.Context()
		expect := func(want string) func(string, error) {
			return func(got string, err error) {
				t.Helper()
				if err != nil || got != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
			}
		}
		expect("at+s.")(m.Config(ctx, "escape_seq"))
		expect("")(m.Config(ctx, "empty"))
		expect("-52")(m.Peer(ctx, 0, "rx_rssi"))
		if _, err := m.Config(ctx, "nothing"); !errors.Is(err, spwf.ErrReply) {
			t.Errorf("got %v", err)
		}
		if b, err := m.Version(ctx); err != nil || b.ID() != "170111-665d284" {
			t.Errorf("got %v, %v", b, err)
		}
		if at, err := m.Time(ctx); err != nil || !at.Equal(time.Unix(1491917021, 0)) {
			t.Errorf("got %v, %v", at, err)
		}
		dump, err := m.DumpConfig(ctx)
		if diff := cmp.Diff(spwf.Values{{Key: "nv_manuf", Value: "ST"}, {Key: "user_desc", Value: "a = b"}}, dump); diff != "" || err != nil {
			t.Error(err, diff)
		}
		status, err := m.DumpStatus(ctx)
		if v, _ := status.Get("free_heap"); v != "20304" || err != nil {
			t.Errorf("got %v, %v", status, err)
		}
		files, err := m.Files(ctx)
		if diff := cmp.Diff([]spwf.File{{Kind: "I", Size: 1234, Name: "/index.html"}, {Kind: "D", Size: 10, Name: "/ram.txt"}}, files); diff != "" || err != nil {
			t.Error(err, diff)
		}
		if lines, err := m.Ping(ctx, "10.0.0.1"); err != nil || len(lines) != 1 {
			t.Errorf("got %q, %v", lines, err)
		}
	})
}

func TestJoin(t *testing.T) {
	joined := wind(32, "WiFi Hardware Started") + wind(21, "WiFi Scanning") + wind(35, "WiFi Scan Complete (0x0)") +
		wind(19, "WiFi Join:00:80:E1:00:00:01") + wind(25, "WiFi Association with 'lab net' successful") + wind(51, "WPA Handshake Complete") +
		wind(24, "WiFi Up:fe80::1") + wind(24, "WiFi Up:192.168.0.102")
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		f.on = map[string]func(*fake, string, []byte){"AT+CFUN": restarts(joined)}
		m := f.module(spwf.Options{})
		ip, err := m.Join(t.Context(), "lab net", "secret password", spwf.WPA)
		if err != nil || ip != netip.MustParseAddr("192.168.0.102") {
			t.Fatalf("got %v, %v", ip, err)
		}
		want := []string{
			"AT+S.SSIDTXT=lab net", "AT+S.SCFG=wifi_priv_mode,2", "AT+S.SCFG=wifi_wpa_psk_text,secret password",
			"AT+S.SCFG=wifi_mode,1", "AT&W", "AT+CFUN=1", "AT+S.SCFG=localecho1,0",
		}
		if diff := cmp.Diff(want, f.seen()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestJoinThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		f.on = map[string]func(*fake, string, []byte){"AT+CFUN": restarts(wind(32, "WiFi Hardware Started") + wind(20, "JOINFAILED: 0x0001"))}
		m := f.module(spwf.Options{Limits: spwf.Limits{Join: 10 * time.Second}})
		_, err := m.Join(t.Context(), "lab\" net", "secret password", spwf.WPA)
		var failed *spwf.JoinError
		if !errors.As(err, &failed) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		for _, part := range []string{`lab\" net`, "+WIND:20:JOINFAILED", "limit join"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q lacks %q", err, part)
			}
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q holds the key", err)
		}
	})
}

func TestScan(t *testing.T) {
	answer := "1:\tBSS 00:80:E1:AA:00:01 CHAN: 06 RSSI: -52 SSID: 'lab' CAPS: 0431 WPA2 WPS\r\n" +
		"2:\tBSS 00:80:e1:aa:00:02 CHAN: 11 RSSI: -80 SSID: 'it's\r\nOK\r\n' CAPS: 0401 \r\n" +
		"3:\tBSS 00:80:e1:aa:00:03 CHAN: 01 RSSI: -90 SSID: '' CAPS: 0411 WPA2 \r\n"
	want := []spwf.Network{
		{BSSID: "00:80:e1:aa:00:01", Channel: 6, RSSI: -52, SSID: "lab", Caps: 0x431, Flags: []string{"WPA2", "WPS"}},
		{BSSID: "00:80:e1:aa:00:02", Channel: 11, RSSI: -80, SSID: "it's\r\nOK\r\n", Caps: 0x401, Flags: []string{}},
		{BSSID: "00:80:e1:aa:00:03", Channel: 1, RSSI: -90, Caps: 0x411, Flags: []string{"WPA2"}},
	}
	for _, chunk := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, &fake{answers: map[string]string{"AT+S.SCAN": answer + ok + wind(33, "WiFi Network Lost")}})
			f.chunk = chunk
			m := f.module(spwf.Options{})
			got, err := m.Scan(t.Context())
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Error(err, diff)
			}
			if winds := m.Indications(); len(winds) != 1 || winds[0].ID != 33 {
				t.Errorf("kept %v", winds)
			}
			f.answers["AT+S.SCAN"] = refuse("Wait for Hardware Starting")
			if _, err := m.Scan(t.Context()); !errors.Is(err, spwf.ReasonHardware) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFindBaud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		resets := 0
		reset := func(context.Context) error {
			resets++
			if f.baud == 38400 {
				f.print(wind(2, "Reset"))
				time.AfterFunc(2*time.Second, func() { f.print(bootText) })
			} else {
				f.print(strings.Repeat("\xf8\x80\x00\x1c", 30))
			}
			return nil
		}
		baud, err := spwf.FindBaud(t.Context(), f.wire, reset, spwf.Options{Board: "b7"})
		if err != nil || baud != 38400 || f.baud != 38400 || resets != 4 {
			t.Errorf("got %d, %v after %d resets", baud, err, resets)
		}
		_, err = spwf.FindBaud(t.Context(), f.wire, func(context.Context) error { return nil }, spwf.Options{Board: "b7"})
		var none *spwf.BaudError
		if !errors.As(err, &none) || len(none.Tried) != len(spwf.Bauds()) || !errors.Is(err, spwf.ErrNoBaud) || !strings.Contains(err.Error(), "b7") {
			t.Errorf("got %v", err)
		}
		broken := errors.New("no line")
		if _, err = spwf.FindBaud(t.Context(), f.wire, func(context.Context) error { return broken }, spwf.Options{}); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	})
}

func TestPortThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{"AT": "half"}})
		m := f.module(spwf.Options{})
		f.wire.mu.Lock()
		f.wire.closed = true
		f.wire.mu.Unlock()
		if err := m.At(t.Context()); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "b1") {
			t.Errorf("got %v", err)
		}
	})
}
