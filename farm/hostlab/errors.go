package hostlab

import (
	"context"
	"errors"
	"fmt"

	"hil-runner/console"
	"hil-runner/farm"
	"hil-runner/recorder"
)

// codeBusy is the code of farm.ErrBoardBusy.
const codeBusy = "board_busy"

// openError says what a port that does not open means for whoever wants it.
func openError(err error) error {
	switch {
	case errors.Is(err, console.ErrBusy):
		return &farm.InfraError{Code: codeBusy, Detail: "open the UART", Err: err}
	case errors.Is(err, console.ErrUnplugged):
		return &farm.InfraError{Code: "uart_lost", Detail: "open the UART; check the cable and the adapter", Err: err}
	}
	return &farm.InfraError{Code: "uart_open", Detail: "open the UART", Err: err}
}

// journalError does the same for a journal.
func journalError(err error) error {
	if errors.Is(err, recorder.ErrBusy) {
		return &farm.InfraError{Code: codeBusy, Detail: "open the journal", Err: err}
	}
	return &farm.InfraError{Code: "journal", Detail: "open the journal", Err: err}
}

// uartError says what an error of the port means: the device is gone, it takes
// no bytes, or what passes through it cannot be recorded.
func (o *owner) uartError(err error) error {
	detail := o.where()
	switch {
	case err == nil:
		return nil
	case o.journal.Err() != nil:
		return &farm.InfraError{Code: "journal", Detail: detail + ": the journal takes no more; is the disk full?", Err: err}
	case errors.Is(err, console.ErrUnplugged):
		return &farm.InfraError{Code: "uart_lost", Detail: detail + ": check the cable and the adapter", Err: err}
	case errors.Is(err, console.ErrWedged):
		return &farm.InfraError{Code: "uart_wedged", Detail: detail, Err: err}
	case errors.Is(err, console.ErrClosed):
		return fmt.Errorf("%s: %w", detail, farm.ErrClosed)
	case errors.Is(err, context.DeadlineExceeded):
		limit := o.dev.Board.Limits.Command
		return &farm.LimitError{Limit: "command", After: limit.String(), Doing: detail + ": send bytes", Err: err}
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", detail, err)
	}
	return &farm.InfraError{Code: "uart", Detail: detail, Err: err}
}
