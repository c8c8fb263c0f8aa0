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

func (p *program) flashVerb() *cobra.Command {
	var allowUnsigned, trustPassport bool
	cmd := &cobra.Command{Use: "flash [BOARD] RELEASE|FILE", Short: "Flash one board and see what it reports", Args: operands(1, 2),
		Long: "flash writes a release of the catalogue, or an image file (.bin, Intel HEX, ELF)\n" +
			"through the module's boot ROM, reads it back, starts it, and compares the build\n" +
			"that the module reports. BOARD may be left out when HIL_BOARD is set.",
		Example: "  hil-runner flash b1 3.5.3 --lab lab.yaml\n  hil-runner flash b1 build/app.bin --allow-unsigned",
		RunE: verb(func(ctx context.Context, args []string) error {
			board, rest, err := boardOperand(args, 1)
			if err != nil {
				return err
			}
			l, err := loadLab(p.lab, 0, 1)
			if err != nil {
				return err
			}
			// A board that does not exist is said before an image that does not.
			if _, err := farm.Select(l.boards(), []string{board}, nil, 0); err != nil {
				return err
			}
			chosen, err := l.chooseImage(rest[0], allowUnsigned)
			if err != nil {
				return err
			}
			req := benchRequest{board: board, reason: "flash", image: chosen}
			return p.withBench(ctx, l, req, func(ctx context.Context, b *farm.Bench) error {
				return p.flash(ctx, b, chosen.request(allowUnsigned, trustPassport))
			})
		})}
	cmd.Flags().BoolVar(&allowUnsigned, "allow-unsigned", false, "flash an image without a trusted signature")
	cmd.Flags().BoolVar(&trustPassport, "trust-passport", false, "accept passport and reported build instead of\nreading the flash back")
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return p.boardIDs(), cobra.ShellCompDirectiveNoFileComp
		}
		return p.releases(), cobra.ShellCompDirectiveDefault
	}
	return cmd
}

func (p *program) flash(ctx context.Context, b *farm.Bench, req farm.FlashRequest) error {
	if b.Flash == nil {
		return noLine(b.Board.ID, "reset or no boot0 line")
	}
	progress := p.newProgress([]string{b.Board.ID})
	res, err := flashBoard(ctx, b, req, func(stage string, done, total int) { progress.Phase(b.Board.ID, stage, done, total) })
	// The display is a courtesy; the result is what counts.
	_ = progress.Stop()
	if err != nil {
		return err
	}
	return p.show(res, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: %s (%s) is running; %s, %d pages erased, %d bytes written, %d read back, %v; %v at 115200 baud\n",
			b.Board.ID, reports.VisibleLine(nameOf(res)), reports.VisibleLine(b.Build()), res.Strategy, res.PagesErased, res.BytesWritten, res.BytesRead,
			res.Duration.Round(time.Millisecond), res.At115200.Round(time.Millisecond))
		return err
	}, []string{b.Build()})
}

// nameOf is what was flashed: an image file has no release.
func nameOf(f reports.Flash) string {
	if f.Release != "" {
		return f.Release
	}
	return "image " + f.SHA256[:min(12, len(f.SHA256))]
}
