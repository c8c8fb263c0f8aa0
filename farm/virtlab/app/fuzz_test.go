package app_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"hil-runner/farm/virtlab/app"
)

// dry is a host without a network and without delays: all it does happens in
// the call that causes it.
type dry struct {
	app     *app.App
	areas   map[app.Area][]byte
	printed int
	again   bool
	rand    *rand.ChaCha8
	depth   int
}

func newDry() *dry {
	h := &dry{areas: map[app.Area][]byte{}, rand: rand.NewChaCha8([32]byte{})}
	p := app.DefaultProfile()
	p.Timing, p.Bugs.NoPending = app.Timing{}, true
	p.Console.EscapeGap = 0
	h.app = app.New(h, p)
	return h
}

func (h *dry) Now() time.Duration { return time.Hour }
func (h *dry) Print(p []byte)     { h.printed += len(p) }
func (h *dry) After(time.Duration, func()) func() {
	return func() {}
}

// Go runs what fails at once and forgets what would wait.
func (h *dry) Go(work func(context.Context) func()) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if h.depth++; h.depth < 8 {
		if done := work(ctx); done != nil {
			done()
		}
	}
	h.depth--
}

func (h *dry) Area(a app.Area) app.Store { return dryArea{h, a} }
func (h *dry) Reset(app.ResetReason)     { h.again = true }
func (h *dry) SetBaud(int)               {}
func (h *dry) Net() app.Net              { return noNet{} }
func (h *dry) Rand() io.Reader           { return h.rand }
func (h *dry) GPIO(int) bool             { return true }
func (h *dry) SetGPIO(int, bool)         {}

type dryArea struct {
	h *dry
	a app.Area
}

func (s dryArea) Load() []byte { return s.h.areas[s.a] }
func (s dryArea) Save(p []byte) error {
	s.h.areas[s.a] = append([]byte(nil), p...)
	return nil
}

type noNet struct{}

func (noNet) Access() app.AccessPoint {
	return app.AccessPoint{SSID: "lab", BSSID: "02:00:00:AA:BB:CC", Channel: 1, Up: true}
}
func (noNet) Address() string { return "192.168.0.2" }
func (noNet) MAC() string     { return "00:80:E1:00:00:01" }
func (noNet) Resolve(context.Context, string) (string, error) {
	return "", errors.New("no network")
}
func (noNet) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no network")
}
func (noNet) Listen(context.Context, string, string) (net.Listener, error) {
	return nil, errors.New("no network")
}

// FuzzInput throws bytes at the console: it must neither panic nor print
// without measure, and answer AT once it has been reset.
func FuzzInput(f *testing.F) {
	for _, s := range []string{
		"AT\r", "AT&V\r", "AT&F\rAT&W\rAT+CFUN=1\r", "AT+S.SCFG=wifi_ssid,41:4\rAT+S.SSIDTXT=lab\rAT&W\rAT+CFUN=1\r",
		"AT+S.SCFG=wifi_mode,1\rAT+S.SCFG=wifi_priv_mode,0\rAT+S.SSIDTXT=lab\rAT&W\rAT+CFUN=1\rAT+S.SOCKON=10.0.0.1,1,s,ind\r",
		"AT+S.TLSCERT=f_ca,5\rhello", "AT+S.TLSCERT2=clean,all\r", "AT+S.SOCKW=0,99999999\rx", "AT+S.TLSDOMAIN=f_domain,x\r",
		"AT+S.FSC=/a,10\rAT+S.FSA=/a,3\rabcAT+S.FSP=/a,1,1\rAT+S.FSL\r", "AT+S.HTTPDFSWRITE=0,4\rabcdAT+S.FSL\r",
		"AT+S.GPIOC=1,in,B\rAT+S.GPIOR=1\r", "AT+S.\rAT+S.SOCKD=80\r", "AT+S.SCFG=console1_delimiter,0x20\rAT+S.SOCKQ=1\r",
		"AT+S.HTTPREQ=h,3\rabc", "AT+S.HTTPPOST=a,b,c,1\r", "AT+S.PEERS=0,rx_rssi\rAT+S.STS\rAT+S.SCAN\r", "\x00\xffA", "at+s.",
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, p []byte, whole bool) {
		h := newDry()
		h.app.Boot(true, false)
		if whole {
			h.app.Input(p)
		} else {
			for i := range p {
				h.app.Input(p[i : i+1])
				if h.again {
					h.again = false
					h.app.Boot(false, false)
				}
			}
		}
		if limit := 64<<10 + 8192*len(p); h.printed > limit {
			t.Errorf("%d bytes printed for %d", h.printed, len(p))
		}
		// What was saved may mute indications or the console, never stop AT.
		h.app.Boot(false, true)
		before := h.printed
		h.app.Input([]byte("AT\r"))
		if h.printed-before < len("\r\nOK\r\n") {
			t.Error("no answer after a reset")
		}
	})
}

// FuzzStage reads staged images.
func FuzzStage(f *testing.F) {
	f.Add(ota(200, "SPWF01SA"))
	f.Add([]byte(strings.Repeat("\x00", 100)))
	f.Fuzz(func(t *testing.T, p []byte) {
		img, err := app.ParseStage(p)
		if err == nil && len(img.Data) != len(p)-84 {
			t.Errorf("%d bytes of %d", len(img.Data), len(p))
		}
	})
}
