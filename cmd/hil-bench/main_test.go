package main

import (
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	all, err := choose("")
	if err != nil || len(all) != len(measurements()) {
		t.Errorf("no names: %d measurements, %v", len(all), err)
	}
	some, err := choose("crowd,flash")
	if err != nil || len(some) != 2 || some[0].name != "crowd" || some[1].name != "flash" {
		t.Errorf("two names: %v, %v", some, err)
	}
	if _, err := choose("flash,moon"); err == nil || !strings.Contains(err.Error(), "moon") {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{{"-only", "moon"}, {"-nonsense"}} {
		var out, errOut strings.Builder
		if status := run(t.Context(), args, &out, &errOut); status != 2 || errOut.Len() == 0 {
			t.Errorf("%v: status %d, %q", args, status, errOut.String())
		}
	}
}

func TestAgreement(t *testing.T) {
	for _, c := range []struct {
		want, got string
		share     float64
	}{{"abcd", "abcd", 1}, {"abcd", "abxd", 0.75}, {"abcd", "ab", 0.5}, {"abcd", "", 0}} {
		if got := agreement([]byte(c.want), []byte(c.got)); got != c.share {
			t.Errorf("%q against %q: %v", c.want, c.got, got)
		}
	}
}
