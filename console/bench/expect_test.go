package bench

import (
	"context"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"hil-runner/console"
	"hil-runner/console/consoletest"
	"hil-runner/recorder"
)

const (
	literal     = `\+WIND:24:WiFi Up:(\d+)`
	alternation = `(WIND|ERROR):24:WiFi (Up|Down):\d+`
	event       = "+WIND:24:WiFi Up:192\r\n"
)

// C3: how late a pattern is noticed after 10 MiB of noise, in a stream that
// goes on at 92 kB/s.
func TestC3PatternLateness(t *testing.T) {
	wanted(t)
	for _, expr := range []string{literal, alternation} {
		late := &series{name: "C3 " + expr, unit: "ms late"}
		lateness(t, expr, late)
		t.Logf("load %s\n%v\np99 %.3f ms (goal at most 5)", load(), late, late.at(0.99))
	}
}

func lateness(t *testing.T, expr string, late *series) {
	t.Helper()
	pty := consoletest.NewPTY(t)
	j, err := recorder.Create(t.TempDir(), recorder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	p, err := console.Open(pty.Path, console.Mode{Baud: 921600}, console.Record(j), console.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()

	seen := make(chan time.Time, 16)
	ended := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		pattern := console.Pattern{Expr: regexp.MustCompile(expr)}
		for at := recorder.Offset(0); ; {
			var err error
			if _, at, err = console.Expect(ctx, j, at, pattern); err != nil {
				return
			}
			seen <- time.Now()
		}
	}()
	pty.SetDeadline(time.Now().Add(2 * time.Minute))
	data := noise(10 << 20)
	feed(t, pty, data)
	const n = 500
	for i := range n {
		// At least 13 ms of noise, so that the stream is in full flow.
		paced(t, []*consoletest.PTY{pty}, time.Duration(13+i%7)*time.Millisecond)
		sent := time.Now()
		feed(t, pty, []byte("\r\n"+event))
		select {
		case at := <-seen:
			late.add(max(0, at.Sub(sent).Seconds()*1e3))
		case <-time.After(10 * time.Second):
			t.Fatalf("pattern %d was never seen", i)
		}
	}
	stop()
	<-ended
}

// C4: what it costs to expect a pattern, on top of capture alone: in a burst,
// where it is
// all work, and at a steady rate, where it is wake-ups too.
func TestC4ExpectOnTopOfCapture(t *testing.T) {
	wanted(t)
	data := append(noise(100<<20), event...)
	names := []string{"", literal, alternation}
	burst := make([]*series, len(names))
	flow := make([]*series, len(names))
	calm := make([]*series, len(names))
	for i, expr := range names {
		burst[i] = &series{name: "C4 burst 100 MiB, expect " + expr, unit: "CPU s"}
		flow[i] = &series{name: "C4 10 MiB at 921.6 kB/s, expect " + expr, unit: "CPU s"}
		calm[i] = &series{name: "C4 0.7 MiB at 92 kB/s, expect " + expr, unit: "CPU s"}
	}
	for range runs(t, 5) {
		for i, expr := range names {
			burst[i].add(captureCPU(t, data, expr))
			flow[i].add(flowCPU(t, expr, 10*rate, 11400*time.Millisecond))
			calm[i].add(flowCPU(t, expr, rate, stretch))
		}
	}
	for i := range names {
		t.Logf("load %s\n%v\n%v\n%v", load(), burst[i], flow[i], calm[i])
		if i == 0 {
			continue
		}
		added := func(s []*series) float64 { return 100 * (s[i].median()/s[0].median() - 1) }
		t.Logf("added to capture (goal at most 50 %%): burst %.0f %%, 921.6 kB/s %.0f %%; at 92 kB/s, which is wake-ups: %.0f %%",
			added(burst), added(flow), added(calm))
	}
}

// flowCPU captures one console at a rate, with a pattern at the end.
func flowCPU(t *testing.T, expr string, rate int, length time.Duration) float64 {
	t.Helper()
	ptys, paths := openPTYs(t, 1)
	n := int(float64(rate) * (length - time.Second/2).Seconds())
	c := role(t, "capture", filepath.Join(t.TempDir(), "j"), strconv.Itoa(n), expr, paths[0])
	c.says("ready")
	pacedAt(t, ptys, rate, length)
	feed(t, ptys[0], []byte("\r\n"+event))
	c.says("done")
	return c.cpu()
}
