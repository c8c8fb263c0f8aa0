package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"hil-runner/farm"
	"hil-runner/farm/link"
	"hil-runner/suites"
	"hil-runner/suites/spec"
)

// workerVerb is what this executable does as the child process of a run: one
// board's specs, over the link that it inherited.
func (p *program) workerVerb() *cobra.Command {
	return &cobra.Command{Use: "worker", Hidden: true, Args: operands(0, 0), Short: "Run the specs of one board (started by run)",
		RunE: verb(func(ctx context.Context, _ []string) error { return work(ctx) })}
}

// work attaches to the bench, runs the task and leaves. Without an owner
// there is nothing to leave behind, so the process ends at once.
func work(ctx context.Context) error {
	conn, err := link.Inherited()
	if err != nil {
		return &farm.UsageError{Text: err.Error()}
	}
	build, err := link.BuildID()
	if err != nil {
		return err
	}
	session, err := link.Attach(conn, build, os.Getpid())
	if err != nil {
		return err
	}
	var task spec.Task
	if err := json.Unmarshal(session.Hello.Task, &task); err != nil {
		return fmt.Errorf("worker: task: %w", err)
	}
	go func() {
		// Specs may be anywhere; a process that lost its owner must not wait
		// for them. Ended by the exit of the process.
		<-session.Lost()
		fmt.Fprintln(os.Stderr, "worker:", session.Err())
		os.Exit(1)
	}()
	env := &spec.Env{Bench: session.Bench, Task: task, Incidents: session.Incidents()}
	if err := suites.Run(ctx, env); err != nil {
		return errors.Join(err, env.Close())
	}
	// The process ends here, and with it the link: closing it first would
	// look like a lost owner.
	os.Exit(0)
	return nil
}
