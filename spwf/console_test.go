package spwf_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hil-runner/spwf"
)

func TestReplies(t *testing.T) {
	table := []struct {
		name, command, answer string
		lines                 []string
		winds                 []int
	}{
		{"bare", "AT", ok, nil, nil},
		{"LF only", "AT", "\nOK\n", nil, nil},
		{"CR only", "AT", "\rOK\r", nil, nil},
		{"CR CR LF", "AT", "\r\r\nOK\r\r\n", nil, nil},
		{"echo", "AT", "AT\r" + ok, nil, nil},
		{"echo CR LF", "AT+S.GCFG=nv_model", "AT+S.GCFG=nv_model\r\n#  nv_model = SPWF01SA1\r\n" + ok, []string{"#  nv_model = SPWF01SA1"}, nil},
		{"noise before", "AT", "\xff\x00\xff\x00" + ok, []string{"\xff\x00\xff\x00"}, nil},
		{"late indication", "AT+S.SOCKQ=00", wind(55, "Pending Data:0:5") + " DATALEN: 5\r\n" + ok, []string{" DATALEN: 5"}, []int{55}},
		{"twice", "AT+S.SOCKQ=00", wind(55, "Pending Data:0:5") + wind(55, "Pending Data:0:5") + " DATALEN: 5\r\n" + ok + wind(58, "Socket Closed:0"), []string{" DATALEN: 5"}, []int{55, 55, 58}},
		{"noise glued to an indication", "AT", "\xff\x00+WIND:46:WPA: Crunching PSK...\r\n" + ok, nil, []int{46}},
		{"OK within a line", "AT&V", "#  user_desc = OK\r\n" + ok, []string{"#  user_desc = OK"}, nil},
	}
	for _, row := range table {
		for _, chunk := range []int{0, 1, 3} {
			t.Run(row.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := start(t, &fake{answers: map[string]string{row.command: row.answer}})
					f.chunk = chunk
					m := f.module(spwf.Options{})
					r, err := m.Do(t.Context(), row.command)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(row.lines, r.Lines); diff != "" {
						t.Error(diff)
					}
					if _, err := m.Do(t.Context(), "AT+S.END"); err != nil {
						t.Fatal(err)
					}
					var ids []int
					for _, i := range m.Indications() {
						ids = append(ids, i.ID)
					}
					if diff := cmp.Diff(row.winds, ids); diff != "" {
						t.Error(diff)
					}
				})
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	table := []struct {
		answer string
		text   string
		code   int
		reason spwf.Reason
	}{
		{refuse("Unable to load CA certificate"), "Unable to load CA certificate", 0, spwf.ReasonLoadCA},
		{"\r\nERROR\r\n", "", 0, ""},
		{"\r\nERROR:\r\n", "", 0, ""},
		{"\r\nERROR:17\r\n", "", 17, ""},
		{"\r\nERROR: 17:Pending data\r\n", "Pending data", 17, spwf.ReasonPendingData},
		{"\r\nERROR:[76] Too many sockets\r\n", "Too many sockets", 76, spwf.ReasonTooManySockets},
		{"\r\nERROR: 10.0.0.1 unreachable\r\n", "10.0.0.1 unreachable", 0, ""},
	}
	for _, row := range table {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, &fake{answers: map[string]string{"AT+S.X": row.answer}})
			m := f.module(spwf.Options{Board: "rack1-3"})
			_, err := m.Do(t.Context(), "AT+S.X")
			var refused *spwf.CommandError
			if !errors.As(err, &refused) {
				t.Fatalf("%q: got %v", row.answer, err)
			}
			if refused.Text != row.text || refused.Code != row.code || refused.Command != "AT+S.X" || string(refused.Raw) != row.answer {
				t.Errorf("%q: got %+v", row.answer, refused)
			}
			if row.reason != "" && !errors.Is(err, row.reason) {
				t.Errorf("%q: %v is not %q", row.answer, err, row.reason)
			}
			for _, part := range []string{"rack1-3", "AT+S.X", row.text} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
			if err := m.At(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTimeoutNamesItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{"AT+S.X": "#  half"}})
		m := f.module(spwf.Options{Limits: spwf.Limits{Command: 3 * time.Second}})
		began := time.Now()
		_, err := m.Do(t.Context(), "AT+S.X")
		var silent *spwf.TimeoutError
		if !errors.As(err, &silent) || silent.Limit != "command" || string(silent.Got) != "#  half" || silent.Command != "AT+S.X" {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("took %v", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error("no deadline error")
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = m.Do(ctx, "AT+S.X")
		if !errors.As(err, &silent) || silent.Limit != "context" {
			t.Fatalf("got %v", err)
		}
	})
}

func TestCancelInTheMiddleOfARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{"AT+S.X": "half"}})
		m := f.module(spwf.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, cancel)
		began := time.Now()
		_, err := m.Do(ctx, "AT+S.X")
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(began); took != 2*time.Second+50*time.Millisecond && took > 2100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		// The console is usable: the late answer is not taken for the next.
		f.print("\r\nlate\r\n" + ok)
		r, err := m.Do(t.Context(), "AT")
		if err != nil || len(r.Lines) != 0 {
			t.Errorf("got %q, %v", r.Lines, err)
		}
	})
}

func TestCallsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{"AT+S.SLOW": ""}})
		m := f.module(spwf.Options{Limits: spwf.Limits{Command: 5 * time.Second}})
		done := make(chan error)
		go func() { _, err := m.Do(t.Context(), "AT+S.SLOW"); done <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.At(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := <-done; err == nil {
			t.Error("no error")
		}
		if err := m.At(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestResetAndFault(t *testing.T) {
	dump := wind(8, "Hard Fault:wpas: r0 00000000") + " r1 00000001, r2 20001234\r\n pc 08012344, psr 21000000\r\n"
	banner := wind(1, "Poweron (170111-665d284-SPWF01S)")
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{
			"AT+S.R": "#  a = 1\r\n\xff\x00" + wind(2, "Reset") + banner,
			"AT+S.F": "#  a = " + dump + banner,
			"AT+S.G": dump, // and then nothing
			"AT+S.H": wind(10, "MallocFailed (1500/900)"),
		}})
		m := f.module(spwf.Options{})
		_, err := m.Do(t.Context(), "AT+S.R")
		var reset *spwf.ResetError
		if !errors.As(err, &reset) || reset.Wind.ID != 2 || reset.Command != "AT+S.R" {
			t.Errorf("got %v", err)
		}
		for _, command := range []string{"AT+S.F", "AT+S.G"} {
			_, err = m.Do(t.Context(), command)
			var fault *spwf.FaultError
			if !errors.As(err, &fault) {
				t.Fatalf("%s: got %v", command, err)
			}
			want := &spwf.FaultError{
				Board: "b1", Command: command,
				Wind: spwf.Indication{ID: 8, Text: "Hard Fault:wpas: r0 00000000"},
				Dump: []string{" r1 00000001, r2 20001234", " pc 08012344, psr 21000000"},
			}
			if diff := cmp.Diff(want, fault); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(err.Error(), "pc 08012344") {
				t.Errorf("%v lacks the registers", err)
			}
		}
		if _, err = m.Do(t.Context(), "AT+S.H"); err == nil || !strings.Contains(err.Error(), "MallocFailed") {
			t.Errorf("got %v", err)
		}
		if err := m.At(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestWaitIndicationKeepsOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		var seen []int
		m := f.module(spwf.Options{OnIndication: func(i spwf.Indication) { seen = append(seen, i.ID) }})
		f.print(wind(0, "Console active") + wind(32, "WiFi Hardware Started") + wind(24, "WiFi Up:10.0.0.7"))
		i, err := m.WaitIndication(t.Context(), 24)
		if err != nil || i.Text != "WiFi Up:10.0.0.7" {
			t.Fatalf("got %v, %v", i, err)
		}
		if i, err = m.WaitIndication(t.Context(), 32); err != nil || i.ID != 32 {
			t.Fatalf("got %v, %v", i, err)
		}
		if got := m.Indications(); len(got) != 1 || got[0].ID != 0 {
			t.Errorf("kept %v", got)
		}
		if diff := cmp.Diff([]int{0, 32, 24}, seen); diff != "" {
			t.Error(diff)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.WaitIndication(ctx, 24); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "+WIND:24") {
			t.Errorf("got %v", err)
		}
		f.print(wind(8, "Hard Fault"))
		var fault *spwf.FaultError
		if _, err := m.WaitIndication(t.Context(), 24); !errors.As(err, &fault) {
			t.Errorf("got %v", err)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		m := f.module(spwf.Options{Kept: 10})
		f.print(strings.Repeat(wind(16, "WiFi Signal OK (1)"), 25) + wind(33, "WiFi Network Lost"))
		if err := m.At(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := m.Indications()
		if len(got) != 10 || got[9].ID != 33 || m.Dropped() != 16 {
			t.Errorf("kept %d, last %v, dropped %d", len(got), got[len(got)-1], m.Dropped())
		}
	})
}

func TestCommandsCannotBeSmuggled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		m := f.module(spwf.Options{})
		for _, err := range []error{
			call(m.Do(t.Context(), "AT\rAT&F")),
			m.SetConfig(t.Context(), "user_desc", "x\rAT&F"),
			m.SetConfig(t.Context(), "a,b", "x"),
			m.SetDomain(t.Context(), "a,b"),
			call(m.Open(t.Context(), "host,1", 80, spwf.TCP)),
			call(m.Open(t.Context(), "host", 0, spwf.TCP)),
			call(m.Join(t.Context(), "x\ny", "", spwf.OpenNetwork)),
			call(m.Do(t.Context(), "")),
		} {
			if !errors.Is(err, spwf.ErrArgument) {
				t.Errorf("got %v", err)
			}
		}
		if len(f.seen()) != 0 {
			t.Errorf("the module saw %q", f.seen())
		}
	})
}

func call[T any](_ T, err error) error { return err }

func TestRecoverFeedsAHungryConsole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		m := f.module(spwf.Options{Limits: spwf.Limits{Command: time.Second}})
		if _, err := m.DoPayload(t.Context(), "AT+S.SOCKW=00,700", []byte("short"), false); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if err := m.At(t.Context()); err == nil {
			t.Fatal("the console was not hungry")
		}
		if err := m.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := m.At(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(f.payloads["AT+S.SOCKW=00,700"]); got != 700 {
			t.Errorf("payload of %d bytes", got)
		}
	})
}

func TestSyncOutlastsALateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{"AT+S.X": ""}})
		m := f.module(spwf.Options{Limits: spwf.Limits{Command: time.Second}})
		if _, err := m.Do(t.Context(), "AT+S.X"); err == nil {
			t.Fatal("no error")
		}
		time.AfterFunc(60*time.Millisecond, func() { f.print(ok) })
		if err := m.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(f.seen(), "|"); got != "AT+S.X|AT|AT" {
			t.Errorf("sent %s", got)
		}
	})
}

func TestRecoverGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{answers: map[string]string{"AT": ""}})
		m := f.module(spwf.Options{})
		if err := m.Recover(t.Context()); !errors.Is(err, spwf.ErrWedged) {
			t.Errorf("got %v", err)
		}
	})
}

func TestSecretsShowNowhere(t *testing.T) {
	const psk = "correct horse battery"
	key := "-----BEGIN RSA PRIVATE KEY-----\r\nMIIEpAIBAAKCAQEAsecretsecret\r\n-----END RSA PRIVATE KEY-----\r\n"
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{echo: true, answers: map[string]string{
			"AT+S.SCFG":     refuse("bad value " + psk),
			"AT+S.TLSCERT":  "MIIEpAIBAAKCAQEAsecretsecret\r\n" + refuse("MIIEpAIBAAKCAQEAsecretsecret"),
			"AT&V":          "#  wifi_wpa_psk_text = " + psk + "\r\n#  wifi_mode = 1\r\n",
			"AT+S.HTTPPOST": refuse("no refresh=tok4711 here"),
		}})
		m := f.module(spwf.Options{Limits: spwf.Limits{Command: time.Second}})
		errs := []error{
			m.SetConfig(t.Context(), "wifi_wpa_psk_text", psk),
			m.LoadKey(t.Context(), spwf.Flash, []byte(key)),
			call(m.DumpConfig(t.Context())),
			call(m.HTTPPost(t.Context(), "h", "/p", "refresh=tok4711", 80)),
		}
		for _, err := range errs {
			if err == nil {
				t.Fatal("no error")
			}
			text := err.Error()
			var refused *spwf.CommandError
			var silent *spwf.TimeoutError
			switch {
			case errors.As(err, &refused):
				text += string(refused.Raw) + refused.Text + refused.Command
			case errors.As(err, &silent):
				text += string(silent.Got) + silent.Command
			}
			for _, secret := range []string{psk, "MIIEpAIBAAKCAQEAsecretsecret", "tok4711"} {
				if strings.Contains(text, secret) {
					t.Errorf("%q holds %q", text, secret)
				}
			}
			if !strings.Contains(text, "redacted") {
				t.Errorf("%q says nothing of what was cut", text)
			}
		}
		for _, secret := range []string{psk, key, "tok4711"} {
			if !strings.Contains(f.secret.String(), secret) {
				t.Errorf("%q was not handed over as a secret", secret)
			}
		}
		if c := (spwf.Credentials{Key: []byte(key)}); strings.Contains(c.String()+c.GoString(), "secretsecret") {
			t.Error("credentials print their key")
		}
	})
}

func TestEchoedPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{echo: true})
		m := f.module(spwf.Options{})
		for _, payload := range []string{"x\r\nOK\r\ny", "ERROR: Pending data\r\n", "\r\nOK\r\n"} {
			r, err := m.DoSized(t.Context(), "AT+S.SOCKW=00", []byte(payload), false)
			if err != nil || len(r.Lines) != 0 {
				t.Errorf("%q: got %q, %v", payload, r.Lines, err)
			}
			if err := m.At(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}
