package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hil-runner/farm"
	"hil-runner/farm/virtlab/image"
	"hil-runner/reports"
)

func (p *program) boardsVerb() *cobra.Command {
	var tags []string
	cmd := &cobra.Command{Use: "boards", Short: "List the boards of the lab", Args: operands(0, 0),
		Example: "  hil-runner boards --lab lab.yaml -t rack=2 -o json",
		RunE: verb(func(context.Context, []string) error {
			l, err := loadLab(p.lab, 0, 1)
			if err != nil {
				return err
			}
			filter, err := farm.ParseTags(tags)
			if err != nil {
				return err
			}
			boards, err := farm.Select(l.boards(), nil, filter, 0)
			if err != nil {
				return err
			}
			return p.show(boards, func(w io.Writer) error { return boardTable(w, boards) }, idsOf(boards))
		})}
	cmd.Flags().StringArrayVarP(&tags, "tag", "t", nil, "boards that carry `KEY=VALUE`, may be repeated")
	p.complete(cmd, "tag", func(string) []string { return p.tags() })
	return cmd
}

func boardTable(out io.Writer, boards []farm.Board) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BOARD\tMODEL\tSLOT\tPORT\tTAGS")
	for _, b := range boards {
		var tags []string
		for _, k := range slices.Sorted(maps.Keys(b.Tags)) {
			tags = append(tags, k+"="+b.Tags[k])
		}
		row := []string{b.ID, b.Model, b.Slot, b.Port, strings.Join(tags, ",")}
		for i, cell := range row {
			if row[i] = reports.VisibleLine(cell); cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func idsOf(boards []farm.Board) []string {
	ids := make([]string, len(boards))
	for i, b := range boards {
		ids[i] = b.ID
	}
	return ids
}

// boardIDs and releases are for completion: what cannot be read gives none.
func (p *program) boardIDs() []string {
	l, err := loadLab(p.lab, 0, 1)
	if err != nil {
		return nil
	}
	return idsOf(l.boards())
}

func (p *program) releases() []string {
	l, err := loadLab(p.lab, 0, 1)
	if err != nil {
		return nil
	}
	catalogue, err := l.catalogue(true)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range catalogue.Entries() {
		names = append(names, e.Release)
	}
	return names
}

// builtInReleases are those of the virtual images.
func builtInReleases() []string {
	var names []string
	for _, r := range image.Releases() {
		names = append(names, r.Release())
	}
	return names
}

// tags lists what -t can choose by.
func (p *program) tags() []string {
	l, err := loadLab(p.lab, 0, 1)
	if err != nil {
		return nil
	}
	var tags []string
	for _, b := range l.boards() {
		for k, v := range b.Tags {
			tags = append(tags, k+"="+v)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// completeBoard offers board ids as the first argument.
func (p *program) completeBoard(cmd *cobra.Command) {
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return p.boardIDs(), cobra.ShellCompDirectiveNoFileComp
	}
}
