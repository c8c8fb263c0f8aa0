package farm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"hil-runner/farm"
	"hil-runner/reports"
)

func TestExitCode(t *testing.T) {
	infra := &farm.InfraError{Code: "uart_lost"}
	tests := []struct {
		name string
		err  error
		want farm.ExitStatus
	}{
		{"nothing", nil, 0},
		{"anything else", errors.New("disk full"), 3},
		{"firmware", &farm.FirmwareError{Code: "version_mismatch"}, 1},
		{"test", &farm.TestError{Code: "lint"}, 3},
		{"config", &farm.ConfigError{}, 2},
		{"usage, wrapped", fmt.Errorf("run: %w", &farm.UsageError{Text: "no board"}), 2},
		{"infra", infra, 3},
		{"reset", fmt.Errorf("x: %w", farm.ErrResetIneffective), 3},
		{"busy", fmt.Errorf("x: %w", farm.ErrBoardBusy), 4},
		{"busy below infra", &farm.InfraError{Code: "acquire", Err: farm.ErrBoardBusy}, 4},
		{"lease lost", fmt.Errorf("x: %w", farm.ErrLeaseLost), 5},
		{"lease lost that travelled", &farm.InfraError{Code: "lease_lost"}, 5},
		{"interrupted", &farm.Interrupted{Signal: "SIGTERM"}, 130},
		{"cancelled", fmt.Errorf("reset: %w", context.Canceled), 130},
		{"deadline", fmt.Errorf("reset: %w", context.DeadlineExceeded), 3},
		{"status of its own", fmt.Errorf("with: %w", &farm.ExitError{Status: 42}), 42},
		{"1 and 3", errors.Join(infra, &farm.FirmwareError{Code: "x"}), 1},
		{"5 and 1", errors.Join(&farm.FirmwareError{Code: "x"}, farm.ErrLeaseLost), 5},
		{"130 and 5", errors.Join(farm.ErrLeaseLost, &farm.Interrupted{}), 130},
		{"3 and 4", errors.Join(farm.ErrBoardBusy, infra), 3},
		{"two in one text", fmt.Errorf("%w, then %w", infra, &farm.FirmwareError{Code: "x"}), 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := farm.ExitCode(test.err); got != test.want {
				t.Errorf("exit status %d, want %d", got, test.want)
			}
		})
	}
}

// The promised order is 130, 5, 1, 3; every pair keeps it.
func TestWorstExit(t *testing.T) {
	order := []farm.ExitStatus{130, 5, 1, 3, 4, 2, 0}
	for i, better := range order {
		for _, worse := range order[i:] {
			if got := farm.WorstExit(worse, better); got != better {
				t.Errorf("of %d and %d came %d, want %d", worse, better, got, better)
			}
		}
	}
	if got := farm.WorstExit(); got != 0 {
		t.Errorf("of nothing came %d", got)
	}
	if got := farm.WorstExit(0, 77); got != 3 {
		t.Errorf("of an unknown status came %d, want 3", got)
	}
}

func TestExitTable(t *testing.T) {
	want := []farm.ExitStatus{0, 1, 2, 3, 4, 5, 130}
	rows := farm.ExitTable()
	if len(rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(rows), len(want))
	}
	for i, row := range rows {
		if row.Status != want[i] || row.Meaning == "" {
			t.Errorf("row %d is %+v, want status %d with a meaning", i, row, want[i])
		}
	}
}

func TestCauseOf(t *testing.T) {
	tests := []struct {
		err     error
		outcome reports.Outcome
		class   reports.Class
		code    string
	}{
		{nil, reports.Passed, "", ""},
		{fmt.Errorf("board a: %w", farm.ErrResetIneffective), reports.Errored, reports.Infra, "reset_ineffective"},
		{&farm.FirmwareError{Code: "version_mismatch"}, reports.Failed, "", "version_mismatch"},
		{fmt.Errorf("x: %w", &farm.TestError{Code: "lint"}), reports.Errored, reports.Test, "lint"},
		{&farm.InfraError{Code: "flash_verify", Err: farm.ErrUARTLost}, reports.Errored, reports.Infra, "flash_verify"},
		{&farm.InfraError{Code: "gave_up", Err: &farm.FirmwareError{Code: "x"}}, reports.Errored, reports.Infra, "gave_up"},
		{errors.Join(farm.ErrNoAnswer, &farm.FirmwareError{Code: "x"}), reports.Failed, "", "x"},
		{&farm.LimitError{Limit: "banner", After: "8s"}, reports.Errored, reports.Infra, "limit_banner"},
		{context.Canceled, reports.Errored, reports.Infra, "interrupted"},
		{context.DeadlineExceeded, reports.Errored, reports.Infra, "limit"},
		{errors.New("boom"), reports.Errored, reports.Infra, "internal"},
	}
	for _, test := range tests {
		outcome, cause := farm.CauseOf(test.err)
		if outcome != test.outcome || cause.Class != test.class || cause.Code != test.code {
			t.Errorf("%v gave %s, %+v", test.err, outcome, cause)
		}
		if test.err == nil {
			continue
		}
		if !strings.Contains(cause.Detail, test.err.Error()) {
			t.Errorf("%v lost its text: %q", test.err, cause.Detail)
		}
		// What travelled as data still means the same at the other end.
		again, cause2 := farm.CauseOf(farm.ErrorOf(outcome, cause))
		if again != outcome || cause2.Code != cause.Code || cause2.Class != cause.Class {
			t.Errorf("%v came back as %s, %+v", test.err, again, cause2)
		}
		if farm.ExitCode(farm.ErrorOf(outcome, cause)) != farm.ExitCode(test.err) {
			t.Errorf("%v came back with another exit status", test.err)
		}
	}
	if _, cause := farm.CauseOf(farm.ErrLeaseLost); !errors.Is(farm.ErrorOf(reports.Errored, cause), farm.ErrLeaseLost) {
		t.Error("a sentinel that travelled no longer matches")
	}
}

func TestNearest(t *testing.T) {
	known := []string{"vm01", "vm02", "vm10", "rack-board", "smoke", "tls"}
	tests := []struct {
		word string
		want string
	}{
		{"vm1", "vm01 vm10"},
		{"vm03", "vm01 vm02"},
		{"VM10x", "vm10"},
		{"mv01", "vm01"},
		{"rack", "rack-board"},
		{"smoek", "smoke"},
		{"tsl", "tls"},
		{"zzz", ""},
		{"", ""},
		{"vm01", ""},
		{strings.Repeat("v", 1000), ""},
	}
	for _, test := range tests {
		got := strings.Join(farm.Nearest(test.word, known), " ")
		if test.word == "vm01" {
			got = strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(got, "vm02", ""), "vm10", ""))
		}
		if got != test.want {
			t.Errorf("nearest to %q is %q, want %q", test.word, got, test.want)
		}
	}
}

func TestOwnerDoesNotNeedTheEnvironment(t *testing.T) {
	before := farm.Owner()
	t.Setenv("USER", "somebody-else")
	t.Setenv("LOGNAME", "")
	if after := farm.Owner(); after != before {
		t.Errorf("owner went from %s to %s with the environment", before, after)
	}
	user, host, ok := strings.Cut(before, "@")
	if !ok || user == "" || host != farm.Host() || strings.ContainsAny(before, " /\n") {
		t.Errorf("owner is %q, want user@host", before)
	}
}
