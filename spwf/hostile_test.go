package spwf_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hil-runner/spwf"
)

// hostileCalls are the doors through which a module's bytes come in.
var hostileCalls = []func(*testing.T, *spwf.Module) (any, error){
	func(t *testing.T, m *spwf.Module) (any, error) { return m.Do(t.Context(), "AT+S.X=1") },
	func(t *testing.T, m *spwf.Module) (any, error) { return m.Scan(t.Context()) },
	func(t *testing.T, m *spwf.Module) (any, error) { return m.HTTPGet(t.Context(), "h", "/", 80) },
	func(t *testing.T, m *spwf.Module) (any, error) { return m.DumpConfig(t.Context()) },
	func(t *testing.T, m *spwf.Module) (any, error) { return m.Files(t.Context()) },
	func(t *testing.T, m *spwf.Module) (any, error) { return m.Version(t.Context()) },
	func(t *testing.T, m *spwf.Module) (any, error) { return m.WaitUp(t.Context(), "lab") },
	func(t *testing.T, m *spwf.Module) (any, error) { return m.Restart(t.Context()) },
	func(t *testing.T, m *spwf.Module) (any, error) {
		var steps []spwf.Progress
		err := m.FWUpdate(t.Context(), "h", "/f", 80, func(p spwf.Progress) { steps = append(steps, p) })
		return steps, err
	},
	func(t *testing.T, m *spwf.Module) (any, error) {
		return nil, m.LoadKey(t.Context(), spwf.Flash, []byte("-----BEGIN PRIVATE KEY-----\nsecretsecret\n"))
	},
	func(t *testing.T, m *spwf.Module) (any, error) {
		s, err := m.Open(t.Context(), "h", 1, spwf.TLS)
		if err != nil {
			return nil, err
		}
		p := make([]byte, 64)
		n, err := s.Read(t.Context(), p)
		return string(p[:n]), err
	},
}

// secretCall is the call that sends a key.
const secretCall = 9

// answerAll gives the same answer to every command.
func answerAll(t *testing.T, call int, answer string, chunk int) (result string) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, &fake{})
		times := 0
		for _, verb := range []string{"AT", "AT&V", "AT+CFUN", "AT+S.X", "AT+S.SCAN", "AT+S.HTTPGET", "AT+S.FSL", "AT+S.STS", "AT+S.FWUPDATE", "AT+S.TLSCERT", "AT+S.SOCKON", "AT+S.SOCKQ", "AT+S.SOCKR", "AT+S.SCFG"} {
			if f.on == nil {
				f.on = make(map[string]func(*fake, string, []byte))
			}
			f.on[verb] = func(f *fake, _ string, _ []byte) {
				if times++; times < 40 {
					f.print(answer)
				}
			}
		}
		f.chunk = chunk
		m := f.module(spwf.Options{Limits: spwf.Limits{Join: time.Second, Boot: time.Second, Command: 5 * time.Second}})
		if call == 6 {
			f.print(answer)
		}
		began := time.Now()
		got, err := hostileCalls[call](t, m)
		if took := time.Since(began); took > 10*time.Minute {
			t.Errorf("took %v", took)
		}
		if call == secretCall && err != nil && strings.Contains(err.Error(), "secretsecret") {
			t.Errorf("%v holds a secret", err)
		}
		// What was not read yet would show among the indications of one chunk
		// size only.
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, werr := m.WaitIndication(ctx, 999)
			cancel()
			if errors.Is(werr, context.DeadlineExceeded) {
				break
			}
		}
		failure := fmt.Sprint(err)
		var silent *spwf.TimeoutError
		if errors.As(err, &silent) {
			// What came back so far depends on when one looks.
			failure = silent.Command + " " + silent.Limit
		}
		result = fmt.Sprintf("%+v %s %v", got, failure, m.Indications())
	})
	return result
}

var hostileAnswers = []string{
	ok, refuse("Pending data"), bootText + wind(32, ""), " ID: 00\r\n" + ok, " DATALEN: 5\r\n" + ok, "hello" + ok,
	"1:\tBSS 00:80:e1:00:00:01 CHAN: 06 RSSI: -52 SSID: 'x' CAPS: 0431 WPA2\r\n" + ok,
	"HTTP/1.1 200 OK\r\nA: b\r\n\r\nx" + trailer + ok, "#  version = 170111-665d284-SPWF01S\r\n" + ok,
	wind(24, "WiFi Up:10.0.0.1"), wind(8, "Hard Fault") + "r0 0\r\n", " Write len 99999999999 -> 0xfffffffff\r\n" + ok,
	"\r\nsecretsecret\r\n" + refuse("secretsecret"), " ID: -1\r\n" + ok, " DATALEN: -5\r\n" + ok, " I 99999999999999999999 /x\r\n" + ok,
}

// FuzzModule lets a hostile module answer every call: no answer may panic or
// hang the driver, or give another result in other chunks.
func FuzzModule(f *testing.F) {
	for call := range hostileCalls {
		for _, answer := range hostileAnswers {
			f.Add(byte(call), []byte(answer), byte(1))
		}
	}
	f.Fuzz(func(t *testing.T, call byte, answer []byte, chunk byte) {
		n := int(call) % len(hostileCalls)
		whole := answerAll(t, n, string(answer), 0)
		if chunk == 0 {
			return
		}
		if got := answerAll(t, n, string(answer), int(chunk)); got != whole {
			t.Errorf("call %d, chunks show:\n got %s\nwant %s", n, got, whole)
		}
	})
}
