package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hil-runner/farm"
	"hil-runner/recorder"
	"hil-runner/reports"
)

// escapeKey leaves the console: Ctrl-], as in telnet.
const escapeKey = 0x1d

func (p *program) consoleVerb() *cobra.Command {
	var echo bool
	cmd := &cobra.Command{Use: "console [BOARD]", Short: "Talk to a board's UART; Ctrl-] leaves", Args: operands(0, 1),
		Long: "console shows what the module says and sends what is typed. On a terminal Ctrl-]\n" +
			"leaves and Enter sends CR; otherwise it sends its input, lines ended by CR, and\n" +
			"leaves when each was answered or the board was silent for its limit command.\n" +
			"Everything is recorded. Control bytes of the module are shown, not carried out.",
		Example: "  hil-runner console b1 --lab lab.yaml\n  echo AT+S.STS | hil-runner console b1",
		RunE: verb(func(ctx context.Context, args []string) error {
			board, _, err := boardOperand(args, 0)
			if err != nil {
				return err
			}
			l, err := loadLab(p.lab, 0, 1)
			if err != nil {
				return err
			}
			return p.withBench(ctx, l, benchRequest{board: board, reason: "console"}, func(ctx context.Context, b *farm.Bench) error {
				return p.console(ctx, b, echo)
			})
		})}
	cmd.Flags().BoolVar(&echo, "echo", false, "show what is sent, too, for a module that does not echo")
	p.completeBoard(cmd)
	return cmd
}

// console copies both ways until Ctrl-], the end of the input, or ctx.
func (p *program) console(whole context.Context, b *farm.Bench, echo bool) error {
	ctx, leave := context.WithCancel(whole)
	defer leave()
	restore, err := p.rawTerminal(b)
	if err != nil {
		return err
	}
	defer restore()
	var showing sync.WaitGroup
	showing.Go(func() { p.showConsole(ctx, b, echo, leave) })
	err = p.typeConsole(ctx, b)
	leave()
	showing.Wait()
	if err == nil && whole.Err() != nil {
		return context.Cause(whole)
	}
	return err
}

// rawTerminal hands the keys to the module as they are typed.
func (p *program) rawTerminal(b *farm.Bench) (restore func(), err error) {
	f, isFile := p.in.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return func() {}, nil
	}
	fmt.Fprintf(p.err, "%s on %s; Ctrl-] leaves\r\n", b.Board.ID, b.Board.Port)
	state, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	return func() {
		// The shell can be put right with `stty sane` if this fails.
		_ = term.Restore(int(f.Fd()), state)
	}, nil
}

// showConsole shows the module's bytes made visible, line ends kept, and with
// echo what is sent to it.
func (p *program) showConsole(ctx context.Context, b *farm.Bench, echo bool, leave func()) {
	defer leave()
	// A terminal in raw mode wants the CR, a file does not.
	end := "\n"
	if _, _, ok := terminal(p.out); ok {
		end = "\r\n"
	}
	cursor := b.Recording.Cursor(b.From)
	defer cursor.Close()
	cursor.Urgent(true)
	for {
		rec, err := cursor.Next(ctx)
		if err != nil {
			return
		}
		data := rec.Data
		switch {
		case rec.Kind == recorder.KindTx && echo && !rec.Secret:
			data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
		case rec.Kind != recorder.KindRx:
			continue
		}
		if _, err := io.WriteString(p.out, visibleLines(data, end)); err != nil {
			return
		}
	}
}

// visibleLines makes bytes visible and ends their lines with end.
func visibleLines(data []byte, end string) string {
	var shown strings.Builder
	for line := range bytes.SplitAfterSeq(data, []byte("\n")) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		shown.WriteString(reports.VisibleLine(string(bytes.Trim(text, "\r"))))
		if ended {
			shown.WriteString(end)
		}
	}
	return shown.String()
}

// typeConsole sends what is typed.
func (p *program) typeConsole(ctx context.Context, b *farm.Bench) error {
	keys := make(chan []byte)
	failed := make(chan error, 1)
	go p.readKeys(ctx, keys, failed)
	var asked lineCounter
	lineEnds := func(typed []byte) []byte { return typed }
	if _, _, ok := terminal(p.in); !ok {
		lineEnds = carriageReturns()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if errors.Is(err, io.EOF) {
				return p.awaitAnswers(ctx, b, asked.lines)
			}
			return fmt.Errorf("console: %w", err)
		case typed := <-keys:
			typed, _, left := bytes.Cut(typed, []byte{escapeKey})
			typed = lineEnds(typed)
			asked.feed(typed)
			if len(typed) > 0 {
				if _, err := b.UART.Write(typed); err != nil {
					return err
				}
			}
			if left {
				return nil
			}
		}
	}
}

// readKeys hands on what is typed. A read of a terminal cannot be called off:
// this goroutine ends with the input or with the process.
func (p *program) readKeys(ctx context.Context, keys chan<- []byte, failed chan<- error) {
	for buf := make([]byte, 1024); ; {
		n, err := p.in.Read(buf)
		if n > 0 {
			select {
			case keys <- bytes.Clone(buf[:n]):
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			failed <- err
			return
		}
	}
}

// awaitAnswers lets the replies to a piped input arrive: until there are as
// many final lines as lines were sent, or nothing came for the board's limit
// command.
func (p *program) awaitAnswers(ctx context.Context, b *farm.Bench, lines int) error {
	cursor := b.Recording.Cursor(b.From)
	defer cursor.Close()
	cursor.Urgent(true)
	answers := lineCounter{final: true}
	for answers.lines < lines {
		waiting, cancel := context.WithTimeout(ctx, b.Board.Limits.Command)
		rec, err := cursor.Next(waiting)
		cancel()
		if err != nil {
			return nil // whatever came was shown
		}
		if rec.Kind == recorder.KindRx {
			answers.feed(rec.Data)
		}
	}
	return nil
}

// carriageReturns gives what ends the lines of a text file as the module wants
// it (UM1695: a command ends with CR): LF and CR LF become CR.
func carriageReturns() func([]byte) []byte {
	var last byte
	return func(text []byte) []byte {
		out := make([]byte, 0, len(text))
		for _, b := range text {
			switch {
			case b == '\n' && last == '\r':
			case b == '\n':
				out = append(out, '\r')
			default:
				out = append(out, b)
			}
			last = b
		}
		return out
	}
}

// lineCounter counts the lines of a stream that are not blank; with final
// only those that end a reply (UM1695: OK and ERROR).
type lineCounter struct {
	final bool
	lines int
	line  []byte
}

func (c *lineCounter) feed(data []byte) {
	for _, b := range data {
		if b != '\r' && b != '\n' {
			if len(c.line) < len("ERROR") {
				c.line = append(c.line, b)
			}
			continue
		}
		text := string(c.line)
		c.line = c.line[:0]
		if text != "" && (!c.final || text == "OK" || text == "ERROR") {
			c.lines++
		}
	}
}
