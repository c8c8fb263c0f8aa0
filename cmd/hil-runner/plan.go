package main

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"slices"
	"time"

	"github.com/onsi/ginkgo/v2/types"

	"hil-runner/farm"
	"hil-runner/firmware"
	"hil-runner/suites"
	"hil-runner/suites/spec"
)

// virtualAtOnce is how many virtual boards run at once for each processor.
// They take all of its time, so more of them end no sooner, and each needs a
// process.
const virtualAtOnce = 4

// prepare reads everything that the run depends on and plans it, without
// touching a device or writing a file.
func (r *labRun) prepare() error {
	f := &r.flags
	if f.parallel < 0 {
		return &farm.UsageError{Text: fmt.Sprintf("--parallel %d: want 0 or more", f.parallel)}
	}
	if f.seed == 0 {
		f.seed = rand.Uint64()>>1 | 1
	}
	if err := r.makeTask(); err != nil {
		return err
	}
	var err error
	if r.lab, err = loadLab(r.p.lab, f.boards, f.seed); err != nil {
		return err
	}
	if f.parallel == 0 && r.lab.virtual != nil {
		f.parallel = virtualAtOnce * runtime.GOMAXPROCS(0)
	}
	if err := r.lab.inject(f.faults); err != nil {
		return err
	}
	r.task.WiFi = r.lab.wifi
	boards, err := r.selectBoards()
	if err != nil {
		return err
	}
	if err := r.chooseFirmware(boards); err != nil {
		return err
	}
	return r.makePlan(boards)
}

// selectBoards applies --board, -t and --boards.
func (r *labRun) selectBoards() ([]farm.Board, error) {
	f := &r.flags
	f.ids = append(f.ids, f.chosenByEnv()...)
	tags, err := farm.ParseTags(f.tags)
	if err != nil {
		return nil, err
	}
	count := f.boards
	if r.lab.virtual != nil {
		count = 0 // the size of the lab, which it has by now
	} else if len(f.ids) == 0 && len(tags) == 0 && count == 0 {
		return nil, &farm.UsageError{Text: "a lab file was given and no boards were chosen", Hint: "say --board ID, -t KEY=VALUE or --boards N"}
	}
	return farm.Select(r.lab.boards(), f.ids, tags, count)
}

// makeTask puts together what the workers are asked to do.
func (r *labRun) makeTask() error {
	f := r.flags
	if !slices.Contains(amazonModes(), f.amazon) {
		return unknownName("--amazon", f.amazon, amazonModes())
	}
	for _, name := range f.suites {
		if !slices.Contains(suites.Names(), name) {
			return unknownName("suite", name, suites.Names())
		}
	}
	// Each once, in the order in which they are meant to run.
	chosen := slices.DeleteFunc(suites.Names(), func(name string) bool { return !slices.Contains(f.suites, name) })
	if len(chosen) == 0 {
		return &farm.UsageError{Text: "--suite names no suite", Hint: "leave it out to run all"}
	}
	for _, name := range f.require {
		if !slices.Contains(requirable(), name) {
			return unknownName("--require", name, requirable())
		}
	}
	if _, err := types.ParseLabelFilter(f.labelFilter); err != nil {
		return &farm.UsageError{Text: fmt.Sprintf("--label-filter %q cannot be read: %s", f.labelFilter, plainGinkgo(err)),
			Hint: "write it like 'mode:mutual && !negative'"}
	}
	r.task = spec.Task{Suites: chosen, LabelFilter: f.labelFilter,
		Seed: int64(f.seed >> 1), Amazon: spec.Amazon(f.amazon), RequireLive: len(f.require) > 0}
	// A host without openssl skips those cases; the suites say so.
	r.task.OpenSSL, _ = exec.LookPath("openssl")
	return nil
}

// plainGinkgo takes the essence out of an error of Ginkgo's, which is several
// lines with colour marks.
func plainGinkgo(err error) string {
	if e, ok := err.(types.GinkgoError); ok {
		return e.Heading
	}
	return err.Error()
}

// chooseFirmware reads what is to be flashed.
func (r *labRun) chooseFirmware(boards []farm.Board) (err error) {
	want := r.flags.firmware
	if want == "" {
		want = r.lab.release
	}
	if want == "" || want == "none" {
		return nil
	}
	if r.firmware, err = r.lab.chooseImage(want, r.flags.allowUnsigned); err != nil {
		return err
	}
	return r.firmware.suits(boards)
}

// flashEstimate is what a dense image of this module's size takes through its
// boot ROM; it only fills the column of a dry run.
func (r *labRun) flashEstimate(farm.Board) time.Duration {
	if r.lab.virtual != nil {
		return time.Second
	}
	return 95 * time.Second
}

// caseEstimate is the same for a case: a start, a join and a few handshakes.
func (r *labRun) caseEstimate() time.Duration {
	if r.lab.virtual != nil {
		return 20 * time.Millisecond
	}
	return 12 * time.Second
}

func (r *labRun) makePlan(boards []farm.Board) error {
	cases, err := suites.Plan(&spec.Env{Task: r.task})
	if err != nil {
		return &farm.UsageError{Text: err.Error()}
	}
	planned := make([]farm.PlannedCase, len(cases))
	for i, c := range cases {
		planned[i] = farm.PlannedCase{Case: c, Estimate: r.caseEstimate()}
		if why := r.task.Skips(c); why != nil {
			planned[i].Skip, planned[i].Estimate = why, 0
		}
	}
	r.plan, err = farm.NewPlan(farm.PlanRequest{Lab: r.lab.name, Boards: boards, Release: r.firmware.release, File: r.firmware.file,
		Suites: r.task.Suites, FlashEstimate: r.flashEstimate, Parallel: r.flags.parallel,
		Cases: func(farm.Board) ([]farm.PlannedCase, error) { return planned, nil }})
	if err != nil {
		return err
	}
	if img := r.firmware.image; img != nil && img.Signature == firmware.Unsigned {
		r.plan.Notes = append(r.plan.Notes, r.firmware.label()+" is not signed by a trusted key (--allow-unsigned)")
	}
	if img := r.firmware.image; img != nil && img.Signature == firmware.VirtualUnsigned {
		r.plan.Notes = append(r.plan.Notes, r.firmware.label()+" is a virtual image, unsigned; its build "+img.Build+" says nothing of a real module")
	}
	return nil
}

func caseNames(p *farm.Plan) []string {
	var names []string
	for _, b := range p.Boards {
		for _, c := range b.Cases {
			names = append(names, b.Board.ID+" "+c.ID)
		}
	}
	return names
}
