package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// helloOf gives the first flight of a crypto/tls client and what a crypto/tls
// server understood of it: a parser that is not ours.
func helloOf(t testing.TB, cfg *tls.Config) ([]byte, *tls.ClientHelloInfo) {
	t.Helper()
	client, server := net.Pipe()
	var flight bytes.Buffer
	var info *tls.ClientHelloInfo
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer server.Close()
		_ = tls.Server(teeConn{server, &flight}, &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
			info = i
			return nil, io.ErrUnexpectedEOF
		}}).Handshake()
	}()
	_ = tls.Client(client, cfg).Handshake()
	client.Close()
	<-done
	return flight.Bytes(), info
}

type teeConn struct {
	net.Conn
	w io.Writer
}

func (c teeConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	_, _ = c.w.Write(p[:n])
	return n, err
}

func configs() []*tls.Config {
	return []*tls.Config{
		{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, MinVersion: tls.VersionTLS10,
			CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA}},
		{ServerName: "endpoint.hil.test"},
		{ServerName: strings.Repeat("a", 60) + ".hil.test", NextProtos: []string{"x-amzn-http-ca", "http/1.1"}, MaxVersion: tls.VersionTLS12},
	}
}

func TestClientHelloAgainstCryptoTLS(t *testing.T) {
	for i, cfg := range configs() {
		flight, info := helloOf(t, cfg)
		msg := flight[5:]
		h, err := ParseClientHello(msg)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		var groups, sigs []uint16
		for _, g := range info.SupportedCurves {
			groups = append(groups, uint16(g))
		}
		for _, s := range info.SignatureSchemes {
			sigs = append(sigs, uint16(s))
		}
		if !slices.Equal(h.Suites, info.CipherSuites) || h.ServerName != info.ServerName || !slices.Equal(h.ALPN, info.SupportedProtos) ||
			!slices.Equal(h.Groups, groups) || !slices.Equal(h.Signatures, sigs) || !slices.Equal(h.Extensions, info.Extensions) ||
			!bytes.Equal(h.PointFormats, info.SupportedPoints) {
			t.Errorf("%d: parsed %+v, crypto/tls says %+v", i, h, info)
		}
		if h.SHA256 != hexSum(msg) || h.Size != len(msg) || h.Random != hex.EncodeToString(msg[6:38]) {
			t.Errorf("%d: hash %s size %d random %s", i, h.SHA256, h.Size, h.Random)
		}
		again, _ := helloOf(t, cfg)
		h2, err := ParseClientHello(again[5:])
		if err != nil {
			t.Fatal(err)
		}
		if h2.Random == h.Random || h2.SHA256 == h.SHA256 {
			t.Errorf("%d: two connections look the same", i)
		}
		if h2.Fingerprint() != h.Fingerprint() {
			t.Errorf("%d: fingerprints differ:\n%s\n%s", i, h.Fingerprint(), h2.Fingerprint())
		}
		for n := range msg {
			if _, err := ParseClientHello(msg[:n]); err == nil {
				t.Fatalf("%d: the first %d bytes passed for a ClientHello", i, n)
			}
		}
	}
}

// A hello without extensions is what the oldest clients send.
func TestClientHelloWithoutExtensions(t *testing.T) {
	body := "0301" + strings.Repeat("ab", 32) + "00" + "0004" + "002f0035" + "0100"
	msg, err := hex.DecodeString("010000" + hex.EncodeToString([]byte{byte(len(body) / 2)}) + body)
	if err != nil {
		t.Fatal(err)
	}
	h, err := ParseClientHello(msg)
	if err != nil {
		t.Fatal(err)
	}
	if h.Version != 0x0301 || !slices.Equal(h.Suites, []uint16{0x2f, 0x35}) || h.Extensions != nil || len(h.Compressions) != 1 {
		t.Errorf("parsed %+v", h)
	}
}

// open is a witness of nobody.
func testWitness() *witness {
	return newJournal().open(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
}

// However the bytes arrive, the same is seen.
func TestScannerAnySplit(t *testing.T) {
	flight, _ := helloOf(t, configs()[0])
	alert := []byte{21, 3, 1, 0, 2, 2, 48}
	sealed := []byte{20, 3, 1, 0, 1, 1, 22, 3, 1, 0, 3, 9, 9, 9, 21, 3, 1, 0, 5, 1, 2, 3, 4, 5}
	stream := slices.Concat(flight, alert, sealed)
	for size := 1; size <= len(stream); size++ {
		w := testWitness()
		in := newTap(nil, w)
		for p := range slices.Chunk(stream, size) {
			in.in.write(p)
		}
		c := w.view()
		if c.Hello == nil || len(c.AlertsReceived) != 1 || c.AlertsReceived[0] != (Alert{Fatal: true, Code: AlertUnknownCA}) {
			t.Fatalf("in pieces of %d: %s, hello %+v", size, c, c.Hello)
		}
		if !in.in.sealed || in.in.last != recordAlert || in.in.foreign {
			t.Fatalf("in pieces of %d: sealed %v last %d foreign %v", size, in.in.sealed, in.in.last, in.in.foreign)
		}
	}
}

// A hello that is spread over several records is still one.
func TestScannerFragmentedHello(t *testing.T) {
	flight, _ := helloOf(t, configs()[1])
	var stream []byte
	for p := range slices.Chunk(flight[5:], 7) {
		stream = append(stream, 22, 3, 1, 0, byte(len(p)))
		stream = append(stream, p...)
	}
	w := testWitness()
	in := newTap(nil, w)
	in.in.write(stream)
	if c := w.view(); c.Hello == nil || c.Hello.ServerName != "endpoint.hil.test" {
		t.Errorf("saw %s", c)
	}
}

func TestSSLv2Hello(t *testing.T) {
	body := []byte{1, 3, 1, 0, 6, 0, 0, 0, 16, 0, 0, 0x2f, 7, 0, 0xc0}
	body = append(body, bytes.Repeat([]byte{0xcd}, 16)...)
	stream := append([]byte{0x80, byte(len(body))}, body...)
	for size := 1; size <= len(stream); size++ {
		w := testWitness()
		in := newTap(nil, w)
		for p := range slices.Chunk(stream, size) {
			in.in.write(p)
		}
		h := w.view().Hello
		if h == nil || !h.SSLv2 || h.Version != 0x0301 || !slices.Equal(h.Suites, []uint16{0x2f}) || len(h.Random) != 32 {
			t.Fatalf("in pieces of %d: %+v", size, h)
		}
	}
}

// Handshake messages that never end must not fill the memory.
func TestScannerIsBounded(t *testing.T) {
	w := testWitness()
	in := newTap(nil, w)
	record := append([]byte{22, 3, 1, 0x40, 0}, make([]byte, 0x4000)...)
	copy(record[5:], []byte{1, 0xff, 0xff, 0xff})
	for range 64 {
		in.in.write(record)
	}
	if n := cap(in.in.shake); n > 2*maxMessage {
		t.Errorf("%d bytes are kept", n)
	}
	for range 5000 {
		w.alertReceived(Alert{Code: AlertNoRenegotiation})
	}
	if c := w.view(); len(c.AlertsReceived) > maxAlerts || len(w.j.allEvents()) > maxAlerts+2 {
		t.Errorf("%d alerts and %d events are kept", len(c.AlertsReceived), len(w.j.allEvents()))
	}
}

func TestJournalIsBounded(t *testing.T) {
	j := newJournal()
	for range maxConnections + 10 {
		w := j.open(&net.TCPAddr{Port: 1})
		for range 10 {
			w.handshakeFailed(strings.Repeat("x", 4096))
		}
	}
	events, conns := j.allEvents(), j.connections()
	if len(events) > maxEvents || len(conns) > maxConnections {
		t.Errorf("%d events and %d connections are kept", len(events), len(conns))
	}
	if last := events[len(events)-1]; last.Seq != (maxConnections+10)*11 || len(last.Detail) > maxDetail {
		t.Errorf("the newest event is %d with %d bytes", last.Seq, len(last.Detail))
	}
	// A waiter that began before the old ones were forgotten still finds it.
	if err := j.wait(context.Background(), func() bool { return true }); err != nil {
		t.Error(err)
	}
}

func FuzzClientHello(f *testing.F) {
	for _, cfg := range configs() {
		flight, _ := helloOf(f, cfg)
		f.Add(flight[5:])
	}
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, msg []byte) {
		h, err := ParseClientHello(msg)
		if (h == nil) != (err != nil) {
			t.Fatalf("%v, %v", h, err)
		}
		if h != nil {
			_ = h.Fingerprint()
			if 2*len(h.Suites) > len(msg) || len(h.ServerName) > len(msg) {
				t.Fatalf("more came out than went in: %+v", h)
			}
		}
		_, _ = parseSSLv2Hello(msg)
		_, _ = parseServerHello(msg)
		_, _ = parseCertificates(msg)
	})
}

func FuzzScanner(f *testing.F) {
	for _, cfg := range configs() {
		flight, _ := helloOf(f, cfg)
		f.Add(flight, 3)
	}
	f.Add([]byte{0x80, 12, 1, 3, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0x2f}, 1)
	f.Add([]byte{21, 3, 1, 0, 2, 1, 0, 20, 3, 1, 0, 1, 1}, 2)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		if size <= 0 || len(stream) > 1<<16 {
			return
		}
		whole, parts := testWitness(), testWitness()
		newTap(nil, whole).in.write(stream)
		in := newTap(nil, parts)
		for p := range slices.Chunk(stream, size) {
			in.in.write(p)
		}
		a, b := whole.view(), parts.view()
		a.Accepted, b.Accepted = a.Closed, b.Closed
		if a.String() != b.String() || (a.Hello == nil) != (b.Hello == nil) {
			t.Fatalf("whole: %s; in pieces of %d: %s", a, size, b)
		}
	})
}
