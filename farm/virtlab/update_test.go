package virtlab_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hil-runner/farm/virtlab"
	"hil-runner/farm/virtlab/app"
	"hil-runner/farm/virtlab/chip"
	"hil-runner/farm/virtlab/image"
)

func updateFile(t testing.TB, label string) []byte {
	t.Helper()
	p, ok := image.Find(label)
	if !ok {
		t.Fatalf("no release %s", label)
	}
	file, err := image.Update(p)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// An image that FWUPDATE has staged is applied at the next start, and only a
// whole one.
func TestUpdateOverTheAir(t *testing.T) {
	stage := updateFile(t, "3.5.3")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := bytes.Clone(stage)
		if r.URL.Path == "/bad.ota" {
			body[len(body)/2] ^= 1
		}
		_, _ = w.Write(body)
	}))
	defer server.Close()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		file  string
		gpio0 bool
		build string
		shows bool
	}{
		{"/good.ota", false, "170111-665d284", true},
		{"/bad.ota", false, "150410-c2e37a3", false},
		{"/good.ota", true, "150410-c2e37a3", false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.file, tt.gpio0), func(t *testing.T) {
			m := newModule(t, virtlab.Options{Access: app.AccessPoint{SSID: "hil", Up: true}})
			p := m.Port()
			readUntil(t, p, "+WIND:32:", 5*time.Second)
			send(t, p, "AT+S.SSIDTXT=hil\rAT+S.SCFG=wifi_mode,1\rAT+S.SCFG=wifi_priv_mode,0\rAT&W\rAT+CFUN=1\r")
			readUntil(t, p, "+WIND:24:", 10*time.Second)
			send(t, p, "AT+S.FWUPDATE="+host+","+tt.file+","+port+"\r")
			readUntil(t, p, "\r\nOK\r\n", 20*time.Second)
			if tt.gpio0 {
				drive(t, m, virtlab.LineGPIO0, virtlab.High)
			}
			send(t, p, "AT+CFUN=1\r")
			got := readUntil(t, p, "+WIND:32:", 10*time.Second)
			if !strings.Contains(got, "+WIND:1:Poweron ("+tt.build) {
				t.Errorf("no build %s in %q", tt.build, got)
			}
			if shown := strings.Contains(got, "+WIND:17:P") && strings.Contains(got, "+WIND:17:F/W update complete!"); shown != tt.shows {
				t.Errorf("update shown: %v, want %v: %q", shown, tt.shows, got)
			}
		})
	}
}

// A power cut while a staged image is being applied costs nothing but time.
func TestUpdateSurvivesPowerCut(t *testing.T) {
	b := newBench(t, virtlab.Options{})
	b.take()
	stage := updateFile(t, "3.5.3")
	b.c.Stage(stage)
	seen := 0
	b.c.Flash().SetHook(func(chip.Op) chip.Cut {
		if seen++; seen == 5000 {
			return chip.CutTorn
		}
		return chip.CutNone
	})
	b.reset()
	b.state(virtlab.StateOff)
	b.line(virtlab.LinePower, virtlab.Low)
	b.line(virtlab.LinePower, virtlab.High)
	b.run(time.Minute)
	if s := b.c.Stats(); s.State != virtlab.StateApp || s.Build != "170111-665d284" {
		t.Errorf("after the cut: %s running %s", s.State, s.Build)
	}
}
