package main

import (
	"context"

	"github.com/spf13/cobra"

	"hil-runner/farm"
)

func (p *program) labVerb() *cobra.Command {
	cmd := &cobra.Command{Use: "lab", Short: "Virtual labs, lines, and the lab file's schema",
		Example: "  hil-runner lab up --boards 2 --write-lab lab.yaml\n  hil-runner lab schema > lab.schema.json",
		Args:    noVerb, RunE: showHelp}
	cmd.AddCommand(p.labUpVerb(), p.labLineVerb(), p.labSchemaVerb())
	return cmd
}

func (p *program) labSchemaVerb() *cobra.Command {
	return &cobra.Command{Use: "schema", Short: "Print the JSON schema of the lab file, for editors", Args: operands(0, 0),
		Example: "  hil-runner lab schema > lab.schema.json",
		RunE: verb(func(context.Context, []string) error {
			_, err := p.out.Write(farm.Schema())
			return err
		})}
}
