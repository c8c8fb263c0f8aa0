package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"hil-runner/farm"
	"hil-runner/reports"
)

func (p *program) resetVerb() *cobra.Command {
	var hold time.Duration
	cmd := &cobra.Command{Use: "reset [BOARD]", Short: "Pulse the reset line and wait for the banner", Args: operands(0, 1),
		Long: "reset pulses the board's reset line and ends well only if a banner newer than\n" +
			"the pulse came. BOARD may be left out when HIL_BOARD is set.",
		Example: "  hil-runner reset b1 --lab lab.yaml\n  hil-runner reset b1 --hold 500ms",
		RunE: verb(func(ctx context.Context, args []string) error {
			board, _, err := boardOperand(args, 0)
			if err != nil {
				return err
			}
			if hold < 0 {
				return &farm.UsageError{Text: fmt.Sprintf("--hold %v: want 0 or more", hold)}
			}
			l, err := loadLab(p.lab, 0, 1)
			if err != nil {
				return err
			}
			return p.withBench(ctx, l, benchRequest{board: board, reason: "reset"}, func(ctx context.Context, b *farm.Bench) error {
				return p.reset(ctx, b, hold)
			})
		})}
	cmd.Flags().DurationVar(&hold, "hold", 0, "`LENGTH` of the pulse; 0 takes the lab file's")
	p.completeBoard(cmd)
	return cmd
}

func (p *program) reset(ctx context.Context, b *farm.Bench, hold time.Duration) error {
	if err := p.resetBoard(ctx, b, hold); err != nil {
		return err
	}
	done := struct {
		Board string `json:"board"`
		Build string `json:"build"`
	}{b.Board.ID, b.Build()}
	return p.show(done, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: reset, build %s\n", done.Board, reports.VisibleLine(done.Build))
		return err
	}, []string{done.Build})
}
