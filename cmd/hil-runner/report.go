package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"hil-runner/farm"
	"hil-runner/reports"
)

func (p *program) reportVerb() *cobra.Command {
	var dir string
	cmd := &cobra.Command{Use: "report [RUN]", Short: "Show the report of a run, the latest by default", Args: operands(0, 1),
		Long: "report shows what a run found. RUN is its id, the beginning or the last four\n" +
			"letters of it. The status is 0 whatever the run's was.",
		Example: "  hil-runner report\n  hil-runner report 4f3a -o json",
		RunE: verb(func(_ context.Context, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return p.report(dir, name)
		})}
	cmd.Flags().StringVar(&dir, "out", "runs", "`DIR` of the runs")
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return runIDs(dir), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func (p *program) report(dir, name string) error {
	store, err := openRuns(dir)
	if err != nil {
		return err
	}
	defer store.Close()
	folder, err := store.Find(name)
	if errors.Is(err, reports.ErrNoRun) || errors.Is(err, reports.ErrAmbiguous) {
		return &farm.UsageError{Text: err.Error()}
	}
	if err != nil {
		return err
	}
	defer folder.Close()
	run, err := folder.Load()
	if err != nil {
		return err
	}
	return p.show(run, func(w io.Writer) error {
		return reports.Summary(w, run, textOptions(p.out, folder))
	}, []string{folder.Path()})
}

// openRuns opens a folder of runs that is there already: looking makes none.
func openRuns(dir string) (*reports.Store, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, &farm.UsageError{Text: "no runs: " + err.Error(), Hint: "start one with hil-runner run, or say --out DIR"}
	}
	return reports.OpenStore(dir)
}

// runIDs is for completion: what cannot be read gives none.
func runIDs(dir string) []string {
	store, err := openRuns(dir)
	if err != nil {
		return nil
	}
	defer store.Close()
	ids, err := store.IDs()
	if err != nil {
		return nil
	}
	return ids
}
