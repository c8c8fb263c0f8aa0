package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets this test binary be hil-runner: scripts find it by that name
// in their PATH, tests in Go start it with that name as its first argument,
// and a run starts its workers as /proc/self/exe.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hil-runner": main, "exe": main})
}

// TestScripts runs testdata/script: one file per topic.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			for name, value := range cleanEnv(e.WorkDir) {
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "waitfor": waitForText, "nofile": noFile, "narrow": narrow,
		},
		RequireExplicitExec: true,
	})
}

// cleanEnv is the environment of every hil-runner that a test starts: nothing
// of the caller's own lab, state in a folder of the test, and, under -race, no
// wait at exit.
func cleanEnv(dir string) map[string]string {
	return map[string]string{
		"GORACE": "atexit_sleep_ms=0", "XDG_STATE_HOME": filepath.Join(dir, "state"),
		"HIL_BOARD": "", "HIL_LAB": "", "NO_COLOR": "", "HOME": dir,
		"HIL_REQUIRE_TOOLS": os.Getenv("HIL_REQUIRE_TOOLS"),
	}
}

// exits STATUS PROGRAM ARGS... runs a program that must end with this status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// scriptPatience bounds how long a script waits for a program in the
// background.
const scriptPatience = 20 * time.Second

// waitForText FILE TEXT waits until a file exists and contains a text.
func waitForText(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfor FILE TEXT")
	}
	if err := poll(scriptPatience, func() error { return contains(ts.MkAbs(args[0]), args[1]) }); err != nil {
		ts.Fatalf("%v", err)
	}
}

func contains(path, text string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(data), text) {
		return fmt.Errorf("%s does not contain %q; it is:\n%s", path, text, data)
	}
	return nil
}

// poll asks until there is no error or the time is over. What other processes
// do can only be asked for.
func poll(within time.Duration, ask func() error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	over := time.After(within)
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-over:
			return fmt.Errorf("after %v: %w", within, err)
		}
	}
}

// noFile PATTERN... wants no file to match.
func noFile(ts *testscript.TestScript, neg bool, args []string) {
	for _, pattern := range args {
		found, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		if (len(found) == 0) == neg {
			ts.Fatalf("%s: %q", pattern, found)
		}
	}
}

// narrow FILE... wants every line to fit a terminal of 80 columns.
func narrow(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		for n, line := range strings.Split(ts.ReadFile(name), "\n") {
			if wide := len([]rune(line)) > 80; wide != neg && wide {
				ts.Fatalf("%s:%d is %d columns wide: %s", name, n+1, len([]rune(line)), line)
			}
		}
	}
}
