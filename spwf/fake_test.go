package spwf_test

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hil-runner/spwf"
)

// wire is one end of an in-memory UART: what the module prints is buffered,
// what the driver writes is recorded.
type wire struct {
	mu       sync.Mutex
	in       []byte // for the driver
	deadline time.Time
	changed  chan struct{}
	chunk    int // most bytes that one Read gives; 0 means all
	closed   bool

	out    chan []byte // for the module
	sent   bytes.Buffer
	secret bytes.Buffer
	baud   int
}

func newWire() *wire { return &wire{changed: make(chan struct{}), out: make(chan []byte, 1024)} }

func (w *wire) signal() {
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *wire) Read(p []byte) (int, error) {
	for {
		w.mu.Lock()
		if !w.deadline.IsZero() && !time.Now().Before(w.deadline) {
			w.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		if len(w.in) > 0 {
			n := len(p)
			if w.chunk > 0 {
				n = min(n, w.chunk)
			}
			n = copy(p[:n], w.in)
			w.in = w.in[n:]
			w.mu.Unlock()
			return n, nil
		}
		if w.closed {
			w.mu.Unlock()
			return 0, io.EOF
		}
		changed := w.changed
		wait := time.Hour
		if !w.deadline.IsZero() {
			wait = time.Until(w.deadline)
		}
		w.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.sent.Write(p)
	w.mu.Unlock()
	w.out <- append([]byte(nil), p...)
	return len(p), nil
}

func (w *wire) WriteSecret(p []byte) (int, error) {
	w.mu.Lock()
	w.secret.Write(p)
	w.mu.Unlock()
	return w.Write(p)
}

func (w *wire) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	w.signal()
	return nil
}

func (w *wire) SetBaud(baud int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.baud = baud
	return nil
}

// print is what the module sends.
func (w *wire) print(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in = append(w.in, s...)
	w.signal()
}

func (w *wire) sentText() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent.String()
}

// fake is a scripted console: it cuts what the driver sends into commands and
// payloads by the declared lengths and answers from a table.
type fake struct {
	*wire
	answers  map[string]string // by the whole command, else by the part up to "="
	on       map[string]func(f *fake, command string, payload []byte)
	echo     bool
	mu2      sync.Mutex
	commands []string
	payloads map[string][]byte
}

const ok = "\r\nOK\r\n"

func refuse(text string) string { return "\r\nERROR: " + text + "\r\n" }

func wind(id int, text string) string {
	return "\r\n+WIND:" + strconv.Itoa(id) + ":" + text + "\r\n"
}

// start runs the console until the test ends.
func start(t *testing.T, f *fake) *fake {
	t.Helper()
	f.wire = newWire()
	f.payloads = make(map[string][]byte)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.serve()
	}()
	t.Cleanup(func() {
		close(f.out)
		<-done
	})
	return f
}

func (f *fake) serve() {
	var buf []byte
	for p := range f.out {
		buf = append(buf, p...)
		for {
			at := bytes.IndexByte(buf, '\r')
			if bytes.HasPrefix(buf, []byte("at+s.")) && at < 0 {
				f.handle("at+s.", nil)
				buf = nil
				break
			}
			if at < 0 {
				break
			}
			command := strings.TrimLeft(string(buf[:at]), "\n")
			// What stands before the first A is skipped.
			if a := strings.IndexAny(command, "Aa"); a > 0 {
				command = command[a:]
			} else if a < 0 {
				command = ""
			}
			want := declared(command)
			if len(buf) < at+1+want {
				break
			}
			payload := append([]byte(nil), buf[at+1:at+1+want]...)
			buf = buf[at+1+want:]
			if command != "" {
				f.handle(command, payload)
			}
		}
	}
}

func declared(command string) int {
	for _, verb := range []string{"AT+S.SOCKW=", "AT+S.TLSCERT=", "AT+S.FSA="} {
		if strings.HasPrefix(command, verb) {
			n, _ := strconv.Atoi(command[strings.LastIndexByte(command, ',')+1:])
			return n
		}
	}
	return 0
}

func (f *fake) handle(command string, payload []byte) {
	f.mu2.Lock()
	f.commands = append(f.commands, command)
	if len(payload) > 0 {
		f.payloads[command] = payload
	}
	f.mu2.Unlock()
	if f.echo {
		f.print(command + "\r" + string(payload))
	}
	verb, _, _ := strings.Cut(command, "=")
	for _, key := range []string{command, verb} {
		if do := f.on[key]; do != nil {
			do(f, command, payload)
			return
		}
		if answer, found := f.answers[key]; found {
			f.print(answer)
			return
		}
	}
	f.print(ok)
}

func (f *fake) seen() []string {
	f.mu2.Lock()
	defer f.mu2.Unlock()
	return append([]string(nil), f.commands...)
}

func (f *fake) module(opt spwf.Options) *spwf.Module {
	if opt.Board == "" {
		opt.Board = "b1"
	}
	return spwf.New(f.wire, opt)
}
