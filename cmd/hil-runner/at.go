package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"hil-runner/farm"
	"hil-runner/reports"
	"hil-runner/spwf"
)

func (p *program) atVerb() *cobra.Command {
	var reset bool
	cmd := &cobra.Command{Use: "at [BOARD] COMMAND...", Short: "Send AT commands and print the replies", Args: operands(1, -1),
		Long: "at sends commands one after the other, each as soon as the one before it was\n" +
			"answered, and ends with status 1 at the first that the module refuses.\n" +
			"BOARD may be left out when HIL_BOARD is set.",
		Example: "  hil-runner at b1 AT+S.STS=version\n  hil-runner at b1 --reset AT+S.SCAN\n  HIL_BOARD=b1 hil-runner at AT AT+S.STS",
		RunE: verb(func(ctx context.Context, args []string) error {
			board, commands, err := atOperands(args)
			if err != nil {
				return err
			}
			l, err := loadLab(p.lab, 0, 1)
			if err != nil {
				return err
			}
			return p.withBench(ctx, l, benchRequest{board: board, reason: "at"}, func(ctx context.Context, b *farm.Bench) error {
				return p.at(ctx, b, commands, reset)
			})
		})}
	cmd.Flags().BoolVar(&reset, "reset", false, "reset the module first and wait until it has started")
	p.completeBoard(cmd)
	return cmd
}

// atOperands takes the board off the operands. Where the first one is a
// command already, the board is HIL_BOARD.
func atOperands(args []string) (board string, commands []string, err error) {
	if isATCommand(args[0]) {
		return boardOperand(args, len(args))
	}
	if len(args) == 1 {
		return "", nil, &farm.UsageError{Text: "no command for board " + args[0], Hint: "write hil-runner at " + args[0] + " AT+S.STS"}
	}
	return args[0], args[1:], nil
}

// isATCommand tells a command from the id of a board.
func isATCommand(arg string) bool {
	if len(arg) < 2 || !strings.EqualFold(arg[:2], "AT") {
		return false
	}
	return len(arg) == 2 || strings.ContainsRune("+&", rune(arg[2]))
}

// atReply is what came back to one command.
type atReply struct {
	Command     string   `json:"command"`
	Lines       []string `json:"lines"`
	Indications []string `json:"indications,omitempty"`
	OK          bool     `json:"ok"`
}

func (p *program) at(ctx context.Context, b *farm.Bench, commands []string, reset bool) error {
	m := spwf.New(b.UART, spwf.Options{Board: b.Board.ID, Limits: spwf.Limits{Command: b.Board.Limits.Command,
		Banner: b.Board.Limits.Banner, Boot: b.Board.Limits.Boot}})
	if err := p.readyForAT(ctx, b, m, reset); err != nil {
		return err
	}
	var replies []atReply
	var refused error
	for _, command := range commands {
		reply, err := p.ask(ctx, b, m, command)
		if err != nil && !errors.As(err, new(*spwf.CommandError)) {
			return err
		}
		replies = append(replies, reply)
		if p.output == "table" {
			if err := reply.print(p.out); err != nil {
				return err
			}
		}
		if err != nil {
			refused = &farm.FirmwareError{Code: "command_refused", Detail: err.Error()}
			break
		}
	}
	if p.output == "table" {
		return refused
	}
	var lines []string
	for _, r := range replies {
		lines = append(lines, r.Lines...)
	}
	return errors.Join(refused, p.show(replies, nil, lines))
}

// readyForAT brings the module to where it takes commands.
func (p *program) readyForAT(ctx context.Context, b *farm.Bench, m *spwf.Module, reset bool) error {
	if reset {
		if err := p.resetBoard(ctx, b, 0); err != nil {
			return err
		}
		defer p.whileSlow("waiting for the module of board %s to start (limit boot: %v)", b.Board.ID, b.Board.Limits.Boot)()
		_, err := m.Boot(ctx)
		return err
	}
	defer p.whileSlow("waiting for board %s to answer AT", b.Board.ID)()
	if err := m.Sync(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &farm.InfraError{Code: "no_answer", Detail: fmt.Sprintf(
			"board %s on %s does not answer AT; try hil-runner reset %s", b.Board.ID, b.Board.Port, b.Board.ID), Err: err}
	}
	return nil
}

// ask sends one command. The reply is there as far as it came, also with an
// error.
func (p *program) ask(ctx context.Context, b *farm.Bench, m *spwf.Module, command string) (atReply, error) {
	defer p.whileSlow("waiting for the reply of board %s (limit command: %v)", b.Board.ID, b.Board.Limits.Command)()
	got, err := m.Do(ctx, command)
	reply := atReply{Command: command, Lines: []string{}, OK: err == nil}
	for _, line := range got.Lines {
		reply.Lines = append(reply.Lines, reports.VisibleLine(strings.TrimRight(line, "\r\n")))
	}
	for _, i := range m.Indications() {
		reply.Indications = append(reply.Indications, reports.VisibleLine(i.String()))
	}
	return reply, err
}

func (r atReply) print(w io.Writer) error {
	lines := append(append([]string{}, r.Lines...), r.Indications...)
	if r.OK {
		lines = append(lines, "OK")
	}
	_, err := io.WriteString(w, strings.Join(append(lines, ""), "\n"))
	return err
}
