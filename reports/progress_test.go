package reports_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"hil-runner/reports"
)

// screen is a terminal that knows what Progress may send.
type screen struct {
	t     *testing.T
	width int
	lines []string
	row   int
}

var sequence = regexp.MustCompile(`^\x1b\[([0-9;]*)([A-Za-z])`)

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		for len(s.lines) <= s.row {
			s.lines = append(s.lines, "")
		}
		if m := sequence.FindStringSubmatch(text); m != nil {
			switch m[2] {
			case "F":
				n, _ := strconv.Atoi(m[1])
				if n > s.row {
					s.t.Errorf("moved up %d from row %d", n, s.row)
					n = s.row
				}
				s.row -= n
				// What follows overwrites: our lines always end in EL or ED.
				s.lines[s.row] = ""
			case "J":
				s.lines = s.lines[:s.row+1]
				s.lines[s.row] = ""
			case "K", "m":
			default:
				s.t.Errorf("unexpected sequence %q", m[0])
			}
			text = text[len(m[0]):]
			continue
		}
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == '\n':
			if w := utf8.RuneCountInString(s.lines[s.row]); w >= s.width {
				s.t.Errorf("a line of %d on a screen of %d: %s", w, s.width, s.lines[s.row])
			}
			s.row++
			if s.row < len(s.lines) {
				s.lines[s.row] = ""
			}
		case r < 0x20:
			s.t.Errorf("control byte %#x", r)
		default:
			s.lines[s.row] += text[:n]
		}
		text = text[n:]
	}
	return len(p), nil
}

func (s *screen) text() string { return strings.TrimSpace(strings.Join(s.lines, "\n")) }

// handClock is a clock that moves when it is told.
type handClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *handClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *handClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func TestProgressOnTerminal(t *testing.T) {
	clock := &handClock{at: sampleStart}
	s := &screen{t: t, width: 80}
	p := reports.NewProgress(s, []string{"b01", "b02", "b03"}, reports.ProgressOptions{Terminal: true, Width: 80, Height: 24, Color: true, Now: clock.now})
	p.Phase("b01", "flash 3.0.0", 0, 0)
	clock.add(time.Second)
	p.Phase("b01", "flash 3.0.0", 120, 240)
	p.Plan("b02", 40)
	clock.add(time.Second)
	p.Result("b02", reports.Result{Outcome: reports.Passed})
	clock.add(time.Second)
	p.Result("b02", reports.Result{Outcome: reports.Failed})
	clock.add(time.Second)
	p.Case("b02", reports.Case{ID: "tls/one_way/\x1b[2JC02 " + strings.Repeat("long ", 30)})
	p.End("b03", reports.Errored, []reports.Cause{{Class: reports.Infra, Code: "reset_ineffective"}})
	got := s.text()
	for _, want := range []string{"b01  flash 3.0.0   ████████░░░░░░░░   50%", "b02  run", "2/40", "1 ✓ 1 ✗  ", `tls/one_way/\x1b[2JC02`, "! b03  error  infra: reset_ineffective", "1/3 boards done"} {
		if !strings.Contains(got, want) {
			t.Errorf("the screen lacks %q:\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n"); n != 3 {
		t.Errorf("%d lines, want 4:\n%s", n+1, got)
	}
	p.Note("the lab \x07 is quiet")
	if got := s.text(); !strings.HasPrefix(got, `the lab \x07 is quiet`) || strings.Count(got, "\n") != 4 {
		t.Errorf("a note does not stand above:\n%s", got)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	p.End("b01", reports.Passed, nil)
	if got := s.text(); got != `the lab \x07 is quiet` {
		t.Errorf("left over after Stop:\n%s", got)
	}
}

// More boards than lines: those at work are shown, the others counted.
func TestProgressManyBoards(t *testing.T) {
	var ids []string
	for i := range 64 {
		ids = append(ids, fmt.Sprintf("b%02d", i+1))
	}
	clock := &handClock{at: sampleStart}
	s := &screen{t: t, width: 60}
	p := reports.NewProgress(s, ids, reports.ProgressOptions{Terminal: true, Width: 60, Height: 12, Now: clock.now})
	p.Plan("b60", 10)
	p.End("b61", reports.Failed, nil)
	got := s.text()
	if n := strings.Count(got, "\n") + 1; n != 11 {
		t.Errorf("%d lines on a screen of 12:\n%s", n, got)
	}
	for _, want := range []string{"b60", "b61", "54 not shown"} {
		if !strings.Contains(got, want) {
			t.Errorf("the screen lacks %q:\n%s", want, got)
		}
	}
	p.Resize(60, 8)
	if n := strings.Count(s.text(), "\n") + 1; n != 7 {
		t.Errorf("%d lines after the terminal shrank to 8", n)
	}
}

func TestProgressPlain(t *testing.T) {
	clock := &handClock{at: sampleStart}
	var out bytes.Buffer
	p := reports.NewProgress(&out, []string{"b01"}, reports.ProgressOptions{Now: clock.now})
	for i := range 100 {
		p.Phase("b01", "flash 3.0.0", i, 100)
	}
	clock.add(1210 * time.Millisecond)
	p.Plan("b01", 2)
	p.Result("b01", reports.Result{Outcome: reports.Passed, Case: reports.Case{ID: "smoke/boot"}})
	clock.add(time.Second)
	p.Result("b01", reports.Result{Outcome: reports.Failed, Case: reports.Case{ID: "smoke/\x1b[2J"}, Causes: []reports.Cause{{Code: "no_answer"}}})
	p.End("b01", reports.Failed, nil)
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	want := "     0 s  b01  flash 3.0.0\n" +
		"   1.2 s  b01  run 2 cases\n" +
		`   2.2 s  b01  ✗ failed smoke/\x1b[2J: no_answer` + "\n" +
		"   2.2 s  b01  ✗ failed, 1 passed, 1 failed\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A burst of events is drawn a few times; a closed pipe is written once.
func TestProgressIsCheap(t *testing.T) {
	clock := &handClock{at: sampleStart}
	var out bytes.Buffer
	p := reports.NewProgress(&out, []string{"b01"}, reports.ProgressOptions{Terminal: true, Now: clock.now})
	for i := range 10000 {
		p.Phase("b01", "flash", i, 10000)
	}
	if out.Len() > 1000 {
		t.Errorf("%d bytes for one moment", out.Len())
	}
	pipe := &brokenPipe{}
	p = reports.NewProgress(pipe, []string{"b01"}, reports.ProgressOptions{Now: clock.now})
	p.Plan("b01", 1)
	p.End("b01", reports.Passed, nil)
	if err := p.Stop(); err == nil || pipe.writes != 1 {
		t.Errorf("%d writes, error %v", pipe.writes, err)
	}
}

func TestProgressConcurrently(t *testing.T) {
	s := &screen{t: t, width: 80}
	p := reports.NewProgress(s, nil, reports.ProgressOptions{Terminal: true})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			id := fmt.Sprintf("b%02d", i)
			p.Plan(id, 50)
			for range 50 {
				p.Case(id, reports.Case{ID: "x"})
				p.Result(id, reports.Result{Outcome: reports.Passed})
				p.Tick()
			}
			p.End(id, reports.Passed, nil)
		})
	}
	wg.Wait()
	if got := s.text(); !strings.Contains(got, "8/8 boards done · 400 passed") {
		t.Errorf("the screen:\n%s", got)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}
