package main

import (
	"errors"
	"os"
	"slices"
	"testing"
)

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		text        string
		pid, parent int
		bad         bool
	}{
		{text: "12 (hil-runner) S 3 12 12 0", pid: 12, parent: 3},
		{text: "7 (a) b) (c) R 1 7", pid: 7, parent: 1},
		{text: "", bad: true},
		{text: "x (y) S 3", bad: true},
		{text: "12 (y) S", bad: true},
		{text: "12 (y) S z", bad: true},
	} {
		pid, parent, err := parseStat([]byte(c.text))
		if bad := errors.Is(err, errProc); bad != c.bad || pid != c.pid && !bad || parent != c.parent && !bad {
			t.Errorf("%q: %d, %d, %v", c.text, pid, parent, err)
		}
	}
}

func TestParsePSS(t *testing.T) {
	const rollup = "00400000-7ffd ---p 00000000 00:00 0 [rollup]\nRss:   2000 kB\nPss:    1234 kB\nPss_Dirty: 5 kB\n"
	if got, err := parsePSS([]byte(rollup)); err != nil || got != 1234<<10 {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"", "Pss: many kB\n", "Pss: -1 kB\n", "Pss_Anon: 5 kB\n"} {
		if _, err := parsePSS([]byte(bad)); !errors.Is(err, errProc) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestDescendants(t *testing.T) {
	got := descendants(map[int]int{1: 0, 2: 1, 3: 2, 4: 3, 5: 1, 6: 9}, 2)
	slices.Sort(got)
	if !slices.Equal(got, []int{2, 3, 4}) {
		t.Errorf("below 2: %v", got)
	}
}

func TestTreeSizeOfThisProcess(t *testing.T) {
	size, own, n := treeSize(os.Getpid())
	if n < 1 || own < 1<<20 || size < own {
		t.Errorf("%d processes with %d bytes, %d of them this one's", n, size, own)
	}
}
