package virtlab

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FaultKind names a fault.
type FaultKind string

// The kinds of fault.
const (
	// FaultDrop loses bytes of the module's output, FaultGarble changes them.
	FaultDrop   FaultKind = "drop"
	FaultGarble FaultKind = "garble"
	// FaultHang stops the module until the next reset.
	FaultHang FaultKind = "hang"
	// FaultHardFault prints WIND 8 with a register dump and restarts.
	FaultHardFault FaultKind = "hard_fault"
	// The firmware's other ways to fail, each with its own indication: WIND 6,
	// 9, 10, 4 and 31. All of them wait until the application runs.
	FaultWatchdog FaultKind = "watchdog"
	FaultStack    FaultKind = "stack_overflow"
	FaultMalloc   FaultKind = "malloc_failed"
	FaultHeap     FaultKind = "heap"
	FaultWiFi     FaultKind = "wifi_exception"
	// FaultBrownOut restarts the module as a dip of its supply does.
	FaultBrownOut FaultKind = "brown_out"
	// FaultStuckReset disconnects the reset line.
	FaultStuckReset FaultKind = "stuck_reset"
	// FaultDead takes the module's voice and hearing for good.
	FaultDead FaultKind = "dead"
	// FaultLate delays indications, FaultMissing loses them.
	FaultLate    FaultKind = "late_indication"
	FaultMissing FaultKind = "missing_indication"
	// FaultWrongBuild makes the application report another build.
	FaultWrongBuild FaultKind = "wrong_build"
)

var faultKinds = []FaultKind{FaultDrop, FaultGarble, FaultHang, FaultHardFault, FaultWatchdog, FaultStack, FaultMalloc,
	FaultHeap, FaultWiFi, FaultBrownOut,
	FaultStuckReset, FaultDead, FaultLate, FaultMissing, FaultWrongBuild}

// FaultKinds lists all kinds.
func FaultKinds() []FaultKind { return slices.Clone(faultKinds) }

// Trigger says from when on a fault is there. At most one field is set; none
// means from the start. It counts from the moment the fault is injected: for
// configured faults that is the module's first power-on.
type Trigger struct {
	// Time is real time.
	Time time.Duration `json:"time,omitempty" yaml:"time,omitempty"`
	// Command is the nth AT command line; the fault comes when it is complete.
	Command int `json:"command,omitempty" yaml:"command,omitempty"`
	// Bytes is a number of bytes that the module has sent.
	Bytes int64 `json:"bytes,omitempty" yaml:"bytes,omitempty"`
	// Boot is the nth start of an application.
	Boot int `json:"boot,omitempty" yaml:"boot,omitempty"`
}

// Fault is one scripted fault of one board.
type Fault struct {
	// Board is the id of the board; "" or "*" is every board.
	Board string    `json:"board,omitempty" yaml:"board,omitempty"`
	Kind  FaultKind `json:"kind" yaml:"kind"`
	After Trigger   `json:"after,omitzero" yaml:"after,omitempty"`
	// Probability is the chance of the fault, from above 0 to 1; 0 means 1.
	// For drop and garble it is the chance of each byte, for indications of
	// each one, for the others it is thrown once.
	Probability float64 `json:"probability,omitempty" yaml:"probability,omitempty"`
	// Seed repeats the same throws; 0 takes the lab's seed.
	Seed uint64 `json:"seed,omitempty" yaml:"seed,omitempty"`
	// Count ends drop, garble and indication faults after so many bytes or
	// indications; 0 is no end.
	Count int `json:"count,omitempty" yaml:"count,omitempty"`
	// Delay is how late an indication comes, in module time; default 5 s.
	Delay time.Duration `json:"delay,omitempty" yaml:"delay,omitempty"`
	// Indication limits indication faults to one number; nil is all.
	Indication *int `json:"indication,omitempty" yaml:"indication,omitempty"`
	// Build is what wrong_build reports; default "140101-badbad0".
	Build string `json:"build,omitempty" yaml:"build,omitempty"`
}

// Applies says whether the fault is for this board.
func (f Fault) Applies(board string) bool {
	return f.Board == "" || f.Board == "*" || f.Board == board
}

// Validate gives all problems of a fault, joined.
func (f Fault) Validate() error {
	var errs []error
	if !slices.Contains(faultKinds, f.Kind) {
		errs = append(errs, fmt.Errorf("kind %q: want one of %s", f.Kind, kindList()))
	}
	if !(f.Probability >= 0 && f.Probability <= 1) {
		errs = append(errs, fmt.Errorf("probability %v: want above 0 up to 1", f.Probability))
	}
	t := f.After
	set := 0
	for _, on := range []bool{t.Time != 0, t.Command != 0, t.Bytes != 0, t.Boot != 0} {
		if on {
			set++
		}
	}
	if set > 1 {
		errs = append(errs, errors.New("after: want only one of time, command, bytes and boot"))
	}
	if t.Time < 0 || t.Command < 0 || t.Bytes < 0 || t.Boot < 0 {
		errs = append(errs, errors.New("after: must not be negative"))
	}
	if f.Count < 0 {
		errs = append(errs, fmt.Errorf("count %d: must not be negative", f.Count))
	}
	if f.Delay < 0 {
		errs = append(errs, fmt.Errorf("delay %v: must not be negative", f.Delay))
	}
	if f.Delay != 0 && f.Kind != FaultLate {
		errs = append(errs, fmt.Errorf("delay: only for %s", FaultLate))
	}
	if f.Indication != nil && f.Kind != FaultLate && f.Kind != FaultMissing {
		errs = append(errs, fmt.Errorf("indication: only for %s and %s", FaultLate, FaultMissing))
	}
	if f.Build != "" && f.Kind != FaultWrongBuild {
		errs = append(errs, fmt.Errorf("build: only for %s", FaultWrongBuild))
	}
	return errors.Join(errs...)
}

func kindList() string {
	names := make([]string, len(faultKinds))
	for i, k := range faultKinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// ParseFault reads the control socket's short form: a kind followed by
// key=value words with the keys time, command, bytes, boot, probability, seed,
// count, delay, indication and build, as in "hang command=3".
func ParseFault(s string) (Fault, error) {
	words := strings.Fields(s)
	if len(words) == 0 {
		return Fault{}, fmt.Errorf("fault: want a kind, one of %s", kindList())
	}
	f := Fault{Kind: FaultKind(words[0])}
	for _, w := range words[1:] {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			return Fault{}, fmt.Errorf("fault: %q: want key=value", w)
		}
		if err := f.set(key, value); err != nil {
			return Fault{}, fmt.Errorf("fault: %s: %w", key, err)
		}
	}
	if err := f.Validate(); err != nil {
		return Fault{}, fmt.Errorf("fault: %w", err)
	}
	return f, nil
}

func (f *Fault) set(key, value string) (err error) {
	switch key {
	case "time":
		f.After.Time, err = time.ParseDuration(value)
	case "delay":
		f.Delay, err = time.ParseDuration(value)
	case "command":
		f.After.Command, err = strconv.Atoi(value)
	case "bytes":
		f.After.Bytes, err = strconv.ParseInt(value, 10, 64)
	case "boot":
		f.After.Boot, err = strconv.Atoi(value)
	case "probability":
		f.Probability, err = strconv.ParseFloat(value, 64)
	case "seed":
		f.Seed, err = strconv.ParseUint(value, 10, 64)
	case "count":
		f.Count, err = strconv.Atoi(value)
	case "indication":
		var n int
		n, err = strconv.Atoi(value)
		f.Indication = &n
	case "build":
		f.Build = value
	default:
		return errors.New("no such key")
	}
	return err
}
