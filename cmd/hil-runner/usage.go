package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hil-runner/farm"
)

// This file says how a command was written wrongly and what would have been
// right. All of it is exit status 2.

// unknownName is a usage error with the nearest right names.
func unknownName(what, name string, known []string) error {
	hint := "there is " + strings.Join(known, ", ")
	if near := farm.Nearest(name, known); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return &farm.UsageError{Text: fmt.Sprintf("there is no %s %q", what, name), Hint: hint}
}

// noVerb is the operand check of a command that only has verbs below it.
func noVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			known = append(known, c.Name())
		}
	}
	return unknownName("verb", strings.TrimPrefix(cmd.CommandPath()+" "+args[0], "hil-runner "), prefixed(cmd, known))
}

// prefixed gives the names as they are typed after hil-runner.
func prefixed(cmd *cobra.Command, names []string) []string {
	above := strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "hil-runner"), " ")
	for i := range names {
		names[i] = strings.TrimPrefix(above+" "+names[i], " ")
	}
	slices.Sort(names)
	return names
}

// showHelp is what a command without a verb does.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// flagError names the flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() && len(cmd.Flags().Args()) > 0 {
		// The flags belong to a verb that does not exist.
		return noVerb(cmd, cmd.Flags().Args())
	}
	see := "see hil-runner help" + strings.TrimPrefix(cmd.CommandPath(), "hil-runner")
	missing, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return &farm.UsageError{Text: err.Error(), Hint: see}
	}
	name := missing.GetSpecifiedName()
	if len(name) <= 1 {
		return &farm.UsageError{Text: fmt.Sprintf("there is no flag -%s", name), Hint: see}
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
	if len(farm.Nearest("--"+name, known)) > 0 {
		return unknownName("flag", "--"+name, known)
	}
	return &farm.UsageError{Text: fmt.Sprintf("there is no flag --%s", name), Hint: see}
}

// operands wants a number of operands in a range; most below 0 is no limit.
func operands(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		given := "no operands"
		if len(args) > 0 {
			given = fmt.Sprintf("%q", args)
		}
		return &farm.UsageError{Text: fmt.Sprintf("%s was given %s", cmd.CommandPath(), given), Hint: "usage: " + cmd.UseLine()}
	}
}

// boardOperand takes the board off a verb's operands. more is how many the
// verb wants besides: one more than that begins with the board, otherwise it
// is HIL_BOARD.
func boardOperand(args []string, more int) (board string, rest []string, err error) {
	if len(args) > more {
		return args[0], args[1:], nil
	}
	if id := os.Getenv("HIL_BOARD"); id != "" {
		return id, args, nil
	}
	return "", nil, &farm.UsageError{Text: "no board was named", Hint: "give its id, or set HIL_BOARD; see hil-runner boards"}
}

// helpVerb replaces cobra's, which ends well for a topic that does not exist.
func helpVerb() *cobra.Command {
	return &cobra.Command{
		Use: "help [VERB]", Short: "Help about a verb or a topic",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			at, _, err := cmd.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, c := range at.Commands() {
				if !c.Hidden {
					names = append(names, c.Name())
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			at, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				if at == nil || !at.HasSubCommands() {
					at, rest = cmd.Root(), args
				}
				return noVerb(at, rest)
			}
			at.InitDefaultHelpFlag()
			return at.Help()
		},
	}
}

// usageTemplate words cobra's in this program's terms.
func usageTemplate(cobras string) string {
	return strings.NewReplacer(
		// A command with verbs below it does nothing but show them.
		"{{if .Runnable}}\n  {{.UseLine}}{{end}}", "{{if not .HasAvailableSubCommands}}\n  {{.UseLine}}{{end}}",
		"{{.CommandPath}} [command]", "{{.CommandPath}} VERB",
		"more information about a command", "more about a verb",
		"Available Commands:", "Verbs:",
		"Additional help topics:", "Topics:",
		"{{rpad .CommandPath .CommandPathPadding}} {{.Short}}", "help {{rpad .Name 16}} {{.Short}}",
	).Replace(cobras)
}
