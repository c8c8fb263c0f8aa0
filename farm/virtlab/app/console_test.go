package app_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hil-runner/farm/virtlab/app"
)

// step is one exchange on the UART.
type step struct{ send, want string }

func run(t *testing.T, b *bench, steps []step) {
	t.Helper()
	for _, s := range steps {
		if diff := cmp.Diff(s.want, b.cmd(s.send)); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", s.send, diff)
		}
	}
}

const ok = "\r\nOK\r\n"

func failed(text string) string { return "\r\nERROR: " + text + "\r\n" }

func wind(s string) string { return "\r\n+WIND:" + s + "\r\n" }

const banner = "\r\n+WIND:1:Poweron (170111-665d284-SPWF01S)\r\n" +
	"\r\n+WIND:13:ST SPWF01SA1 IWM: Copyright (c) 2012-2016 STMicroelectronics, Inc. All rights Reserved.\r\n"

func TestBoot(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		watchdog, console := wind("3:Watchdog Running"), wind("0:Console active")
		if diff := cmp.Diff(banner+watchdog+console+wind("32:WiFi Hardware Started"), b.settle()); diff != "" {
			t.Error(diff)
		}
		run(t, b, []step{
			{"AT+S.SSIDTXT=lab\r", ok},
			{"AT+S.SCFG=wifi_wpa_psk_text,secret-key\r", ok},
			{"AT&W\r", ok},
			{"AT+CFUN=1\r", wind("2:Reset") + "\xff\x00" + banner + watchdog +
				wind("46:WPA: Crunching PSK...") + console + wind("32:WiFi Hardware Started") +
				wind("21:WiFi Scanning") + wind("35:WiFi Scan Complete (0x0)") +
				wind("19:WiFi Join:02:00:00:AA:BB:CC") +
				wind("25:WiFi Association with 'lab' successful") +
				wind("51:WPA Handshake Complete") + wind("24:WiFi Up:192.168.0.102")},
		})
		if diff := cmp.Diff([]app.ResetReason{app.ResetSoft}, b.resets); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBootOfOldRelease(t *testing.T) {
	p := app.DefaultProfile()
	p.Build, p.BuildSuffix = "1203-121218_01-50-g511fab4", "-stm_demo"
	p.Manufacturer, p.Model, p.Boot.ResetText = "Sagrad", "", "RESET"
	inBubble(t, p, func(t *testing.T, b *bench) {
		b.boot(false, false)
		if got := b.settle(); !strings.HasPrefix(got, "\xff\x00\r\n+WIND:1:Poweron (1203-121218_01-50-g511fab4-stm_demo)\r\n") {
			t.Errorf("%q", got)
		}
		if got := b.cmd("AT+CFUN=0\r"); !strings.HasPrefix(got, "\r\n+WIND:2:RESET\r\n\xff\x00") {
			t.Errorf("%q", got)
		}
	})
}

func TestWrongKeyAndLostNetwork(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		joined(t, b)
		b.do(func(a *app.App) {
			b.air.ap.Up = false
			a.AccessChanged()
		})
		got := b.settle()
		if !strings.HasPrefix(got, wind("30:WiFi BSS Lost")+wind("33:WiFi Network Lost")+wind("21:WiFi Scanning")) {
			t.Errorf("lost: %q", got)
		}
		b.do(func(*app.App) { b.air.ap.Up, b.air.ap.PSK = true, "another" })
		if got := b.settle(); !strings.Contains(got, "+WIND:20:JOINFAILED: ") {
			t.Errorf("wrong key: %q", got)
		}
		b.do(func(*app.App) { b.air.ap.PSK = "secret-key" })
		if got := b.settle(); !strings.Contains(got, "+WIND:24:WiFi Up:192.168.0.102") {
			t.Errorf("back: %q", got)
		}
	})
}

func TestFraming(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.input("AT\r") // before the console is active
		b.settle()
		run(t, b, []step{
			{"AT\r", ok},
			{"at\r", ok},
			{"AT\r\n", ok},
			{"\r\n\r\r\n", ""},
			{"\x00\xffm\nAT\r", ok},
			{"AT\rAT\r", ok + ok},
			{"A", ""},
			{"T\r", ok},
			{"AT+S.NOPE\r", failed("Command not found")},
			{"AB\r", failed("Command not found")},
			{"A\r", failed("Command not found")},
			{"AT" + strings.Repeat("X", 600) + "\r", failed("Command not found")},
			{"AT+S.GCFG\r", failed("Missing argument(s)")},
			{"AT+S.GCFG=\r", failed("Missing argument(s)")},
			{"AT+S.GCFG=nope\r", failed("Unrecognized key")},
			{"AT+S.SOCKQ=1,2\r", failed("Too many argument(s)")},
			{"AT+S.PING=echo.test\r", failed("IP not ready")},
			{"at+s.gcfg=LOCALECHO1\r", "#  localecho1 = 0\r\n" + ok},
		})
	})
}

func TestEcho(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		run(t, b, []step{
			{"AT+S.SCFG=localecho1,1\r", ok},
			{"AT\r", "AT\r" + ok},
			{"AT+S.TLSCERT=ca,4\rabcd", "AT+S.TLSCERT=ca,4\r" + ok},
			{"at+s.scfg=localecho1,0\r", "at+s.scfg=localecho1,0\r" + ok},
			{"AT\r", ok},
		})
	})
}

func TestHeldIndications(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		edge := func(high bool) { b.do(func(a *app.App) { a.GPIOChanged(4, high) }) }
		run(t, b, []step{{"AT+S.GPIOC=4,in,B\r", ok}})
		edge(true)
		run(t, b, []step{{"", wind("52:GPIO4 1")}, {"\x01\x02", ""}})
		edge(false) // noise before the first A does not hold it
		run(t, b, []step{{"", wind("52:GPIO4 0")}, {"A", ""}})
		edge(true)
		edge(false)
		b.do(func(a *app.App) { a.Fault(app.FaultMalloc) }) // fatal: at once
		run(t, b, []step{
			{"", wind("10:MallocFailed:1624/912")},
			{"T\r", ok + wind("52:GPIO4 1") + wind("52:GPIO4 0")},
			{"AT+S.TLSCERT=ca,10\r01234", ""},
		})
		edge(true)
		run(t, b, []step{
			{"56789", ok + wind("52:GPIO4 1")},
			// 52 is bit 20 of the second word; what is masked is lost.
			{"AT+S.SCFG=wind_off_medium,0x00100000\r", ok},
		})
		edge(false)
		run(t, b, []step{{"", ""}, {"AT+S.SCFG=wind_off_medium,0\r", ok}})
		edge(true)
		run(t, b, []step{{"", wind("52:GPIO4 1")}})
	})
}

func TestHardwareStarting(t *testing.T) {
	p := app.DefaultProfile()
	p.Timing.Radio = 20e9
	inBubble(t, p, func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		for _, c := range []string{"SOCKON=a,1,t", "SCAN", "PING=a", "WIFI=1", "HTTPGET=a,/", "FWUPDATE=a,/", "SOCKD=80"} {
			b.input("AT+S." + c + "\r")
			if got := b.take(); got != failed("Wait for Hardware Starting") {
				t.Errorf("%s: %q", c, got)
			}
		}
		if got := b.settle() + b.settle(); !strings.HasSuffix(got, wind("32:WiFi Hardware Started")) {
			t.Errorf("%q", got)
		}
	})
}

func TestFaults(t *testing.T) {
	for kind, want := range map[app.Fault]string{
		app.FaultHard:     "\r\n+WIND:8:Hard Fault:TermTask: r0 ",
		app.FaultStack:    "\r\n+WIND:9:StackOverflow:TermTask\r\n\xff\x00" + banner,
		app.FaultWatchdog: "\r\n+WIND:6:Watchdog Terminating, reset pending\r\n\xff\x00" + banner,
		app.FaultHeap:     "\r\n+WIND:4:Heap too small\r\n",
		app.FaultWiFi:     "", // not fatal: it waits for the command's end
	} {
		inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
			b.boot(true, false)
			b.settle()
			b.input("AT+S.TLSCERT=ca,10\r") // a fatal one comes inside a command
			b.do(func(a *app.App) { a.Fault(kind) })
			if got := b.settle(); !strings.HasPrefix(got, want) {
				t.Errorf("fault %d: %q", kind, got)
			}
			if kind == app.FaultWiFi {
				if got := b.cmd("0123456789"); !strings.HasPrefix(got, ok+"\r\n+WIND:31:WiFi EXCEPTION: ") {
					t.Errorf("exception: %q", got)
				}
				run(t, b, []step{{"AT+S.SCAN\r", failed("Wait for Hardware Starting")}})
			}
		})
	}
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		b.do(func(a *app.App) { a.Fault(app.FaultHang) })
		run(t, b, []step{{"AT\r", ""}})
		b.boot(false, false)
		b.settle()
		run(t, b, []step{{"AT\r", ok}})
	})
}

func TestNumberedErrorsAndDelimiter(t *testing.T) {
	inBubble(t, app.DefaultProfile(), func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		run(t, b, []step{
			{"AT+S.SCFG=console1_errs,1\r", ok},
			{"AT+S.NOPE\r", failed("1:Command not found")},
			{"AT+S.SCFG=console1_delimiter,0x3B\r", ok},
			{"AT+S.GCFG=console1_delimiter\r", "#  console1_delimiter = 0x0000003B\r\n" + ok},
			{"AT+S.SCFG=user_desc;me\r", ok},
			{"AT+S.SCFG=console1_delimiter;0x2c\r", ok},
			{"AT+S.SCFG=console1_errs,0\r", ok},
		})
	})
	p := app.DefaultProfile()
	p.Console.NumberedErrors = false
	inBubble(t, p, func(t *testing.T, b *bench) {
		b.boot(true, false)
		b.settle()
		run(t, b, []step{{"AT+S.GCFG=console1_errs\r", failed("Unrecognized key")}})
	})
}
