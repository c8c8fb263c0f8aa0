// Command hil-bench measures what the project promises about speed, each goal
// beside a peer or a limit in the same run, and prints one table for each. A
// missed goal is printed, never an exit status: that is 1 only when something
// could not be measured or bytes were wrong. Ratios of flashing are of virtual
// time, counted by the virtual module; wall times are worth what the load
// average beside them says.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// bench is one call.
type bench struct {
	dir, exe string
	full     bool
	rounds   int
	boards   int
	runArgs  []string
}

// measurement is a group of goals that are measured together.
type measurement struct {
	name    string
	measure func(ctx context.Context, b *bench) ([]*table, error)
}

// one adapts a measurement of one table.
func one(measure func(ctx context.Context, b *bench) (*table, error)) func(context.Context, *bench) ([]*table, error) {
	return func(ctx context.Context, b *bench) ([]*table, error) {
		t, err := measure(ctx, b)
		if err != nil {
			return nil, err
		}
		return []*table{t}, nil
	}
}

func measurements() []measurement {
	return []measurement{
		{"flash", func(ctx context.Context, b *bench) ([]*table, error) {
			return measureFlash(ctx, filepath.Join(b.dir, "flash"), b.rounds)
		}},
		{"paced", one(func(ctx context.Context, b *bench) (*table, error) {
			return measurePaced(ctx, filepath.Join(b.dir, "paced"), b.full)
		})},
		{"start", one(func(ctx context.Context, b *bench) (*table, error) {
			return measureStart(ctx, filepath.Join(b.dir, "start"), b.exe)
		})},
		{"crowd", one(func(ctx context.Context, b *bench) (*table, error) {
			return measureCrowd(ctx, b.dir, b.exe, b.boards, b.runArgs...)
		})},
	}
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	b := &bench{}
	flags := flag.NewFlagSet("hil-bench", flag.ContinueOnError)
	flags.SetOutput(errOut)
	only := flags.String("only", "", "comma-separated `NAMES` of measurements: flash, paced, start, crowd")
	flags.StringVar(&b.exe, "exe", "", "hil-runner `FILE` to measure; built when empty")
	flags.BoolVar(&b.full, "full", false, "256 KiB images on the paced boards too")
	flags.IntVar(&b.rounds, "rounds", 3, "how often each flashing is measured")
	flags.IntVar(&b.boards, "boards", crowdBoards, "how many boards the crowd has")
	flags.Func("run-arg", "further `ARG` for the crowd's run, may be repeated", func(s string) error {
		b.runArgs = append(b.runArgs, s)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return 2
	}
	chosen, err := choose(*only)
	if err != nil {
		fmt.Fprintln(errOut, "hil-bench:", err)
		return 2
	}
	if err := b.all(ctx, chosen, out, errOut); err != nil {
		fmt.Fprintln(errOut, "hil-bench:", err)
		return 1
	}
	return 0
}

// choose gives the named measurements, all for none.
func choose(names string) ([]measurement, error) {
	all := measurements()
	if names == "" {
		return all, nil
	}
	var chosen []measurement
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(m measurement) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no measurement %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// all carries the measurements out. One that fails does not keep the others
// from being made.
func (b *bench) all(ctx context.Context, chosen []measurement, out, errOut io.Writer) (err error) {
	if b.dir, err = os.MkdirTemp("", "hil-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.exe == "" && slices.ContainsFunc(chosen, func(m measurement) bool { return m.name == "start" || m.name == "crowd" }) {
		if b.exe, err = buildRunner(ctx, b.dir); err != nil {
			return err
		}
	}
	failed := 0
	for _, m := range chosen {
		tables, err := m.measure(ctx, b)
		if err != nil {
			failed++
			fmt.Fprintf(errOut, "hil-bench: %s was not measured: %v\n", m.name, err)
		}
		for _, t := range tables {
			if err := t.print(out); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d measurements could not be made", failed, len(chosen))
	}
	return nil
}
