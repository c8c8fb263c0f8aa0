package recorder_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"hil-runner/recorder"
)

// script is a source of records that a test writes down: 100 bytes and 10 ms
// apart.
type script []recorder.Record

func (s *script) Next() (recorder.Record, error) {
	if len(*s) == 0 {
		return recorder.Record{}, io.EOF
	}
	r := (*s)[0]
	*s = (*s)[1:]
	return r, nil
}

func (s *script) add(kind recorder.Kind, data string) *script {
	n := len(*s) + 1
	*s = append(*s, recorder.Record{
		Offset: recorder.Offset(100 * n),
		Kind:   kind,
		Wall:   time.Date(2026, 11, 23, 20, 44, 29, 0, time.UTC).Add(time.Duration(n) * 10 * time.Millisecond),
		Data:   []byte(data),
	})
	return s
}

func (s *script) rx(data string) *script { return s.add(recorder.KindRx, data) }
func (s *script) tx(data string) *script { return s.add(recorder.KindTx, data) }
func (s *script) secret(data string) *script {
	s.tx(data)
	(*s)[len(*s)-1].Secret = true
	return s
}
func (s *script) wait(d time.Duration) *script {
	last := len(*s) - 1
	(*s)[last].Wall = (*s)[last].Wall.Add(d)
	return s
}

func render(t *testing.T, s *script, secrets ...string) (string, *recorder.Index) {
	t.Helper()
	opt := recorder.RenderOptions{Zone: time.UTC}
	for _, x := range secrets {
		opt.Secrets = append(opt.Secrets, []byte(x))
	}
	var b strings.Builder
	index, err := recorder.Render(&b, s, opt)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), index
}

// text is the log without the dates.
func text(log string) []string {
	lines := strings.Split(strings.TrimSuffix(log, "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, "2026-11-23 20:44:")
	}
	return lines
}

func TestRender(t *testing.T) {
	for _, c := range []struct {
		name    string
		in      *script
		secrets []string
		want    []string
	}{
		{"command and answer", new(script).tx("AT\r").rx("\r\nOK\r\n"), nil,
			[]string{"29.010 -> AT", "29.020 <- OK"}},
		{"a line in pieces has the time of its first byte", new(script).rx("\r\n+WI").rx("ND:").rx("1\r").rx("\nnext\n"), nil,
			[]string{"29.010 <- +WIND:1", "29.040 <- next"}},
		{"both ways at once", new(script).rx("+WI").tx("AT\r").rx("ND:1\r\n"), nil,
			[]string{"29.020 -> AT", "29.010 <- +WIND:1"}},
		{"event", new(script).rx("half").add(recorder.KindWatch, `{"event":"x"}`).rx(" line\n"), nil,
			[]string{`29.020 # watch x`, "29.010 <- half line"}},
		{"a reset breaks lines off", new(script).rx("half").add(recorder.KindReset, `{}`).rx("\r\nboot\r\n"), nil,
			[]string{"29.010 <- half", "29.020 # reset", "29.030 <- boot"}},
		{"an event for people", new(script).add(recorder.KindSpec, `{"event":"spec_ended","at":"2026-11-23T20:44:29Z","id":"tls.C02","outcome":"failed","causes":[{"code":"x"}],"evidence":[1,2,3],"message":"two words"}`), nil,
			[]string{`29.010 # spec spec_ended id=tls.C02 outcome=failed causes=[{"code":"x"}] evidence=[3] message="two words"`}},
		{"the boot ROM is counted", new(script).add(recorder.KindBoot, `{"event":"boot0","rom":true}`).tx("\x7f").rx("\x79").tx("\x11\xee").rx("\x79").add(recorder.KindBoot, `{"event":"boot0","rom":false}`).rx("+WIND:1\r\n"), nil,
			[]string{"29.010 # boot boot0 rom=true", "29.050 # boot ROM: 3 bytes sent, 2 received", "29.060 # boot boot0 rom=false", "29.070 <- +WIND:1"}},
		{"the boot ROM until the end", new(script).add(recorder.KindBoot, `{"event":"boot0","rom":true}`).tx("\x7f"), nil,
			[]string{"29.010 # boot boot0 rom=true", "29.020 # boot ROM: 1 bytes sent, 0 received"}},
		{"a command that looks like the begin of a secret stands before its answer", new(script).tx("AT+S.SOCKON=x,ind\r").rx("OK\r\n").tx("AT\r"), []string{"dddd1234"},
			[]string{"29.010 -> AT+S.SOCKON=x,ind", "29.020 <- OK", "29.030 -> AT"}},
		{"a prompt without line end", new(script).rx("> ").rx("late\n").wait(2 * time.Second), nil,
			[]string{"29.010 <- > ", "31.020 <+ late"}},
		{"the end", new(script).rx("half"), nil, []string{"29.010 <- half"}},
		{"hostile bytes", new(script).rx("\x1b[2J\x00\x07\x7f\xff\xc2\x9b\u202eabc\u200b\\x\ttab é\n"), nil,
			[]string{`29.010 <- \x1b[2J\x00\x07\x7f\xff\u009b\u202eabc\u200b\\x` + "\ttab é"}},
		{"a carriage return overwrites nothing", new(script).rx("bad\rgood\r\n"), nil,
			[]string{"29.010 <- bad", "29.010 <- good"}},
		{"marked secret", new(script).secret("AT+S.SCFG=wifi_wpa_psk_text,hunter22\r").rx("AT+S.SCFG=wifi_wpa_psk_text,hunter22\r\r\nOK\r\n"), nil,
			[]string{"29.010 -> [redacted 37 bytes]", "29.020 <- [redacted 36 bytes]", "29.020 <- OK"}},
		{"the value of a marked command alone", new(script).secret("AT+S.SCFG=wifi_wpa_psk_text,hunter22\r").rx("# wifi_wpa_psk_text = hunter22\r\n"), nil,
			[]string{"29.010 -> [redacted 37 bytes]", "29.020 <- # wifi_wpa_psk_text = [redacted 8 bytes]"}},
		{"echo over two records", new(script).secret("secret payload").rx("x secret pa").rx("yload y\r\n"), nil,
			[]string{"29.010 -> [redacted 14 bytes]", "29.020 <- x [redacted 14 bytes] y"}},
		{"secret sent in pieces, echoed whole", new(script).secret("ab").secret("cd").secret("ef\r").rx("abcdef\r\n"), nil,
			[]string{"29.010 -> [redacted 7 bytes]", "29.040 <- [redacted 6 bytes]"}},
		{"known secret over two lines", new(script).rx("key=hunt\r\ner22;\r\n"), []string{"hunter22"},
			[]string{"29.010 <- key=[redacted 10 bytes];"}},
		{"known secret around an event", new(script).rx("a hunt").add(recorder.KindNote, "note").rx("er22 b\n"), []string{"hunter22"},
			[]string{"29.020 # note note", "29.010 <- a [redacted 8 bytes] b"}},
		{"known secret in an event", new(script).add(recorder.KindControl, `{"psk":"hunt\"er22"}`), []string{`hunt"er22`},
			[]string{`29.010 # control psk="[redacted 10 bytes]"`}},
		{"nearly a secret", new(script).rx("hunter21 hunthunter22\n"), []string{"hunter22"},
			[]string{"29.010 <- hunter21 hunt[redacted 8 bytes]"}},
		{"overlapping secrets", new(script).rx("abcdefgh\n"), []string{"abcdef", "defgh"},
			[]string{"29.010 <- [redacted 8 bytes]"}},
		{"hex of a secret", new(script).rx("68756E7465723232 68756e7465723232\n"), []string{"hunter22"},
			[]string{"29.010 <- [redacted 16 bytes] [redacted 16 bytes]"}},
		{"secret record of another kind", &script{{Offset: 100, Kind: recorder.KindControl, Secret: true, Data: []byte("x"), Wall: time.Date(2026, 11, 23, 20, 44, 29, 0, time.UTC)}}, nil,
			[]string{"29.000 # control [redacted 1 byte]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			log, _ := render(t, c.in, c.secrets...)
			if diff := cmp.Diff(c.want, text(log)); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRenderBoundsLines(t *testing.T) {
	s := new(script)
	for range 100 {
		s.rx(strings.Repeat("x", 1000))
	}
	log, _ := render(t, s)
	total := 0
	for i, l := range text(log) {
		if len(l) > 5000 {
			t.Fatalf("line %d has %d bytes", i, len(l))
		}
		if want := " <+ "; i > 0 && !strings.Contains(l, want) {
			t.Errorf("line %d does not say that it goes on: %.40s", i, l)
		}
		total += strings.Count(l, "x")
	}
	if total != 100_000 {
		t.Errorf("%d of 100000 bytes shown", total)
	}
}

func TestPrivateKeyIsHiddenInAllForms(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	lines := strings.Split(strings.TrimSpace(block), "\n")
	body := strings.Join(lines[1:len(lines)-1], "")
	for name, shown := range map[string]string{
		"as sent":          block,
		"other line ends":  strings.ReplaceAll(block, "\n", "\r\n"),
		"one line":         lines[1],
		"other width":      body[:40] + "\r\n" + body[40:80] + "\r\n" + body[80:],
		"DER":              string(der),
		"DER in hex":       hex.EncodeToString(der),
		"hex over 2 lines": hex.EncodeToString(der)[:100] + "\r\n" + hex.EncodeToString(der)[100:],
		"JSON":             strings.ReplaceAll(block, "\n", `\n`),
	} {
		for cut := 1; cut < len(shown); cut += 37 {
			s := new(script).secret(block).rx("before " + shown[:cut]).rx(shown[cut:] + " after\r\n")
			log, _ := render(t, s)
			for i := 0; i+12 <= len(body); i++ {
				if strings.Contains(log, body[i:i+12]) {
					t.Fatalf("%s, cut at %d: %q of the key is in the log:\n%s", name, cut, body[i:i+12], log)
				}
			}
			if strings.Contains(log, hex.EncodeToString(der[20:32])) || !strings.Contains(log, "before ") || !strings.Contains(log, " after") {
				t.Fatalf("%s, cut at %d:\n%s", name, cut, log)
			}
		}
	}
}

func TestIndexNamesTheLine(t *testing.T) {
	s := new(script).
		tx("AT\r").                  // 100: line 1
		rx("\r\nOK\r\n").            // 200: line 2
		rx("\r\n").                  // 300: shows nothing, next is line 3
		rx("a\r\nb\r\nhalf").        // 400: lines 3, 4 and a part of 6
		add(recorder.KindNote, "n"). // 500: line 5
		rx(" done\r\n")              // 600: line 6
	log, index := render(t, s)
	for at, want := range map[recorder.Offset]int{100: 1, 200: 2, 250: 2, 300: 3, 400: 3, 500: 5, 600: 6, 9999: 6} {
		if got, ok := index.Line(at); !ok || got != want {
			t.Errorf("offset %d is on line %d, want %d\n%s", at, got, want, log)
		}
	}
	if _, ok := index.Line(50); ok {
		t.Error("an offset before all records has a line")
	}
}

func TestRenderKeepsWhatIsBeforeDamage(t *testing.T) {
	broken := errors.New("damaged")
	n := 0
	var b strings.Builder
	_, err := recorder.Render(&b, sourceFunc(func() (recorder.Record, error) {
		if n++; n > 1 {
			return recorder.Record{}, broken
		}
		return recorder.Record{Offset: 80, Kind: recorder.KindRx, Data: []byte("half")}, nil
	}), recorder.RenderOptions{})
	if !errors.Is(err, broken) || !strings.Contains(b.String(), "<- half") {
		t.Errorf("%v: %q", err, b.String())
	}
}

type sourceFunc func() (recorder.Record, error)

func (f sourceFunc) Next() (recorder.Record, error) { return f() }

func TestRenderReportsAFullDisk(t *testing.T) {
	s := new(script)
	for range 1000 {
		s.rx(strings.Repeat("x", 100) + "\n")
	}
	if _, err := recorder.Render(&fullDisk{room: 5000}, s, recorder.RenderOptions{}); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
}

var errFull = errors.New("no space left on device")

type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestRedactorLeavesShortSecretsAlone(t *testing.T) {
	r := recorder.NewRedactor([]byte("ab"), []byte("a\r\nb\n"), nil)
	if got := r.String("ab a b ab"); got != "ab a b ab" {
		t.Errorf("redacted %q", got)
	}
	if got := recorder.NewRedactor([]byte("hunter22")).String("a hunter22 b hunter22"); got != "a [redacted 8 bytes] b [redacted 8 bytes]" {
		t.Errorf("redacted %q", got)
	}
}

// Whatever the board sends: no control byte comes out, no secret does, and the
// order of pieces changes nothing.
func FuzzRender(f *testing.F) {
	f.Add([]byte("\x1b]0;x\x07\r\n\xff\xfe"), "hunter22", 3, true)
	f.Add([]byte("HUNT\r\nERS HUNTERHUNTERS"), "HUNTERS", 1, false)
	f.Add([]byte("\r\n\r\n\r\n"), "\x00\x01\x02\x03", 1, true)
	f.Add([]byte("aaaaaaaab"), "aaaab", 2, true)
	f.Fuzz(func(t *testing.T, data []byte, secret string, n int, marked bool) {
		if n < 1 || len(data) > 20_000 {
			t.Skip()
		}
		s := new(script)
		if marked {
			s.secret(secret)
		}
		for rest := data; len(rest) > 0; {
			k := min(n, len(rest))
			s.rx(string(rest[:k]))
			rest = rest[k:]
		}
		s.add(recorder.KindNote, string(data))
		log, _ := render(t, s, secret)
		for _, r := range log {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || r == unicode.ReplacementChar && !bytes.ContainsRune(data, unicode.ReplacementChar)) {
				t.Fatalf("control character %U in %q", r, log)
			}
		}
		// Capitals only: what is escaped, counted or dated has none.
		if len(secret) >= 4 && strings.Trim(secret, "ABCDEFGHIJKLMNOPQRST") == "" && strings.Contains(log, secret) {
			t.Fatalf("secret %q in %q", secret, log)
		}
	})
}
