package reports

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// table is aligned columns for a terminal.
type table struct {
	cols []column
	rows []tableRow
}

type column struct {
	head  string
	right bool
	// spare says in which order columns go when the width is short: the
	// highest first, 0 never.
	spare int
}

type tableRow struct {
	outcome Outcome
	cells   []tableCell
}

type tableCell struct {
	text string
	// outcome colours the cell; empty for plain text.
	outcome Outcome
}

const gutter = "  "

// newTable lays out the boards of a run with a column per group, or with one
// column for all cases when groups is empty.
func newTable(run *Run, groups []*group) *table {
	t := &table{cols: []column{{head: "BOARD"}, {head: "BUILD", spare: 2}, {head: "FLASH", right: true, spare: 5}, {head: "AT 115200", right: true, spare: 1}}}
	if len(groups) == 0 {
		t.cols = append(t.cols, column{head: "PASSED", right: true})
	}
	for _, g := range groups {
		name := g.Mode
		if name == "" {
			name = g.Suite
		}
		t.cols = append(t.cols, column{head: strings.ToUpper(VisibleLine(name)), right: true})
	}
	t.cols = append(t.cols, column{head: "UNJUDGED", right: true, spare: 4}, column{head: "TIME", right: true, spare: 3})
	for i := range run.Boards {
		t.rows = append(t.rows, newTableRow(&run.Boards[i], groups))
	}
	t.dropEmpty()
	return t
}

func newTableRow(b *BoardRun, groups []*group) tableRow {
	worst := b.Worst()
	row := tableRow{outcome: worst, cells: []tableCell{{text: VisibleLine(b.Board)}, {text: VisibleLine(b.Build)}}}
	if b.Build == "" {
		row.cells[1] = tableCell{text: "never reported", outcome: Errored}
	}
	if f := b.Flash; f != nil {
		row.cells = append(row.cells, tableCell{text: human(f.Duration)}, tableCell{text: human(f.At115200)})
	} else {
		row.cells = append(row.cells, tableCell{}, tableCell{})
	}
	if len(groups) == 0 {
		var all []*Result
		for i := range b.Results {
			all = append(all, &b.Results[i])
		}
		row.cells = append(row.cells, scoreCell(all))
	}
	ix := indexResults(b)
	for _, g := range groups {
		var all []*Result
		for _, c := range g.Cases {
			if r := ix.of(c); r != nil {
				all = append(all, r)
			}
		}
		row.cells = append(row.cells, scoreCell(all))
	}
	row.cells = append(row.cells, unjudgedCell(b), tableCell{text: human(b.Took())})
	return row
}

// scoreCell is "13/14": how many passed of how many that were to be judged.
// Flaky ones count as passed here and colour the cell.
func scoreCell(all []*Result) tableCell {
	worst, good, planned := Skipped, 0, 0
	for _, r := range all {
		if r.unjudged() {
			continue
		}
		planned++
		if gravity(r.Outcome) < gravity(worst) {
			worst = r.Outcome
		}
		if r.Outcome == Passed || r.Outcome == Flaky {
			good++
		}
	}
	switch {
	case len(all) == 0:
		return tableCell{}
	case planned == 0:
		return tableCell{text: glyph(Skipped), outcome: Skipped}
	case good < planned && gravity(worst) >= gravity(Passed):
		worst = Errored // a case that ought to have run did not
	}
	return tableCell{text: fmt.Sprintf("%d/%d", good, planned), outcome: worst}
}

// unjudgedCell counts what scoreCell leaves out: "1 • 2 –".
func unjudgedCell(b *BoardRun) tableCell {
	n := make(map[Outcome]int)
	for i := range b.Results {
		if b.Results[i].unjudged() {
			n[b.Results[i].Outcome]++
		}
	}
	return tableCell{text: glyphTally(n), outcome: Skipped}
}

// dropEmpty takes out columns that say nothing on any board.
func (t *table) dropEmpty() {
	for i := len(t.cols) - 1; i > 0; i-- {
		if !slices.ContainsFunc(t.rows, func(r tableRow) bool { return r.cells[i].text != "" }) {
			t.drop(i)
		}
	}
}

func (t *table) drop(i int) {
	t.cols = slices.Delete(t.cols, i, i+1)
	for n := range t.rows {
		t.rows[n].cells = slices.Delete(t.rows[n].cells, i, i+1)
	}
}

// shrink drops columns until the table fits or none can be spared.
func (t *table) shrink(width int) {
	if width <= 0 {
		return
	}
	for t.width() > width {
		worst := 0
		for i, c := range t.cols {
			if c.spare > t.cols[worst].spare {
				worst = i
			}
		}
		if t.cols[worst].spare == 0 {
			return
		}
		t.drop(worst)
	}
}

// cut shortens the names of the boards to make the table fit.
func (t *table) cut(width int) {
	if over := t.width() - width; over > 0 {
		keep := max(4, t.widths()[0]-over)
		for n := range t.rows {
			t.rows[n].cells[0].text = clip(t.rows[n].cells[0].text, keep)
		}
	}
}

func (t *table) widths() []int {
	w := make([]int, len(t.cols))
	for i, c := range t.cols {
		w[i] = cells(c.head)
		for _, r := range t.rows {
			w[i] = max(w[i], cells(r.cells[i].text))
		}
	}
	return w
}

func (t *table) width() int {
	n := 2 // the glyph of the row and a space
	for _, w := range t.widths() {
		n += w + len(gutter)
	}
	return n - len(gutter)
}

func (t *table) write(w io.Writer, opt TextOptions) {
	widths := t.widths()
	var head strings.Builder
	head.WriteString("  ")
	for i, c := range t.cols {
		head.WriteString(pad(c.head, widths[i], c.right, i == len(t.cols)-1))
	}
	fmt.Fprintln(w, dim(opt, strings.TrimRight(head.String(), " ")))
	for _, r := range t.rows {
		var b strings.Builder
		b.WriteString(paint(opt, r.outcome, glyph(r.outcome)) + " ")
		for i, c := range r.cells {
			text := pad(c.text, widths[i], t.cols[i].right, i == len(r.cells)-1)
			if c.outcome != "" {
				text = paint(opt, c.outcome, text)
			}
			b.WriteString(text)
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// pad fills text to width on its left or right and adds the gutter.
func pad(text string, width int, right, last bool) string {
	fill := strings.Repeat(" ", max(0, width-cells(text)))
	if right {
		text = fill + text
	} else if !last {
		text += fill
	}
	if !last {
		text += gutter
	}
	return text
}
