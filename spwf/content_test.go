package spwf_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hil-runner/spwf"
)

const trailer = "\r\n\x1a\x1a\x1a\r\n"

func TestHTTP(t *testing.T) {
	table := []struct {
		name, answer, body string
		status             int
	}{
		{"with trailer", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello" + trailer + ok, "hello", 200},
		{"without trailer", "HTTP/1.0 404 Not Found\r\n\r\nno" + ok, "no", 404},
		{"OK in the body", "HTTP/1.1 200 OK\r\n\r\na\r\nOK\r\nb\r\nERROR: x\r\nc" + trailer + ok, "a\r\nOK\r\nb\r\nERROR: x\r\nc", 200},
		{"a fault in the body", "HTTP/1.1 200 OK\r\n\r\n" + wind(8, "Hard Fault") + "x" + trailer + ok, wind(8, "Hard Fault") + "x", 200},
		{"indications around", wind(55, "Pending Data:0:1") + "HTTP/1.1 200 OK\r\n\r\nx" + trailer + ok + wind(58, "Socket Closed:0"), "x", 200},
		{"bad headers", "HTTP/1.1 200\r\nno colon\r\n\r\nx" + trailer + ok, "x", 200},
	}
	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, &fake{answers: map[string]string{"AT+S.HTTPGET": row.answer}})
				m := f.module(spwf.Options{})
				r, err := m.HTTPGet(t.Context(), "10.0.0.1", "/x", 8080)
				if err != nil || r.Status != row.status || string(r.Body) != row.body {
					t.Errorf("got %d %q, %v", r.Status, r.Body, err)
				}
				if got := f.seen(); got[0] != "AT+S.HTTPGET=10.0.0.1,/x,8080" {
					t.Errorf("sent %q", got)
				}
				if err := m.At(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestHTTPBodyThatPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		f.on = map[string]func(*fake, string, []byte){"AT+S.HTTPGET": func(f *fake, _ string, _ []byte) {
			f.print("HTTP/1.1 200 OK\r\n\r\nfirst\r\nOK\r\n")
			time.AfterFunc(500*time.Millisecond, func() { f.print("second" + trailer + ok) })
		}}
		m := f.module(spwf.Options{})
		r, err := m.HTTPGet(t.Context(), "h", "/", 0)
		if err != nil || string(r.Body) != "first\r\nOK\r\nsecond" {
			t.Errorf("got %q, %v", r.Body, err)
		}
	})
}

func TestHTTPFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{
			"AT+S.HTTPGET=a,/": refuse("host not found"),
			"AT+S.HTTPGET=b,/": "garbage" + ok,
			"AT+S.HTTPGET=c,/": "HTTP/1.1 200 OK\r\n\r\nhalf" + wind(1, "Poweron (170111-665d284-SPWF01S)"),
			"AT+S.HTTPGET=d,/": "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("0123456789", 20000) + trailer + ok,
		}})
		m := f.module(spwf.Options{})
		if _, err := m.HTTPGet(t.Context(), "a", "/", 0); !errors.Is(err, spwf.ReasonHostNotFound) {
			t.Errorf("got %v", err)
		}
		if _, err := m.HTTPGet(t.Context(), "b", "/", 0); !errors.Is(err, spwf.ErrReply) {
			t.Errorf("got %v", err)
		}
		var reset *spwf.ResetError
		if _, err := m.HTTPGet(t.Context(), "c", "/", 0); !errors.As(err, &reset) {
			t.Errorf("got %v", err)
		}
		r, err := m.HTTPGet(t.Context(), "d", "/", 0)
		if err != nil || len(r.Raw) > 64<<10 || r.Dropped+len(r.Body) != 200000 {
			t.Errorf("kept %d, dropped %d, %v", len(r.Body), r.Dropped, err)
		}
	})
}

func TestFiles(t *testing.T) {
	content := "a line\r\nOK\r\nanother\x00\xff\r\n+WIND:8:no\r\n"
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{
			"AT+S.FSP=/f":    content + ok,
			"AT+S.FSP=/none": refuse("File not found"),
		}})
		m := f.module(spwf.Options{})
		ctx := t.Context()
		if err := errors.Join(m.CreateFile(ctx, "/f", 100), m.AppendFile(ctx, "/f", []byte("x\ry")), m.DeleteFile(ctx, "/f")); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"AT+S.FSC=/f,100", "AT+S.FSA=/f,3", "AT+S.FSD=/f"}, f.seen()); diff != "" {
			t.Error(diff)
		}
		got, err := m.ReadFile(ctx, "/f")
		if err != nil || string(got) != content {
			t.Errorf("got %q, %v", got, err)
		}
		if _, err := m.ReadFile(ctx, "/none"); !errors.Is(err, spwf.ReasonFileNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestUpdate(t *testing.T) {
	var lines strings.Builder
	for n := range 95 {
		fmt.Fprintf(&lines, " Write len 4096 -> 0x%X\r\n", 0x1000*(n+1))
	}
	lines.WriteString(" Write len 1812 -> 0x60000 (final)\r\n Wrote 390932 bytes\r\n Complete!  Update will be applied on next reboot.  (at+cfun=1)\r\n" + ok)
	table := []struct {
		answer string
		want   error
	}{
		{lines.String(), nil},
		{refuse("connect() failed, aborting"), spwf.ErrUpdateConnect},
		{refuse("Invalid F/W image(60783F3C)"), spwf.ErrUpdateImage},
		{refuse("F/W update model 'SPWF' not matching local 'SPWF01SA'"), spwf.ErrUpdateModel},
		{" Write len 4096 -> 0x1000\r\n" + ok, spwf.ErrUpdateIncomplete},
		{" Write len 4096 -> 0x1000\r\n", context.DeadlineExceeded},
	}
	for n, row := range table {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, &fake{answers: map[string]string{"AT+S.FWUPDATE=10.0.0.1,/fw.ota,8080": row.answer}})
			m := f.module(spwf.Options{})
			var last spwf.Progress
			steps := 0
			err := m.FWUpdate(t.Context(), "10.0.0.1", "/fw.ota", 8080, func(p spwf.Progress) { last = p; steps++ })
			if !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
			if n == 0 && (last.Total != 390932 || last.Written != 390932 || steps != 97 || last.Address != 0x60000) {
				t.Errorf("got %+v after %d steps", last, steps)
			}
			var refused *spwf.CommandError
			if strings.Contains(row.answer, "ERROR") && !errors.As(err, &refused) {
				t.Errorf("%v hides the refusal", err)
			}
		})
	}
}

func TestASlowUpdateMayTakeLongerThanItsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		f.on = map[string]func(*fake, string, []byte){"AT+S.FWUPDATE": func(f *fake, _ string, _ []byte) {
			for n := range 5 {
				time.AfterFunc(time.Duration(n)*40*time.Second, func() { f.print(" Write len 4096 -> 0x1000\r\n") })
			}
			time.AfterFunc(200*time.Second, func() { f.print(" Complete!  Update will be applied on next reboot.\r\n" + ok) })
		}}
		m := f.module(spwf.Options{})
		if err := m.FWUpdate(t.Context(), "h", "/f", 80, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestApplyUpdate(t *testing.T) {
	banner := wind(1, "Poweron (170111-665d284-SPWF01S)")
	console := wind(0, "Console active") + wind(32, "WiFi Hardware Started")
	table := []struct {
		name, boot string
		want       error
	}{
		{"applied", wind(17, "Programming") + wind(17, "F/W update complete!") + banner + wind(73, "System Configuration Updated") + console, nil},
		{"applied after a first banner", wind(1, "Poweron (150410-c2e37a3-SPWF01S)") + wind(17, "P") + wind(17, "F/W update complete!") + banner + console, nil},
		{"not applied", banner + console, spwf.ErrUpdateNotApplied},
	}
	for _, row := range table {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, &fake{})
			f.on = map[string]func(*fake, string, []byte){"AT+CFUN": func(f *fake, _ string, _ []byte) {
				f.print(wind(2, "Reset"))
				time.AfterFunc(20*time.Second, func() { f.print(row.boot) })
			}}
			m := f.module(spwf.Options{})
			b, err := m.ApplyUpdate(t.Context())
			if !errors.Is(err, row.want) || b.ID() != "170111-665d284" {
				t.Errorf("%s: got %v, %v", row.name, b, err)
			}
			if err := m.WaitHardware(t.Context()); err != nil {
				t.Errorf("%s: %v", row.name, err)
			}
		})
	}
}

func TestDataMode(t *testing.T) {
	client := "x\r\nOK\r\n\r\n+WIND:8:no fault\r\nERROR: none"
	for _, chunk := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, &fake{answers: map[string]string{
				"AT+S.": wind(60, "Now in Data Mode") + client,
				"at+s.": "more" + wind(59, "Back to Command Mode") + wind(62, "Socket Client Gone:10.0.0.9"),
			}})
			f.chunk = chunk
			m := f.module(spwf.Options{})
			if err := m.Listen(t.Context(), 3333, spwf.TCP); err != nil {
				t.Fatal(err)
			}
			d, err := m.EnterDataMode(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			for len(got) < len(client) {
				p := make([]byte, 64)
				n, err := d.Read(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, p[:n]...)
			}
			if string(got) != client {
				t.Errorf("got %q", got)
			}
			if _, err := d.Write(t.Context(), []byte("to the client")); err != nil {
				t.Error(err)
			}
			f.out <- []byte("\r") // ends what the fake takes for a command
			synctest.Wait()
			for len(got) > 0 { // the fake answers OK to what it took for a command
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				n, err := d.Read(ctx, make([]byte, 64))
				cancel()
				if err != nil || n == 0 {
					break
				}
			}
			rest, err := d.Leave(t.Context())
			if err != nil || string(rest) != "more" {
				t.Errorf("got %q, %v", rest, err)
			}
			if !bytes.Contains([]byte(f.sentText()), []byte("to the clientat+s.")) {
				t.Errorf("sent %q", f.sentText())
			}
			if err := m.StopListening(t.Context()); err != nil {
				t.Error(err)
			}
			if w := m.Indications(); len(w) != 2 || w[1].ID != 62 {
				t.Errorf("kept %v", w)
			}
		})
	}
}

func TestDataModeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{"AT+S.": refuse("Data mode not available")}})
		m := f.module(spwf.Options{})
		if _, err := m.EnterDataMode(t.Context()); !errors.Is(err, spwf.ReasonNoDataMode) {
			t.Errorf("got %v", err)
		}
		if err := m.At(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
