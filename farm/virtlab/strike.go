package virtlab

import (
	"bytes"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"hil-runner/farm/virtlab/app"
)

// defaultLate is how late an indication comes when the fault does not say.
const defaultLate = 5 * time.Second

// counters are what triggers wait for.
type counters struct {
	commands, boots int
	bytes           int64
}

// armed is one fault of this module.
type armed struct {
	Fault
	rng  *rand.Rand
	base counters // when it was injected
	on   bool     // its trigger has come
	over bool     // it was thrown and missed, or has used its count
	used int
}

// faults are the module's faults. They live on the loop like all else.
type faults struct {
	seed uint64
	seen counters
	list []*armed
	due  []*armed // to strike at the next quiet moment
}

// Inject adds a fault from now on.
func (c *Core) Inject(f Fault) error {
	if err := f.Validate(); err != nil {
		return err
	}
	c.inject(f)
	c.settle()
	return nil
}

// Heal removes all faults. What they have already done stays.
func (c *Core) Heal() {
	c.faults.list, c.faults.due = nil, nil
}

func (c *Core) inject(f Fault) {
	seed := f.Seed
	if seed == 0 {
		seed = c.faults.seed
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.opt.ID + "\x00" + string(f.Kind)))
	a := &armed{Fault: f, rng: rand.New(rand.NewPCG(seed, h.Sum64()+uint64(len(c.faults.list)))), base: c.faults.seen}
	if a.Probability == 0 {
		a.Probability = 1
	}
	c.faults.list = append(c.faults.list, a)
	switch {
	case f.After.Time > 0:
		c.alarms.add(c.now+f.After.Time, func() { c.trigger(a) })
	case f.After == Trigger{}:
		c.trigger(a)
	}
}

// trigger puts a fault into effect.
func (c *Core) trigger(a *armed) {
	if a.on || a.over {
		return
	}
	a.on = true
	switch a.Kind {
	case FaultDrop, FaultGarble, FaultLate, FaultMissing:
		return // thrown for each byte or indication
	}
	if !a.throw() {
		a.over = true
		return
	}
	switch a.Kind {
	case FaultDead:
		c.stats.Faults[FaultDead]++
	case FaultStuckReset, FaultWrongBuild:
	default:
		c.faults.due = append(c.faults.due, a)
	}
}

func (a *armed) throw() bool { return a.Probability >= 1 || a.rng.Float64() < a.Probability }

func (a *armed) use() {
	a.used++
	if a.Count > 0 && a.used >= a.Count {
		a.over = true
	}
}

// active says whether a lasting fault is there.
func (f *faults) active(kind FaultKind) bool { return f.take(kind) != nil }

// take gives a lasting fault, nil when there is none.
func (f *faults) take(kind FaultKind) *armed {
	for _, a := range f.list {
		if a.Kind == kind && a.on && !a.over {
			return a
		}
	}
	return nil
}

// count notes an event and puts the faults into effect that waited for it.
func (f *faults) count(c *Core, note func(*counters)) {
	note(&f.seen)
	for _, a := range f.list {
		if a.on || a.over {
			continue
		}
		t, n := a.After, f.seen
		if t.Command > 0 && n.commands-a.base.commands >= t.Command ||
			t.Boot > 0 && n.boots-a.base.boots >= t.Boot ||
			t.Bytes > 0 && n.bytes-a.base.bytes >= t.Bytes {
			c.trigger(a)
		}
	}
}

// spoil is what drop and garble leave of output.
func (f *faults) spoil(c *Core, p []byte) []byte {
	for _, a := range f.list {
		if !a.on || a.over || a.Kind != FaultDrop && a.Kind != FaultGarble {
			continue
		}
		out := make([]byte, 0, len(p))
		for _, b := range p {
			if a.over || !a.throw() {
				out = append(out, b)
				continue
			}
			a.use()
			c.stats.Faults[a.Kind]++
			if a.Kind == FaultGarble {
				out = append(out, b^byte(1+a.rng.IntN(255)))
			}
		}
		p = out
	}
	return p
}

// intercept takes an indication that a fault delays or loses.
func (f *faults) intercept(l *life, n int, p []byte) bool {
	c := l.c
	for _, a := range f.list {
		if !a.on || a.over || a.Kind != FaultLate && a.Kind != FaultMissing ||
			a.Indication != nil && *a.Indication != n || !a.throw() {
			continue
		}
		a.use()
		c.stats.Faults[a.Kind]++
		if a.Kind == FaultLate {
			c.late(l, bytes.Clone(p), a.Delay)
		}
		return true
	}
	return false
}

// late prints an indication when its delay is over, if the software that
// raised it still runs. At speed 0, where delays cost nothing, this one still
// takes its real time.
func (c *Core) late(l *life, p []byte, delay time.Duration) {
	if delay == 0 {
		delay = defaultLate
	}
	if c.opt.Speed > 0 {
		delay = c.real(delay)
	}
	c.alarms.add(c.now+delay, func() {
		if l.alive() {
			c.say(c.now, p, appBits)
		}
	})
}

// firmwareFaults are those that the application carries out itself.
var firmwareFaults = map[FaultKind]app.Fault{
	FaultHardFault: app.FaultHard,
	FaultWatchdog:  app.FaultWatchdog,
	FaultStack:     app.FaultStack,
	FaultMalloc:    app.FaultMalloc,
	FaultHeap:      app.FaultHeap,
	FaultWiFi:      app.FaultWiFi,
}

// nextStrike takes the first fault that can happen in the present state.
func (c *Core) nextStrike() *armed {
	for i, a := range c.faults.due {
		_, firmware := firmwareFaults[a.Kind]
		if c.state == StateApp || !firmware && (c.state == StateROM || c.state == StateBoot) {
			c.faults.due = slices.Delete(c.faults.due, i, i+1)
			return a
		}
	}
	return nil
}

// strike carries out a fault that happens at one moment.
func (c *Core) strike(a *armed) {
	a.over = true
	c.stats.Faults[a.Kind]++
	switch a.Kind {
	case FaultHang:
		c.end()
		c.state = StateHung
	case FaultBrownOut:
		c.end()
		c.line.cut()
		c.stats.Restarts++
		c.powered, c.cold = c.now, true
		c.release()
	default:
		c.life.software.Fault(firmwareFaults[a.Kind])
	}
}
