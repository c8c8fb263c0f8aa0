package spwf

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// transcript runs a stream through a frame in the given chunks, then through
// silence, and writes down everything that came out of it.
func transcript(kind, count int, stream, cuts []byte) string {
	var out strings.Builder
	var s Scanner
	onWind := func(i Indication) { fmt.Fprintf(&out, "wind %d %q\n", i.ID, i.Text) }
	var f frame
	switch kind % 5 {
	case 0:
		f = &lineFrame{scanner: &s, command: "AT+S.X=1,2", payload: []byte("ab"), onWind: onWind}
	case 1:
		f = newCountedFrame("AT+S.SOCKR=00,5", count, onWind)
	case 2:
		f = &contentFrame{command: "AT+S.SCAN", onWind: onWind, trailer: true, silence: 1}
	case 3:
		f = &waitFrame{scanner: &s, want: []int{24, 55}, strict: true, onWind: onWind}
	case 4:
		f = &enterFrame{lineFrame: lineFrame{scanner: &s, command: "AT+S."}}
		f.(*enterFrame).onWind = func(i Indication) {
			f.(*enterFrame).entered = f.(*enterFrame).entered || i.ID == WindDataMode
			onWind(i)
		}
	}
	between := func(p []byte) {
		if kind%5 == 4 {
			fmt.Fprintf(&out, "%s", p)
			return
		}
		s.Feed(p, func(ev Event) bool {
			if ev.IsIndication {
				onWind(ev.Indication)
			}
			return true
		})
	}
	done := false
	for n := 0; len(stream) > 0; n++ {
		size := len(stream)
		if len(cuts) > 0 {
			size = min(size, 1+int(cuts[n%len(cuts)]))
		}
		p := stream[:size]
		stream = stream[size:]
		if done {
			between(p)
			continue
		}
		var used int
		used, done = f.feed(p)
		if used < 0 || used > len(p) || (!done && used != len(p)) {
			panic(fmt.Sprintf("frame %T took %d of %d bytes, done %v", f, used, len(p), done))
		}
		if done {
			if e, ok := f.(*enterFrame); ok {
				fmt.Fprintf(&out, "%s", e.data)
			}
			if c, ok := f.(*countedFrame); ok {
				if c.broken {
					return "broken"
				}
				between(c.rest)
			}
			between(p[used:])
		}
	}
	if !done && f.quiet() > 0 {
		done = f.idle()
	}
	if len(f.raw()) > maxReply+maxFront {
		panic("a frame kept more than its bound")
	}
	fmt.Fprintf(&out, "%v %s", done, outcome(f))
	return out.String()
}

func outcome(f frame) string {
	switch f := f.(type) {
	case *lineFrame:
		return fmt.Sprintf("%+v %q %v %q %v", f.verdict, f.lines, f.fault, f.dump, f.reset)
	case *countedFrame:
		return fmt.Sprintf("%+v %q", f.verdict, f.data)
	case *contentFrame:
		return fmt.Sprintf("%+v %q", f.verdict, f.body)
	case *waitFrame:
		return fmt.Sprintf("%v %v %q %v", f.found, f.fault, f.dump, f.reset)
	case *enterFrame:
		return fmt.Sprintf("%+v %v", f.verdict, f.entered)
	}
	return ""
}

// streams are the wire forms that modules print, and hostile relatives.
var streams = []string{
	"\r\nOK\r\n",
	"\r\nERROR: Unable to load CA certificate\r\n",
	"\r\nERROR\r\n",
	"\r\nERROR:17:Low Memory\r\n\r\n+WIND:55:Pending Data:0:12\r\n",
	"AT+S.X=1,2\rab\r\nOK\r\n",
	"AT+S.X=1,2\r\n\r\n ID: 00\r\n\r\nOK\r\n",
	"\xff\x00\r\n+WIND:2:Reset\r\n\xff\x00\xff\x00\r\n+WIND:1:Poweron (170111-665d284-SPWF01S)\r\n",
	"\r\n+WIND:24:WiFi Up:192.168.0.102\r\n",
	"\r\n+WIND:8:Hard Fault:wpas: r0 00000000, r1 00000001\r\n pc 08012345\r\n psr 21000000\r\n\r\n+WIND:1:Poweron\r\n",
	"hello\r\nOK\r\n",
	"\r\n+WIND:55:Pending Data:0:5\r\nhello\r\nOK\r\n\r\n+WIND:58:Socket Closed:0\r\n",
	"\r\nERROR: Not enough data in buffer\r\n",
	"AT+S.SOCKR=00,5\rhello\r\nOK\r\n",
	"\r\nOK\r\n\r\nOK\r\n",
	"HTTP/1.1 200 OK\r\n\r\nbody\r\nOK\r\nmore\r\n\x1a\x1a\x1a\r\n\r\nOK\r\n\r\n+WIND:58:Socket Closed:1\r\n",
	"1:\tBSS 00:80:e1:00:00:01 CHAN: 06 RSSI: -52 SSID: 'x' CAPS: 0431 WPA2 WPS\r\n\r\nOK\r\n",
	"\r\n+WIND:60:Now in Data Mode\r\n\r\nOK\r\ndata",
	"\r\nERROR: Data mode not available\r\n",
	"\n\nOK\r\r\n", "OK\r", "\r\n+WIND:55", "+WIND:999999:x\r\n", "+WIND::\r\n", "\r\n+WIND:3\r\n",
}

func TestFramesSplitInvariant(t *testing.T) {
	for kind := range 5 {
		for _, stream := range streams {
			whole := transcript(kind, 5, []byte(stream), nil)
			for _, cuts := range [][]byte{{0}, {1}, {2}, {0, 3}, {6, 0, 1}} {
				if got := transcript(kind, 5, []byte(stream), cuts); got != whole {
					t.Errorf("kind %d, stream %q, cuts %v:\n got %s\nwant %s", kind, stream, cuts, got, whole)
				}
			}
		}
	}
}

// FuzzParser feeds every kind of reply in arbitrary chunks: the chunks must
// not show in what comes out, nothing may panic, and memory stays bounded.
func FuzzParser(f *testing.F) {
	for kind := range 5 {
		for _, stream := range streams {
			f.Add(byte(kind), byte(5), []byte(stream), []byte{0, 2})
		}
	}
	f.Add(byte(0), byte(0), bytes.Repeat([]byte{0xff}, 10000), []byte{255})
	f.Add(byte(2), byte(0), bytes.Repeat([]byte("x\r\n"), 40000), []byte{255})
	f.Fuzz(func(t *testing.T, kind, count byte, stream, cuts []byte) {
		whole := transcript(int(kind), int(count), stream, nil)
		if got := transcript(int(kind), int(count), stream, cuts); got != whole {
			t.Errorf("chunks show:\n got %s\nwant %s", got, whole)
		}
	})
}

func TestCountedIsNeverSearched(t *testing.T) {
	for _, data := range []string{
		"\r\nOK\r\n", "\r\nERROR: Pending data\r\n", "\r\n+WIND:8:Hard Fault\r\n",
		"\r\n+WIND:58:Socket Closed:0\r\n\r\nOK\r\n", "\x00\xff\r\n", "\n",
	} {
		f := newCountedFrame("AT+S.SOCKR=00,1", len(data), func(i Indication) { t.Errorf("%q: gave %v", data, i) })
		for n := range []byte(data + "\r\nOK\r\n") {
			_, done := f.feed([]byte(data + "\r\nOK\r\n")[n : n+1])
			if done != (n == len(data)+5) {
				t.Fatalf("%q: done %v at byte %d", data, done, n)
			}
		}
		if string(f.data) != data || f.broken || !f.ok {
			t.Errorf("got %q, want %q", f.data, data)
		}
	}
}

func TestScannerBound(t *testing.T) {
	var s Scanner
	storm := bytes.Repeat([]byte{0xff}, 4096)
	for range 1000 {
		s.Feed(storm, func(Event) bool { t.Error("a line from noise"); return true })
	}
	if cap(s.line) > 2*MaxLine {
		t.Errorf("keeps %d bytes", cap(s.line))
	}
	var got Event
	s.Feed([]byte("\r\nOK\r\n"), func(ev Event) bool {
		if ev.Dropped > 0 {
			got = ev
			if len(ev.Line) != MaxLine {
				t.Errorf("line of %d bytes", len(ev.Line))
			}
		}
		return true
	})
	if got.Dropped != 1000*4096-MaxLine {
		t.Errorf("dropped %d", got.Dropped)
	}
}

func BenchmarkScanner(b *testing.B) {
	p := []byte(strings.Repeat("\r\n+WIND:55:Pending Data:0:512\r\n#  version = 170111-665d284-SPWF01S\r\n\r\nOK\r\n", 50))
	b.SetBytes(int64(len(p)))
	var s Scanner
	for b.Loop() {
		s.Feed(p, func(Event) bool { return true })
	}
}

func BenchmarkCounted(b *testing.B) {
	p := append(bytes.Repeat([]byte{'x'}, 4096), okEnd...)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		f := newCountedFrame("AT+S.SOCKR=00,4096", 4096, nil)
		for at := 0; at < len(p); at += 256 {
			f.feed(p[at:min(len(p), at+256)])
		}
		if !f.ok {
			b.Fatal("not ok")
		}
	}
}
