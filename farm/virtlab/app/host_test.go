package app_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hil-runner/farm/virtlab/app"
)

// bench is a fake silicon: a lock is its loop, the test's clock its time.
type bench struct {
	profile app.Profile
	air     *air

	mu      sync.Mutex
	app     *app.App
	life    context.Context
	end     context.CancelFunc
	reset   *app.ResetReason
	resets  []app.ResetReason
	out     []byte
	printed chan struct{} // closed and replaced with each print
	start   time.Time
	areas   map[app.Area][]byte
	baud    int
	gpio    map[int]bool
	rand    *rand.ChaCha8
	work    sync.WaitGroup
}

func newBench(p app.Profile) *bench {
	b := &bench{profile: p, air: newAir(), start: time.Now(), printed: make(chan struct{}),
		areas: map[app.Area][]byte{}, gpio: map[int]bool{7: true}, rand: rand.NewChaCha8([32]byte{1})}
	b.life, b.end = context.WithCancel(context.Background())
	return b
}

// boot starts a new life.
func (b *bench) boot(cold, gpio0 bool) {
	b.mu.Lock()
	defer b.leave()
	b.begin(cold, gpio0)
}

func (b *bench) begin(cold, gpio0 bool) {
	b.end()
	b.life, b.end = context.WithCancel(context.Background())
	b.app = app.New(silicon{b, b.life}, b.profile)
	b.app.Boot(cold, gpio0)
}

// leave ends one turn of the loop; a restart asked for in it happens now.
func (b *bench) leave() {
	for b.reset != nil {
		b.resets = append(b.resets, *b.reset)
		b.reset = nil
		b.begin(false, false)
	}
	b.mu.Unlock()
}

func (b *bench) do(f func(a *app.App)) {
	b.mu.Lock()
	defer b.leave()
	f(b.app)
}

func (b *bench) input(s string) { b.do(func(a *app.App) { a.Input([]byte(s)) }) }

// take gives what was printed since the last take.
func (b *bench) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := string(b.out)
	b.out = nil
	return s
}

// close ends the life and waits for its goroutines.
func (b *bench) close() {
	b.mu.Lock()
	b.end()
	b.mu.Unlock()
	b.work.Wait()
}

// settle lets the bubble's clock run until everything that was going on is
// over, and gives the output.
func (b *bench) settle() string {
	time.Sleep(10 * time.Second)
	synctest.Wait()
	return b.take()
}

func (b *bench) cmd(s string) string {
	b.input(s)
	return b.settle()
}

// expect waits, in real time, until the output ends with want and gives it.
func (b *bench) expect(t *testing.T, want string) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		b.mu.Lock()
		if bytes.HasSuffix(b.out, []byte(want)) {
			s := string(b.out)
			b.out = nil
			b.mu.Unlock()
			return s
		}
		wait, so := b.printed, string(b.out)
		b.mu.Unlock()
		select {
		case <-wait:
		case <-deadline:
			t.Fatalf("waited for %q, got %q", want, so)
		}
	}
}

// silicon is the bench as one life sees it.
type silicon struct {
	b   *bench
	ctx context.Context
}

func (s silicon) Now() time.Duration { return time.Since(s.b.start) }

func (s silicon) Print(p []byte) {
	if s.ctx.Err() != nil {
		return
	}
	s.b.out = append(s.b.out, p...)
	close(s.b.printed)
	s.b.printed = make(chan struct{})
}

func (s silicon) turn(f func()) {
	s.b.mu.Lock()
	defer s.b.leave()
	if s.ctx.Err() == nil && s.b.reset == nil && f != nil {
		f()
	}
}

func (s silicon) After(d time.Duration, f func()) func() {
	t := time.AfterFunc(d, func() { s.turn(f) })
	return func() { t.Stop() }
}

func (s silicon) Go(work func(context.Context) func()) {
	s.b.work.Go(func() { s.turn(work(s.ctx)) })
}

func (s silicon) Area(a app.Area) app.Store    { return area{s.b, a} }
func (s silicon) Reset(reason app.ResetReason) { s.b.reset = &reason }
func (s silicon) SetBaud(baud int)             { s.b.baud = baud }
func (s silicon) Net() app.Net                 { return s.b.air }
func (s silicon) Rand() io.Reader              { return s.b.rand }
func (s silicon) GPIO(n int) bool              { return s.b.gpio[n] }
func (s silicon) SetGPIO(n int, high bool)     { s.b.gpio[n] = high }

type area struct {
	b *bench
	a app.Area
}

func (s area) Load() []byte { return bytes.Clone(s.b.areas[s.a]) }

func (s area) Save(p []byte) error {
	if len(p) == 0 {
		delete(s.b.areas, s.a)
		return nil
	}
	s.b.areas[s.a] = bytes.Clone(p)
	return nil
}

// air is the network: in memory by services, or real loopback where a test
// sets dial.
type air struct {
	mu       sync.Mutex
	ap       app.AccessPoint
	names    map[string]string
	services map[string]func(net.Conn)
	dials    []string
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	conns    []net.Conn
	accept   map[string]chan net.Conn
	serving  sync.WaitGroup
}

func newAir() *air {
	return &air{
		ap:       app.AccessPoint{SSID: "lab", BSSID: "02:00:00:AA:BB:CC", Channel: 6, RSSI: -52, PSK: "secret-key", Up: true},
		names:    map[string]string{"echo.test": "10.0.0.1", "api.amazon.com": "10.0.0.2"},
		services: map[string]func(net.Conn){}, accept: map[string]chan net.Conn{},
	}
}

func (n *air) Access() app.AccessPoint { return n.ap }
func (n *air) Address() string         { return "192.168.0.102" }
func (n *air) MAC() string             { return "00:80:e1:b0:00:01" }

func (n *air) Resolve(_ context.Context, name string) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ip, ok := n.names[name]; ok {
		return ip, nil
	}
	return "", errors.New("no such name")
}

func (n *air) dialled() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

func (n *air) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials = append(n.dials, network+" "+address)
	if n.dial != nil {
		return n.dial(ctx, network, address)
	}
	serve, ok := n.services[address]
	if !ok {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	n.conns = append(n.conns, there)
	n.serving.Go(func() {
		defer there.Close()
		serve(there)
	})
	return here, nil
}

func (n *air) Listen(_ context.Context, _, address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ch := make(chan net.Conn)
	n.accept[address] = ch
	return &memListener{ch: ch, done: make(chan struct{})}, nil
}

// visit connects to the module's socket server.
func (n *air) visit(address string) net.Conn {
	n.mu.Lock()
	ch := n.accept[address]
	n.mu.Unlock()
	here, there := net.Pipe()
	ch <- there
	return here
}

type memListener struct {
	ch   chan net.Conn
	done chan struct{}
	once sync.Once
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ch:
		return visitor{c}, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *memListener) Addr() net.Addr { return nil }

// visitor is a connection from a known address.
type visitor struct{ net.Conn }

func (visitor) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 168, 0, 7), Port: 40000}
}

// inBubble runs f with a bench on a fake clock.
func inBubble(t *testing.T, p app.Profile, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(p)
		defer b.air.serving.Wait()
		defer b.close()
		f(t, b)
	})
}

// joined boots, configures the network and boots into it.
func joined(t *testing.T, b *bench) {
	t.Helper()
	b.boot(true, false)
	b.settle()
	for _, c := range []string{"AT+S.SSIDTXT=lab\r", "AT+S.SCFG=wifi_wpa_psk_text,secret-key\r",
		"AT+S.SCFG=wifi_priv_mode,2\r", "AT+S.SCFG=wifi_mode,1\r", "AT&W\r"} {
		if got := b.cmd(c); got != "\r\nOK\r\n" {
			t.Fatalf("%q: %q", c, got)
		}
	}
	b.cmd("AT+CFUN=1\r")
	if got := b.cmd("AT+S.STS=wifi_state\r"); got != "#  wifi_state = 10\r\n\r\nOK\r\n" {
		t.Fatalf("not joined: %q", got)
	}
}

// areasOf is a copy of the flash.
func (b *bench) areasOf() map[app.Area][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.areas)
}
