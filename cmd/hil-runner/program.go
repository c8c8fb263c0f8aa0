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

// program is one call of hil-runner: its streams and its common flags.
type program struct {
	in       io.Reader
	out, err io.Writer

	lab    string // --lab
	output string // -o
	// signalled names the signal that ended the call early, if one did.
	signalled func() string
}

// execute finds the verb and carries it out.
func (p *program) execute(ctx context.Context, args []string) error {
	root := p.root()
	root.SetArgs(args)
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(verbError)):
		return errors.Unwrap(err)
	case errors.As(err, new(*farm.UsageError)):
		return err
	}
	// What cobra itself refuses is how the command was written.
	return &farm.UsageError{Text: err.Error(), Hint: "see hil-runner help"}
}

// verbError marks an error that a verb gave, as against one of the command
// line's form.
type verbError struct{ error }

// Unwrap gives the verb's error.
func (e verbError) Unwrap() error { return e.error }

// verb adapts a function to cobra.
func verb(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := f(cmd.Context(), args); err != nil {
			return verbError{err}
		}
		return nil
	}
}

// The groups that help shows the verbs in.
const (
	groupRuns  = "runs"
	groupBoard = "board"
	groupLab   = "lab"
	groupTool  = "tool"
)

// root lists the verbs.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "hil-runner",
		Short: "Runs a lab of Wi-Fi modules: power, flash, TLS suites, serial logs",
		Long: "hil-runner drives a lab of Wi-Fi modules over their UARTs and GPIO lines.\n" +
			"Without a lab file it starts a virtual lab of four modules.",
		Example: "  hil-runner run                            the whole lab, four virtual boards\n" +
			"  hil-runner run --lab lab.yaml --board b1  one board of a real lab\n" +
			"  hil-runner lab up --boards 2              a virtual lab for other programs\n" +
			"  hil-runner report                         what the last run found",
		SilenceErrors: true, SilenceUsage: true,
		Args: noVerb, RunE: showHelp,
		PersistentPreRunE: func(*cobra.Command, []string) error { return p.checkOutput() },
	}
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().StringVar(&p.lab, "lab", os.Getenv("HIL_LAB"), "lab `FILE`; without one, a virtual lab (HIL_LAB)")
	root.PersistentFlags().StringVarP(&p.output, "output", "o", "table", "result as `FORM`: table, json, yaml, name")
	p.complete(root, "output", func(string) []string { return outputForms() })
	root.AddGroup(&cobra.Group{ID: groupRuns, Title: "Runs:"}, &cobra.Group{ID: groupBoard, Title: "One board:"},
		&cobra.Group{ID: groupLab, Title: "The lab:"}, &cobra.Group{ID: groupTool, Title: "This program:"})
	for id, verbs := range map[string][]*cobra.Command{
		groupRuns:  {p.runVerb(), p.reportVerb()},
		groupBoard: {p.flashVerb(), p.resetVerb(), p.atVerb(), p.consoleVerb()},
		groupLab:   {p.boardsVerb(), p.labVerb()},
		groupTool:  {p.versionVerb()},
	} {
		for _, v := range verbs {
			v.GroupID = id
		}
		root.AddCommand(verbs...)
	}
	root.AddCommand(p.workerVerb(), exitCodesTopic())
	root.SetUsageTemplate(usageTemplate(root.UsageTemplate()))
	root.SetHelpCommand(helpVerb())
	root.SetHelpCommandGroupID(groupTool)
	root.SetCompletionCommandGroupID(groupTool)
	return root
}

// complete offers values for a flag.
func (p *program) complete(cmd *cobra.Command, flag string, values func(toComplete string) []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return values(toComplete), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag does not exist: a mistake in this file
	}
}

// exit says what went wrong and gives the exit status.
func (p *program) exit(err error) int {
	if err != nil && err.Error() != "" {
		p.say("hil-runner: %s", reports.Visible(err.Error()))
	}
	return int(farm.ExitCode(err))
}
