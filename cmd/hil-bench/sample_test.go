package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		in               samples
		min, median, max float64
	}{
		{samples{7}, 7, 7, 7},
		{samples{3, 1, 2}, 1, 2, 3},
		{samples{4, 1, 3, 2}, 1, 2, 4},
		{samples{5, 5, 1, 9, 5}, 1, 5, 9},
	} {
		if got := [3]float64{c.in.min(), c.in.median(), c.in.max()}; got != [3]float64{c.min, c.median, c.max} {
			t.Errorf("%v: min, median, max %v", c.in, got)
		}
	}
	if v := (samples{}).median(); !math.IsNaN(v) {
		t.Errorf("the median of nothing is %v", v)
	}
	ninety := make(samples, 100)
	for i := range ninety {
		ninety[i] = float64(100 - i)
	}
	if got := ninety.quantile(0.9); got != 90 {
		t.Errorf("nine tenths of 1 to 100 do not exceed %v", got)
	}
}

func TestSamplesPairwise(t *testing.T) {
	a, b := samples{6, 9, 1}, samples{3, 2}
	if diff := cmp.Diff(samples{2, 4.5}, a.over(b)); diff != "" {
		t.Errorf("over (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(samples{3, 7}, a.minus(b)); diff != "" {
		t.Errorf("minus (-want +got):\n%s", diff)
	}
	var s samples
	s.addTime(1500 * time.Millisecond)
	if diff := cmp.Diff(samples{1.5}, s); diff != "" {
		t.Errorf("addTime (-want +got):\n%s", diff)
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		u    unit
		v    float64
		want string
	}{
		{plain, 0.4151, "0.415"}, {seconds, 63.149, "63.15 s"}, {millis, 0.0137, "13.7 ms"},
		{count, 549031, "549031"}, {mebibytes, 256 << 20, "256 MiB"}, {seconds, math.NaN(), "-"},
	} {
		if got := c.u.show(c.v); got != c.want {
			t.Errorf("%v in unit %d is %q, want %q", c.v, c.u, got, c.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name string
		row  row
		want string
	}{
		{"no goal", row{values: samples{9}}, ""},
		{"met", row{values: samples{0.9, 1}}.goal(worst, 1), "max at most 1.000: ok"},
		{"as printed", row{values: samples{1.0004}}.goal(worst, 1), "max at most 1.000: ok"},
		{"missed", row{values: samples{0.5, 1.001}}.goal(worst, 1), "max at most 1.000: MISSED"},
		{"median counts", row{values: samples{0.01, 0.05, 9}, unit: millis}.goal(median, 0.06), "median at most 60.0 ms: ok"},
		{"one byte more", row{values: samples{0, 1}, unit: count}.goal(worst, 0), "max at most 0: MISSED"},
		{"one byte less", row{values: samples{-1}, unit: count}.goal(worst, 0), "max at most 0: ok"},
		{"nothing measured", row{}.goal(worst, 1), "max at most 1.000: MISSED"},
	} {
		if got := c.row.verdict(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTablePrint(t *testing.T) {
	tb := &table{id: "F9", title: "an example", load: [2]string{"0.10", "0.20"}, notes: []string{"a note"},
		rows: []row{row{name: "ratio", values: samples{2, 1, 3}}.goal(worst, 2)}}
	var out strings.Builder
	if err := tb.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"F9  an example", "1.000", "3.000", "MISSED", "a note", "load average 0.10 before, 0.20 after"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
