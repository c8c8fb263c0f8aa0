package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"hil-runner/farm"
	"hil-runner/reports"
	"hil-runner/suites"
	"hil-runner/suites/spec"
)

// runFlags are the flags of run.
type runFlags struct {
	boards        int
	ids, tags     []string
	firmware      string
	suites        []string
	labelFilter   string
	amazon        string
	require       []string
	seed          uint64
	faults        string
	dryRun        bool
	out           string
	parallel      int
	allowUnsigned bool
	trustPassport bool
}

func amazonModes() []string {
	return []string{string(spec.AmazonOff), string(spec.AmazonShaped), string(spec.AmazonLive)}
}

// requirable are the values of --require.
func requirable() []string { return []string{"amazon-live"} }

func (p *program) runVerb() *cobra.Command {
	f := runFlags{}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Flash the boards, run the suites, write the report",
		Long: "run flashes the chosen boards, runs the suites on them side by side, keeps each\n" +
			"board's serial log, and writes report.json, junit.xml and report.html.\n\n" +
			"Without a lab file it starts a virtual lab of four modules and flashes 3.0.0.\n" +
			"With one, it wants --board, -t or --boards, and flashes what the file names.\n" +
			"INT, TERM and HUP park the boards and write the report; a second one does not.",
		Example: "  hil-runner run\n" +
			"  hil-runner run --suite tls --label-filter 'mode:one_way && !negative'\n" +
			"  hil-runner run --lab lab.yaml -t rack=2 --firmware 3.5.3\n" +
			"  hil-runner run --lab lab.yaml -b b1 --firmware app.bin --allow-unsigned\n" +
			"  hil-runner run --dry-run",
		Args: operands(0, 0),
		RunE: verb(func(ctx context.Context, _ []string) error { return p.runLab(ctx, f) }),
	}
	fl := cmd.Flags()
	fl.IntVar(&f.boards, "boards", 0, "how many boards (built-in lab: 4)")
	fl.StringSliceVarP(&f.ids, "board", "b", nil, "board `ID`, may be repeated (HIL_BOARD)")
	fl.StringArrayVarP(&f.tags, "tag", "t", nil, "boards that carry `KEY=VALUE`, may be repeated")
	fl.StringVar(&f.firmware, "firmware", "", "`RELEASE` of the catalogue, image file, or none")
	fl.StringSliceVar(&f.suites, "suite", suites.Names(), "`SUITES` to run")
	fl.StringVar(&f.labelFilter, "label-filter", "", "Ginkgo label `FILTER`, such as 'mode:mutual'")
	fl.StringVar(&f.amazon, "amazon", string(spec.AmazonShaped), "`HOW` far to go: off, shaped (a local twin) or live\n(speaks to api.amazon.com)")
	fl.StringSliceVar(&f.require, "require", nil, "`WHAT` must not be skipped: amazon-live")
	fl.Uint64Var(&f.seed, "seed", 0, "seed of the run; 0 takes a new one")
	fl.StringVar(&f.faults, "faults", "", "YAML `FILE` of faults to inject (built-in lab)")
	fl.BoolVar(&f.dryRun, "dry-run", false, "say what would be done; touches nothing")
	fl.StringVar(&f.out, "out", "runs", "`DIR` for the run's folder")
	fl.IntVar(&f.parallel, "parallel", 0, "how many boards at once; 0 means all\n(built-in lab: four per processor)")
	fl.BoolVar(&f.allowUnsigned, "allow-unsigned", false, "flash an image without a trusted signature; the\nreport shows it")
	fl.BoolVar(&f.trustPassport, "trust-passport", false, "accept passport and reported build instead of\nreading the flash back")
	p.complete(cmd, "suite", func(string) []string { return suites.Names() })
	p.complete(cmd, "firmware", func(string) []string { return append(p.releases(), "none") })
	p.complete(cmd, "board", func(string) []string { return p.boardIDs() })
	p.complete(cmd, "tag", func(string) []string { return p.tags() })
	p.complete(cmd, "amazon", func(string) []string { return amazonModes() })
	p.complete(cmd, "require", func(string) []string { return requirable() })
	return cmd
}

// chosenByEnv gives the boards of HIL_BOARD; they count only where no flag
// chooses boards.
func (f runFlags) chosenByEnv() []string {
	v := os.Getenv("HIL_BOARD")
	if v == "" || len(f.ids) > 0 || len(f.tags) > 0 || f.boards != 0 {
		return nil
	}
	return strings.Split(v, ",")
}

// runLab is the verb: plan, open, run the boards, park, report.
func (p *program) runLab(ctx context.Context, f runFlags) error {
	r := &labRun{p: p, flags: f}
	if err := r.prepare(); err != nil {
		return err
	}
	if f.dryRun {
		dry := r.plan.DryRun()
		return p.show(dry, dry.Print, caseNames(r.plan))
	}
	store, err := reports.OpenStore(f.out)
	if err != nil {
		return outError(err)
	}
	defer store.Close()
	run := r.newRun()
	if r.folder, err = store.Create(run.ID); err != nil {
		return outError(err)
	}
	defer r.folder.Close()
	r.carryOut(ctx, run)
	return r.conclude(run)
}

// outError is a folder for runs that does not take one.
func outError(err error) error {
	return &farm.InfraError{Code: "out", Detail: "cannot write the run's folder; make room or choose another with --out", Err: err}
}

// conclude writes and shows the result and gives the run's exit status.
func (r *labRun) conclude(run *reports.Run) error {
	logErr := r.renderLogs(run)
	farm.RunVerdict(run)
	saveErr := r.folder.Save(run, r.redact)
	shown := run
	if r.redact != nil {
		// What is shown has the secrets taken out, as what was saved.
		if saved, err := r.folder.Load(); err == nil {
			shown = saved
		}
	}
	var names []string
	for _, b := range run.Boards {
		names = append(names, b.Board)
	}
	// A reader that went away (head) has seen what it wanted; the report is
	// on disk.
	_ = r.p.show(shown, func(w io.Writer) error {
		return reports.Summary(w, shown, textOptions(r.p.out, r.folder))
	}, names)
	status := farm.ExitStatus(run.ExitCode)
	if err := errors.Join(logErr, saveErr); err != nil {
		return &farm.ExitError{Status: farm.WorstExit(status, farm.ExitInfra), Err: &farm.InfraError{Code: "report",
			Detail: "the report of run " + run.ID + " is not complete; make room, or choose another folder with --out", Err: err}}
	}
	if status == farm.ExitPassed {
		return nil
	}
	return &farm.ExitError{Status: status}
}
