package gpio

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
	"periph.io/x/host/v3"
)

const (
	errBusy      = unix.EBUSY
	errGone      = unix.ENODEV
	errForbidden = unix.EACCES
)

// Host makes the pins of this machine known to Open. It is called once, when
// the process starts; calling it again does nothing. A machine without pins is
// no error: names are then simply unknown. Chips that are plugged in later are
// not seen. It must not run beside code that opens files, for the reason given
// below.
func Host(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// A chip that shows up under two names (gpiochip4 is a link to gpiochip0
	// on Raspberry Pi OS) makes the driver close file descriptor 0, and what is
	// opened next becomes this process's standard input. Keep it and put it back.
	stdin, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		stdin = -1 // there was none
	}
	_, initErr := host.Init()
	if stdin >= 0 {
		if err := restoreStdin(stdin); err != nil {
			return fmt.Errorf("gpio: restore standard input: %w", err)
		}
	}
	if initErr != nil {
		return fmt.Errorf("gpio: find this host's pins: %w", initErr)
	}
	return nil
}

func restoreStdin(kept int) error {
	defer unix.Close(kept)
	var was, is unix.Stat_t
	if err := unix.Fstat(kept, &was); err != nil {
		return err
	}
	if err := unix.Fstat(0, &is); err == nil && is.Dev == was.Dev && is.Ino == was.Ino {
		return nil
	}
	return unix.Dup3(kept, 0, 0)
}
