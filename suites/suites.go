// Package suites runs the specs of one board. It is what a worker process
// does: the specs are linked into the same executable as the rest, and one
// process runs them once, on one bench.
package suites

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"

	"hil-runner/farm"
	"hil-runner/reports"
	"hil-runner/suites/smoke"
	"hil-runner/suites/spec"
	"hil-runner/suites/tls"
)

// graceAfterLimit is how long a spec may take to notice that its limit is
// over. One that takes longer is left behind; its UART is shut.
const graceAfterLimit = 5 * time.Second

// Names lists the suites in the order in which they run.
func Names() []string { return []string{"smoke", "tls"} }

// register adds the specs of the task's suites to Ginkgo's tree. They hang
// under one ordered container, because Ginkgo shuffles everything else, and a
// board that fails its smoke suite should do so first.
func register(env *spec.Env) error {
	for _, name := range env.Task.Suites {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("there is no suite %q: there are %s", name, strings.Join(Names(), ", "))
		}
	}
	ginkgo.Describe("board", ginkgo.Ordered, ginkgo.ContinueOnFailure, func() {
		for _, name := range env.Task.Suites {
			switch name {
			case "smoke":
				env.Register(name, smoke.Cases(env))
			case "tls":
				env.Register(name, tls.Cases(env))
			}
		}
	})
	return nil
}

// config is Ginkgo's, with nothing left to the environment or the clock.
func config(env *spec.Env) (types.SuiteConfig, types.ReporterConfig) {
	suite, reporter := types.NewDefaultSuiteConfig(), types.NewDefaultReporterConfig()
	suite.RandomSeed = env.Task.Seed
	suite.LabelFilter = env.Task.LabelFilter
	suite.Timeout = 0
	suite.GracePeriod = graceAfterLimit
	reporter.NoColor = true
	return suite, reporter
}

// Plan lists the cases that a task would run on a board. It touches nothing.
// It may be called once in a process that does not call Run.
func Plan(env *spec.Env) ([]reports.Case, error) {
	if err := register(env); err != nil {
		return nil, err
	}
	suite, reporter := config(env)
	return spec.Planned(ginkgo.PreviewSpecs("hil-runner", suite, reporter)), nil
}

// failer is what Ginkgo needs of a *testing.T.
type failer struct{}

// Fail does nothing: a suite's failure is in its events.
func (failer) Fail() {}

// Run runs the task's specs on the bench and emits the plan, every spec's
// start and end, and the final done. An error means that the owner of the
// bench could not be told; a failed spec is no error. It may be called once
// in a process.
func Run(ctx context.Context, env *spec.Env) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	gomega.RegisterFailHandler(ginkgo.Fail)
	if err := register(env); err != nil {
		return err
	}
	suite, reporter := config(env)
	planned := spec.Planned(ginkgo.PreviewSpecs("hil-runner", suite, reporter))
	if err := env.Emit(ctx, farm.Planned{Cases: planned}); err != nil {
		return err
	}
	var watch sync.WaitGroup
	watch.Go(func() { env.Watch(ctx) })
	ended := 0
	env.Report(ctx, &ended, func(err error) { cancel(err) })
	ginkgo.RunSpecs(failer{}, "hil-runner", suite, reporter)
	done := farm.Done{Planned: len(planned), Ended: ended}
	if err := env.Close(); err != nil {
		done.Outcome = reports.Errored
		done.Causes = []reports.Cause{{Class: reports.Test, Code: "stand", Detail: err.Error()}}
	}
	fault := context.Cause(ctx)
	if fault == nil {
		fault = env.Emit(ctx, done)
	}
	cancel(nil)
	watch.Wait()
	return fault
}
