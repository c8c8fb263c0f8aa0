package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hil-runner/farm"
)

// version is the module's version and the revision it was built from, as far
// as the build knows them.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(v, s.Value[:min(12, len(s.Value))]) {
			v += " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return v
}

func (p *program) versionVerb() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Show the version", Args: operands(0, 0),
		RunE: verb(func(context.Context, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{version(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
			return p.show(v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "hil-runner %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
				return err
			}, []string{v.Version})
		})}
}

// exitCodesTopic is a help topic: `hil-runner help exit-codes`.
func exitCodesTopic() *cobra.Command {
	var text strings.Builder
	text.WriteString("Exit codes. When several hold, the first of 130, 5, 1, 3 decides.\n\n")
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range farm.ExitTable() {
		fmt.Fprintf(w, "  %d\t%s\n", row.Status, row.Meaning)
	}
	w.Flush() // a strings.Builder does not fail
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: text.String()}
}
