package farm

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// DryRun is what a plan would do, for a person or as JSON. Making it touches
// nothing.
type DryRun struct {
	Lab     string        `json:"lab"`
	Suites  []string      `json:"suites"`
	Boards  []DryBoard    `json:"boards"`
	Skips   []DrySkip     `json:"skips"`
	Flashes int           `json:"flashes"`
	Cases   int           `json:"cases"`
	Skipped int           `json:"skipped"`
	Took    time.Duration `json:"estimate_ns"`
	Notes   []string      `json:"notes,omitempty"`
}

// DryBoard is one board of a DryRun.
type DryBoard struct {
	Board    string        `json:"board"`
	Model    string        `json:"model"`
	Port     string        `json:"port"`
	Flash    string        `json:"flash,omitempty"`
	Cases    []string      `json:"cases"`
	Skipped  int           `json:"skipped"`
	Estimate time.Duration `json:"estimate_ns"`
}

// DrySkip is one reason for skips, with the cases that it holds for.
type DrySkip struct {
	Reason   string   `json:"reason"`
	Cases    []string `json:"cases"`
	Boards   int      `json:"boards"`
	Required bool     `json:"required"`
}

// DryRun describes the plan.
func (p *Plan) DryRun() DryRun {
	d := DryRun{Lab: p.Lab, Suites: p.Suites, Took: p.Estimate(), Notes: p.Notes}
	for _, b := range p.Boards {
		db := DryBoard{Board: b.Board.ID, Model: b.Board.Model, Port: b.Board.Port, Estimate: b.Estimate()}
		if b.Flash != nil {
			d.Flashes++
			db.Flash = b.Flash.Release + b.Flash.File
		}
		hit := make(map[int]bool)
		for _, k := range b.Cases {
			if k.Skip == nil {
				d.Cases++
				db.Cases = append(db.Cases, k.ID)
				continue
			}
			d.Skipped++
			db.Skipped++
			i := d.skip(k)
			if !hit[i] {
				hit[i] = true
				d.Skips[i].Boards++
			}
		}
		d.Boards = append(d.Boards, db)
	}
	return d
}

// skip notes a skipped case under its reason and gives that reason's index.
func (d *DryRun) skip(k PlannedCase) int {
	i := slices.IndexFunc(d.Skips, func(s DrySkip) bool { return s.Reason == k.Skip.String() })
	if i < 0 {
		i = len(d.Skips)
		d.Skips = append(d.Skips, DrySkip{Reason: k.Skip.String()})
	}
	s := &d.Skips[i]
	if !slices.Contains(s.Cases, k.ID) {
		s.Cases = append(s.Cases, k.ID)
	}
	s.Required = s.Required || k.Required
	return i
}

// Print writes the description as text.
func (d DryRun) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "lab %s, suites %s: %d boards, %d flashes, %d cases, %d skipped, about %s\n\n",
		d.Lab, strings.Join(d.Suites, ","), len(d.Boards), d.Flashes, d.Cases, d.Skipped, roundTime(d.Took))
	tab := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tab, "BOARD\tMODEL\tPORT\tFLASH\tCASES\tSKIPPED\tTIME")
	for _, r := range d.Boards {
		flash := r.Flash
		if flash == "" {
			flash = "-"
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", r.Board, r.Model, r.Port, flash, len(r.Cases), r.Skipped, roundTime(r.Estimate))
	}
	tab.Flush()
	d.printCases(&b)
	for _, s := range d.Skips {
		needed := ""
		if s.Required {
			needed = ", required: the run will be incomplete"
		}
		fmt.Fprintf(&b, "\nskipped (%s) on %d boards%s:\n  %s\n", s.Reason, s.Boards, needed, strings.Join(s.Cases, "\n  "))
	}
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "\nnote: %s\n", n)
	}
	b.WriteString("\nnothing was touched\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// printCases lists the cases once for all boards that share them.
func (d DryRun) printCases(b *strings.Builder) {
	var told [][]string
	for _, r := range d.Boards {
		if len(r.Cases) == 0 || slices.ContainsFunc(told, func(cases []string) bool { return slices.Equal(cases, r.Cases) }) {
			continue
		}
		told = append(told, r.Cases)
		var on []string
		for _, o := range d.Boards {
			if slices.Equal(o.Cases, r.Cases) {
				on = append(on, o.Board)
			}
		}
		fmt.Fprintf(b, "\ncases on %s:\n  %s\n", list(on), strings.Join(r.Cases, "\n  "))
	}
}

// roundTime shows an estimate without false precision.
func roundTime(d time.Duration) time.Duration {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
