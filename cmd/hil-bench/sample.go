package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// samples are repeated measurements of one quantity.
type samples []float64

// add takes one more measurement.
func (s *samples) add(v float64) { *s = append(*s, v) }

// addTime takes one more duration, in seconds.
func (s *samples) addTime(d time.Duration) { s.add(d.Seconds()) }

// quantile is the smallest measurement that at least the share q (0 to 1) of
// all of them do not exceed; NaN without any.
func (s samples) quantile(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

func (s samples) min() float64    { return s.quantile(0) }
func (s samples) median() float64 { return s.quantile(0.5) }
func (s samples) max() float64    { return s.quantile(1) }

// over divides pairwise; the shorter one decides how many there are.
func (s samples) over(base samples) samples {
	n := min(len(s), len(base))
	ratios := make(samples, n)
	for i := range n {
		ratios[i] = s[i] / base[i]
	}
	return ratios
}

// minus subtracts pairwise; the shorter one decides how many there are.
func (s samples) minus(base samples) samples {
	n := min(len(s), len(base))
	rest := make(samples, n)
	for i := range n {
		rest[i] = s[i] - base[i]
	}
	return rest
}

// unit is how a quantity is printed.
type unit int

const (
	plain   unit = iota // a ratio
	seconds             // given in seconds
	millis              // given in seconds, shown in milliseconds
	count
	mebibytes // given in bytes
)

// show prints v in the unit.
func (u unit) show(v float64) string {
	switch {
	case math.IsNaN(v):
		return "-"
	case u == seconds:
		return fmt.Sprintf("%.2f s", v)
	case u == millis:
		return fmt.Sprintf("%.1f ms", v*1e3)
	case u == count:
		return fmt.Sprintf("%.0f", v)
	case u == mebibytes:
		return fmt.Sprintf("%.0f MiB", v/(1<<20))
	}
	return fmt.Sprintf("%.3f", v)
}
