package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"go.yaml.in/yaml/v4"
	"golang.org/x/term"

	"hil-runner/reports"
)

// Results go to stdout in the form that -o asks for, everything else to
// stderr.

func outputForms() []string { return []string{"table", "json", "yaml", "name"} }

// checkOutput refuses a form that does not exist.
func (p *program) checkOutput() error {
	if slices.Contains(outputForms(), p.output) {
		return nil
	}
	return unknownName("output form", p.output, outputForms())
}

// show writes a result in the form that was asked for. table and names are
// the forms for people and for scripts.
func (p *program) show(value any, table func(w io.Writer) error, names []string) error {
	switch p.output {
	case "json":
		enc := json.NewEncoder(p.out)
		enc.SetIndent("", "  ")
		return enc.Encode(value)
	case "yaml":
		// Through JSON, so that both forms have the same keys.
		raw, err := json.Marshal(value)
		if err != nil {
			return err
		}
		var plain any
		if err := yaml.Unmarshal(raw, &plain); err != nil {
			return err
		}
		text, err := yaml.Marshal(plain)
		if err != nil {
			return err
		}
		_, err = p.out.Write(text)
		return err
	case "name":
		for _, name := range names {
			if _, err := fmt.Fprintln(p.out, reports.VisibleLine(name)); err != nil {
				return err
			}
		}
		return nil
	}
	return table(p.out)
}

// say writes one line for people. A stderr that went away hears nothing, and
// there is nobody left to tell.
func (p *program) say(format string, args ...any) {
	fmt.Fprintf(p.err, format+"\n", args...)
}

// patience is how long something may take before a person is told what it is.
const patience = time.Second

// whileSlow says what is going on once it has taken longer than patience,
// until the returned function is called.
func (p *program) whileSlow(format string, args ...any) (done func()) {
	over := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-timer.C:
			p.say(format, args...)
		case <-over:
		}
	})
	return func() {
		close(over)
		waiting.Wait()
	}
}

// terminal tells whether a stream is a terminal, and its size.
func terminal(stream any) (width, height int, ok bool) {
	f, isFile := stream.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	return width, height, err == nil
}

// plainWidth is how wide text is when it goes to a file or a CI log.
const plainWidth = 160

// textOptions are the looks of a report's text on a stream.
func textOptions(stream any, folder *reports.Folder) reports.TextOptions {
	width, _, ok := terminal(stream)
	if !ok {
		width = plainWidth
	}
	return reports.TextOptions{Width: width, Color: colour(stream), Folder: folder}
}

// newProgress shows boards at work on stderr.
func (p *program) newProgress(boards []string) *reports.Progress {
	width, height, ok := terminal(p.err)
	return reports.NewProgress(p.err, boards, reports.ProgressOptions{
		Terminal: ok && os.Getenv("TERM") != "dumb", Width: width, Height: height, Color: colour(p.err)})
}

// colour is allowed on a terminal, unless NO_COLOR says otherwise.
func colour(stream any) bool {
	_, _, ok := terminal(stream)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
