package spwf

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// How an update over the air fails.
var (
	// ErrUpdateConnect: the module did not reach the server.
	ErrUpdateConnect = errors.New("the module did not reach the update server")
	// ErrUpdateImage: the server's answer is no image. The module ignores the
	// HTTP status, so an error page shows as an image id.
	ErrUpdateImage = errors.New("what the server sent is no firmware image")
	// ErrUpdateModel: the image is for another model.
	ErrUpdateModel = errors.New("the image is for another model")
	// ErrUpdateIncomplete: OK came without "Complete!".
	ErrUpdateIncomplete = errors.New("the module did not report a complete image")
	// ErrUpdateNotApplied: the module started without having applied an
	// image.
	ErrUpdateNotApplied = errors.New("the module started without applying the staged image")
)

// Progress is one step of an update. Written counts bytes; Total is set by
// the last step.
type Progress struct {
	Address uint32
	Written int
	Total   int
	Line    string
}

// FWUpdate lets the module fetch an image into its staging memory
// (FWUPDATE=host,path,port; modules with external flash only). progress may be
// nil and is called for each line. ApplyUpdate puts the image to use.
func (m *Module) FWUpdate(ctx context.Context, host, path string, port int, progress func(Progress)) error {
	if err := checkField("the host", host); err != nil {
		return err
	}
	if err := checkField("the path", path); err != nil {
		return err
	}
	command := "AT+S.FWUPDATE=" + host + "," + path
	if port != 0 {
		command += "," + strconv.Itoa(port)
	}
	complete := false
	var p Progress
	q := &request{command: command, limit: "update", within: m.opt.Limits.Update, renew: true}
	q.onLine = func(line string) {
		p.Line = line
		complete = complete || strings.Contains(line, "Complete!")
		if p.read(line) && progress != nil {
			progress(p)
		}
	}
	_, err := m.lines(ctx, q)
	var refused *CommandError
	switch {
	case errors.As(err, &refused):
		if cause := updateCause(refused.Text); cause != nil {
			return fmt.Errorf("%w: %w", cause, err)
		}
		return err
	case err != nil:
		return err
	case !complete:
		return fmt.Errorf("%s%w", where(m.opt.Board, command), ErrUpdateIncomplete)
	}
	return nil
}

// read takes " Write len 4096 -> 0x1000" and " Wrote 390932 bytes".
func (p *Progress) read(line string) bool {
	words := strings.Fields(line)
	switch {
	case len(words) >= 5 && words[0] == "Write" && words[1] == "len":
		n, err := strconv.Atoi(words[2])
		addr, err2 := strconv.ParseUint(strings.TrimPrefix(words[4], "0x"), 16, 32)
		if err != nil || err2 != nil || n < 0 {
			return false
		}
		p.Written += n
		p.Address = uint32(addr)
		return true
	case len(words) >= 3 && words[0] == "Wrote":
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 0 {
			return false
		}
		p.Written, p.Total = n, n
		return true
	}
	return false
}

func updateCause(text string) error {
	switch {
	case strings.EqualFold(text, string(ReasonUpdateConnect)),
		strings.EqualFold(text, string(ReasonResolve)),
		strings.EqualFold(text, string(ReasonHostNotFound)):
		return ErrUpdateConnect
	case strings.HasPrefix(text, reasonUpdateImageHead):
		return ErrUpdateImage
	case strings.HasPrefix(text, reasonUpdateModelHead):
		return ErrUpdateModel
	}
	return nil
}

// ApplyUpdate restarts the module and waits until it has put the staged image
// to use and started it. It returns the build that then runs; only a build
// that is the wanted one is a success. ErrUpdateNotApplied says that the old
// image started. FactoryReset and Save are needed afterwards.
func (m *Module) ApplyUpdate(ctx context.Context) (Build, error) {
	if err := m.restart(ctx); err != nil {
		return Build{}, err
	}
	q := &request{shown: "wait for the update to be applied (+WIND:17)", limit: "update", within: m.opt.Limits.Update}
	applied := false
	for {
		i, err := m.wait(ctx, q, false, []int{WindUpdate, WindPoweron})
		if err != nil {
			return Build{}, err
		}
		if i.ID == WindUpdate {
			applied = applied || strings.Contains(i.Text, "complete")
			continue
		}
		b := ParseBuild(i.Text)
		if applied {
			return b, nil
		}
		// A banner may come before the update and another one after it.
		if again, ok, err := m.updateFollows(ctx); err != nil || !ok {
			if err == nil {
				err = fmt.Errorf("%s%w (it runs %s)", where(m.opt.Board, "AT+CFUN=1"), ErrUpdateNotApplied, b)
			}
			return b, err
		} else if strings.Contains(again.Text, "complete") {
			applied = true
		}
	}
}

// updateFollows tells whether an update indication comes before the console.
func (m *Module) updateFollows(ctx context.Context) (Indication, bool, error) {
	q := &request{shown: "wait for the console or an update", limit: "console", within: min(m.opt.Limits.Console, 3*time.Second)}
	i, err := m.wait(ctx, q, false, []int{WindUpdate, WindConsole, WindHardware})
	var silent *TimeoutError
	switch {
	case errors.As(err, &silent) && silent.Limit == "console":
		return Indication{}, false, nil
	case err != nil:
		return Indication{}, false, err
	case i.ID == WindUpdate:
		return i, true, nil
	}
	m.putBack(i)
	return Indication{}, false, nil
}
