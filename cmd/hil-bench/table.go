package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// statistic is which of the measurements a goal is held against.
type statistic string

const (
	median  statistic = "median"
	worst   statistic = "max"
	nothing statistic = "" // no goal
)

// row is one measured quantity.
type row struct {
	name   string
	values samples
	unit   unit
	// held and limit are the goal: held must not exceed limit.
	held  statistic
	limit float64
}

// goal sets the goal of a row.
func (r row) goal(held statistic, limit float64) row {
	r.held, r.limit = held, limit
	return r
}

// met says whether the goal is reached. Ratios are compared as they are
// printed, to a thousandth. A row without measurements reaches nothing.
func (r row) met() bool {
	v := r.values.max()
	if r.held == median {
		v = r.values.median()
	}
	return v <= r.limit+1e-9 || r.unit == plain && r.values != nil && plain.show(v) == plain.show(r.limit)
}

// verdict is the last column.
func (r row) verdict() string {
	if r.held == nothing {
		return ""
	}
	word := "MISSED"
	if r.met() {
		word = "ok"
	}
	return fmt.Sprintf("%s at most %s: %s", r.held, r.unit.show(r.limit), word)
}

// table is the measurement of one goal.
type table struct {
	id, title string
	rows      []row
	// notes are printed below the rows.
	notes []string
	// load is the load average around the measurement.
	load [2]string
}

// print writes the table.
func (t *table) print(out io.Writer) error {
	if _, err := fmt.Fprintf(out, "\n%s  %s\n", t.id, t.title); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  \tn\tmin\tmedian\tmax\tgoal\n")
	for _, r := range t.rows {
		fmt.Fprintf(w, "  %s\t%d\t%s\t%s\t%s\t%s\n", r.name, len(r.values),
			r.unit.show(r.values.min()), r.unit.show(r.values.median()), r.unit.show(r.values.max()), r.verdict())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, note := range t.notes {
		fmt.Fprintf(out, "  %s\n", note)
	}
	_, err := fmt.Fprintf(out, "  load average %s before, %s after\n", t.load[0], t.load[1])
	return err
}

// loadAverage is that of the last minute, "?" where the system has none.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	minute, _, _ := strings.Cut(string(text), " ")
	return minute
}
