package reports

import (
	"fmt"
	"strings"
	"time"
)

// Executed says whether the case began on the board. A skipped case and one
// that a dead worker or board left behind did not.
func (r *Result) Executed() bool {
	switch r.Outcome {
	case Skipped:
		return false
	case Errored:
		return r.Attempts > 0 || !r.Started.IsZero()
	}
	return true
}

// neverRan is the cause of a planned case that a dead worker or board left
// behind.
const neverRan = "never_ran"

// missing says whether the case did not run and ought to have: it was
// required, or what ran it was lost.
func (r *Result) missing() bool {
	return r.Outcome == Skipped && (r.Case.Required || len(r.Causes) > 0 && r.Causes[0].Code == neverRan)
}

// unjudged says whether the run asks nothing of the result: a recorded one,
// or a skipped one that need not run.
func (r *Result) unjudged() bool {
	return r.Outcome == Recorded || r.Outcome == Skipped && !r.missing()
}

// Planned counts the cases that the run set out to do on all boards.
func (r *Run) Planned() int {
	n := 0
	for i := range r.Boards {
		n += len(r.Boards[i].Results)
	}
	return n
}

// Executed counts the cases that began.
func (r *Run) Executed() int {
	n := 0
	for i := range r.Boards {
		for j := range r.Boards[i].Results {
			if r.Boards[i].Results[j].Executed() {
				n++
			}
		}
	}
	return n
}

// Took is how long the run lasted, zero if it has no end.
func (r *Run) Took() time.Duration {
	if r.Ended.IsZero() || r.Ended.Before(r.Started) {
		return 0
	}
	return r.Ended.Sub(r.Started)
}

// weight orders results by how much they want attention, 0 first. A case that
// ought to have run and did not weighs like one that proved nothing.
func (r *Result) weight() int {
	if r.missing() {
		return gravity(Inconclusive)
	}
	return gravity(r.Outcome)
}

// Worst is the outcome to show for the board as a whole: its own when it has
// one, else the gravest of its results. A board without results, or one that
// left out what it ought to have run, has not passed and is Skipped.
func (b *BoardRun) Worst() Outcome {
	worst, weight := Skipped, gravity(Skipped)
	for i := range b.Results {
		if r := &b.Results[i]; r.weight() < weight {
			worst, weight = r.Outcome, r.weight()
		}
	}
	if b.Outcome != "" && gravity(b.Outcome) <= gravity(worst) {
		return b.Outcome
	}
	return worst
}

// Took is the time that the board spent on flashing and on cases.
func (b *BoardRun) Took() time.Duration {
	var d time.Duration
	if b.Flash != nil {
		d = b.Flash.Duration
	}
	for i := range b.Results {
		d += b.Results[i].Duration
	}
	return d
}

// gravity orders outcomes by how much they want attention, 0 first.
func gravity(o Outcome) int {
	switch o {
	case Failed:
		return 0
	case Errored:
		return 1
	case Inconclusive:
		return 2
	case Flaky:
		return 3
	case Passed:
		return 4
	case Recorded:
		return 5
	}
	return 6
}

// tally writes counts as "150 passed, 3 failed, 2 errors", in the order of
// Outcomes and without the zeros.
func tally(n map[Outcome]int) string {
	var parts []string
	for _, o := range Outcomes() {
		if n[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[o], plural(o, n[o])))
		}
	}
	if len(parts) == 0 {
		return "no cases"
	}
	return strings.Join(parts, ", ")
}

// glyphTally writes counts as "150 ✓ 3 ✗", where room is short.
func glyphTally(n map[Outcome]int) string {
	var parts []string
	for _, o := range Outcomes() {
		if n[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[o], glyph(o)))
		}
	}
	return strings.Join(parts, " ")
}

func plural(o Outcome, n int) string {
	if o == Errored && n != 1 {
		return "errors"
	}
	return string(o)
}

// glyph is the outcome as one character, so that no page depends on colour.
func glyph(o Outcome) string {
	switch o {
	case Passed:
		return "✓"
	case Flaky:
		return "≈"
	case Failed:
		return "✗"
	case Errored:
		return "!"
	case Inconclusive:
		return "?"
	case Recorded:
		return "•"
	case Skipped:
		return "–"
	}
	return "·"
}

// human writes a duration to read at a glance: "340 ms", "8.2 s", "1m 02s".
func human(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + human(-d)
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second-500*time.Microsecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond)/time.Millisecond)
	case d < time.Minute-50*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%dm %02ds", d/time.Minute, d%time.Minute/time.Second)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh %02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// bytesText writes a byte count to read at a glance: "512 B", "381.8 KiB".
func bytesText(n int) string {
	switch {
	case n < 1024:
		return fmt.Sprintf("%d B", n)
	case n < 1024*1024:
		return fmt.Sprintf("%.1f KiB", float64(n)/1024)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1024*1024))
}

// count is "1 case" or "3 cases".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
