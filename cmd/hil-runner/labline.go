package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hil-runner/farm"
	"hil-runner/gpio"
)

func (p *program) labLineVerb() *cobra.Command {
	cmd := &cobra.Command{Use: "line [BOARD] reset|boot0|gpio0|power assert|release", Short: "Drive one line of a board", Args: operands(2, 3),
		Long: "line drives one line and leaves it so. Asserted means: reset holds the module,\n" +
			"boot0 selects the boot ROM at the next reset, gpio0 is high, power is supplied.",
		Example: "  hil-runner lab line vb1 boot0 assert --lab lab.yaml\n  hil-runner lab line vb1 reset assert --lab lab.yaml\n  hil-runner lab line vb1 reset release --lab lab.yaml",
		RunE: verb(func(ctx context.Context, args []string) error {
			board, rest, err := boardOperand(args, 2)
			if err != nil {
				return err
			}
			return p.labLine(ctx, board, rest[0], rest[1])
		})}
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var values []string
		switch len(args) {
		case 0:
			values = p.boardIDs()
		case 1:
			values = roleNames()
		case 2:
			values = []string{"assert", "release"}
		}
		return values, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func roleNames() []string {
	var names []string
	for _, role := range gpio.Roles() {
		names = append(names, string(role))
	}
	return names
}

func (p *program) labLine(ctx context.Context, id, role, what string) error {
	if !slices.Contains(roleNames(), role) {
		return unknownName("line", role, roleNames())
	}
	past := map[string]string{"assert": "asserted", "release": "released"}[what]
	if past == "" {
		return unknownName("action", what, []string{"assert", "release"})
	}
	if p.lab == "" {
		return &farm.UsageError{Text: "lab line wants a lab file", Hint: "write one with hil-runner lab up --write-lab FILE and give it by --lab or HIL_LAB"}
	}
	l, err := loadLab(p.lab, 0, 1)
	if err != nil {
		return err
	}
	if _, err := farm.Select(l.boards(), []string{id}, nil, 0); err != nil {
		return err
	}
	if err := driveLine(ctx, l.wiring(id), gpio.Role(role), what == "assert"); err != nil {
		return err
	}
	done := struct {
		Board string `json:"board"`
		Line  string `json:"line"`
		State string `json:"state"`
	}{id, role, past}
	return p.show(done, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: %s %s\n", id, role, past)
		return err
	}, []string{id})
}

// driveLine drives one line of a board and leaves it so.
func driveLine(ctx context.Context, w farm.Wiring, role gpio.Role, assert bool) error {
	at := map[gpio.Role]*farm.LineAddress{gpio.Reset: w.Lines.Reset, gpio.Boot0: w.Lines.Boot0,
		gpio.GPIO0: w.Lines.GPIO0, gpio.Power: w.Lines.Power}[role]
	if at == nil {
		return noLine(w.Board.ID, string(role)+" line")
	}
	if !strings.HasPrefix(at.Address, "sock:") {
		if err := gpio.Host(ctx); err != nil {
			return err
		}
	}
	line, err := gpio.Open(gpio.LineSpec{Role: role, Address: at.Address, ActiveLow: at.ActiveLow})
	if err != nil {
		return err
	}
	drive := line.Release
	if assert {
		drive = line.Assert
	}
	if err := drive(ctx); err != nil {
		return &farm.InfraError{Code: "line", Detail: "board " + w.Board.ID, Err: err}
	}
	return nil
}
