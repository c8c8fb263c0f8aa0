package hostlab

import (
	"context"
	"fmt"
	"path/filepath"

	"hil-runner/firmware"
	"hil-runner/recorder"
	"hil-runner/spwf"
)

// passports are kept beside the other state of the host.
func (o *owner) passports() (*firmware.Passports, error) {
	return firmware.OpenPassports(filepath.Join(o.cfg.StateDir, "passports"))
}

// readPassport reads what is known of the board's module, nil when that is
// nothing. What cannot be read is said by whoever flashes.
func (o *owner) readPassport() *firmware.Passport {
	store, err := o.passports()
	if err != nil {
		return nil
	}
	defer store.Close()
	p, err := store.Load(o.id())
	if err != nil {
		return nil
	}
	return p
}

// passport is readPassport for one that may be believed.
func (o *owner) passport() *firmware.Passport {
	p := o.readPassport()
	if p == nil || p.SHA256 == "" || p.Void != nil || p.Interrupted != nil {
		return nil
	}
	return p
}

// comparePassport voids a passport that names another build than the module
// reports: somebody else has written its flash, or it is another module.
func (o *owner) comparePassport() {
	reported := spwf.ParseBuild(o.watch.build())
	if reported.Text == "" {
		return
	}
	if p := o.passport(); p != nil && p.Build != "" && spwf.ParseBuild(p.Build).ID() != reported.ID() {
		o.voidPassport(fmt.Sprintf("the module reports build %.80q, the passport says %.80q", reported.Text, p.Build))
	}
}

// doubtPassport looks whether a module that has a passport was left in its
// boot ROM by somebody else. It is asked before any line is changed.
func (o *owner) doubtPassport(ctx context.Context) (inROM bool) {
	if o.passport() == nil || !o.romAnswers(ctx) {
		return false
	}
	o.voidPassport("the module was found in its boot ROM, which nobody of this program had asked for")
	return true
}

// voidPassport marks what is in the module's flash as unknown. A passport that
// cannot be written cannot be trusted either: flashing says so.
func (o *owner) voidPassport(reason string) {
	attrs := map[string]any{"reason": reason}
	store, err := o.passports()
	if err == nil {
		err = store.Void(o.id(), reason)
		store.Close()
	}
	if err != nil {
		attrs["error"] = err.Error()
	}
	o.note(recorder.KindNote, "passport_void", attrs)
}
