package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a process and all its descendants used.
type usage struct {
	// peak is the largest sum of their proportional set sizes in bytes; at
	// that moment root was the share of the first process, processes was how
	// many there were, and at was how long watching had taken.
	peak, root int64
	processes  int
	at         time.Duration
	looks      int
}

// watchTree looks at a process tree until ctx ends. Looking costs the kernel a
// walk through every page table, so it is not done more often.
func watchTree(ctx context.Context, root int, every time.Duration) usage {
	var u usage
	start := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return u
		case <-tick.C:
			sum, own, n := treeSize(root)
			u.looks++
			if sum > u.peak {
				u.peak, u.root, u.processes, u.at = sum, own, n, time.Since(start)
			}
		}
	}
}

// treeSize adds up the proportional set sizes of a process and its
// descendants; own is that of the process itself. Those that end meanwhile
// count nothing.
func treeSize(root int) (sum, own int64, processes int) {
	for _, pid := range descendants(parents(), root) {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
		if err != nil {
			continue
		}
		size, err := parsePSS(text)
		if err != nil {
			continue
		}
		if pid == root {
			own = size
		}
		sum += size
		processes++
	}
	return sum, own, processes
}

// parents gives the parent of every process of this machine.
func parents() map[int]int {
	of := make(map[int]int)
	found, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if pid, parent, err := parseStat(text); err == nil {
			of[pid] = parent
		}
	}
	return of
}

// descendants lists root and everything below it.
func descendants(parentOf map[int]int, root int) []int {
	all := []int{root}
	for i := 0; i < len(all); i++ {
		for pid, parent := range parentOf {
			if parent == all[i] && pid != root {
				all = append(all, pid)
			}
		}
	}
	return all
}

var errProc = errors.New("not what proc(5) describes")

// parseStat gives the first and the fourth field of /proc/PID/stat. The second
// is a name in brackets that may hold anything.
func parseStat(text []byte) (pid, parent int, err error) {
	head, tail := bytes.IndexByte(text, ' '), bytes.LastIndexByte(text, ')')
	if head < 0 || tail < 0 {
		return 0, 0, errProc
	}
	if pid, err = strconv.Atoi(string(text[:head])); err != nil {
		return 0, 0, errProc
	}
	fields := strings.Fields(string(text[tail+1:]))
	if len(fields) < 2 {
		return 0, 0, errProc
	}
	if parent, err = strconv.Atoi(fields[1]); err != nil {
		return 0, 0, errProc
	}
	return pid, parent, nil
}

// parsePSS gives the Pss line of /proc/PID/smaps_rollup in bytes.
func parsePSS(text []byte) (int64, error) {
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "Pss:" && fields[2] == "kB" {
			size, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil || size < 0 {
				return 0, errProc
			}
			return size << 10, nil
		}
	}
	return 0, fmt.Errorf("%w: no Pss line", errProc)
}
