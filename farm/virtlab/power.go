package virtlab

import (
	"hil-runner/farm/virtlab/app"
	"hil-runner/farm/virtlab/chip"
	"hil-runner/farm/virtlab/image"
)

// SetLine does to a line what the host does.
func (c *Core) SetLine(l Line, level Level) {
	if l < 0 || l >= lineCount {
		return
	}
	was := c.levels[l]
	c.levels[l] = level
	c.stimulate()
	switch l {
	case LinePower:
		c.powerLine(level)
	case LineReset:
		c.resetLine(was, level)
	}
	c.settle()
}

// Level is what the host does to a line.
func (c *Core) Level(l Line) Level {
	if l < 0 || l >= lineCount {
		return Float
	}
	return c.levels[l]
}

func (c *Core) powerLine(level Level) {
	switch {
	case level == Low:
		c.powerOff(StateOff)
		c.flash.Restore()
	case c.state == StateOff && !c.flash.Cut():
		c.powerOn()
	}
}

func (c *Core) resetLine(was, level Level) {
	if c.faults.active(FaultStuckReset) {
		c.stats.Faults[FaultStuckReset]++
		return
	}
	if c.state == StateOff {
		return
	}
	switch {
	case level == Low && was != Low:
		c.stats.Resets++
		c.assertReset()
	case level != Low && c.state == StateReset && !c.held:
		c.release()
	case level != High && c.held:
		c.held = false
		c.release()
	}
}

func (c *Core) resetAsserted() bool {
	return c.levels[LineReset] == Low && !c.faults.active(FaultStuckReset)
}

func (c *Core) powerOn() {
	c.stats.PowerCycles++
	c.powered, c.cold = c.now, true
	c.held = false
	if c.resetAsserted() {
		c.state = StateReset
		return
	}
	c.release()
}

// powerOff ends everything at once; bytes on the line are lost.
func (c *Core) powerOff(to State) {
	c.end()
	c.line.cut()
	c.held = false
	c.state = to
}

// assertReset is the falling edge of RESETn.
func (c *Core) assertReset() {
	c.end()
	c.line.cut()
	c.held = false
	c.state = StateReset
}

// end stops the running software.
func (c *Core) end() {
	if c.life != nil {
		c.life.cancel()
		c.life = nil
	}
	c.restart = false
	c.timers.clear()
	c.commands = lineScanner{}
}

// release is the rising edge of RESETn: BOOT0 is sampled now.
func (c *Core) release() {
	c.end()
	c.flash.LoadOptions()
	c.line.fresh()
	if c.levels[LineBoot0] == High {
		c.state = StateROM
		c.rom.Start()
		return
	}
	c.line.baud = factoryBaud
	if err := image.CheckBoot(c.flash.View(chip.FlashBase, image.BootSize)); err != nil {
		c.state = StateBricked
		return
	}
	c.state = StateBoot
	c.schedule(bootDelay, c.startApplication)
}

// startApplication is the boot part's work: it applies a staged image and
// starts what is in flash. With nothing valid there it stays, silent.
func (c *Core) startApplication() {
	profile, err := c.applicationImage()
	if c.applyUpdate(profile.App) || err != nil {
		return
	}
	c.start(profile)
}

func (c *Core) start(profile image.Profile) {
	p := profile.App
	c.stats.Boots++
	c.faults.count(c, func(n *counters) { n.boots++ })
	if f := c.faults.take(FaultWrongBuild); f != nil {
		p.Build = f.Build
		if p.Build == "" {
			p.Build = "140101-badbad0"
		}
		c.stats.Faults[FaultWrongBuild]++
	}
	c.stats.Release, c.stats.Build = p.Release, p.Build
	cold := c.cold
	c.cold = false
	c.state = StateApp
	c.life = newLife(c)
	software := app.New(c.life, p)
	c.life.software = software
	software.Boot(cold, c.levels[LineGPIO0] == High)
}

// selfReset is a restart from inside: the module pulls its own RESETn low. It
// never comes back while the host drives that line high.
func (c *Core) selfReset() {
	c.stats.Restarts++
	c.end()
	if c.levels[LineReset] == High {
		c.held = true
		c.state = StateHung
		return
	}
	c.state = StateReset
	c.schedule(selfReset, c.release)
}

// jump leaves the boot ROM for the code at an address (Go).
func (c *Core) jump(target uint32) {
	c.end()
	c.line.baud = factoryBaud
	switch target {
	case chip.FlashBase:
		if image.CheckBoot(c.flash.View(chip.FlashBase, image.BootSize)) != nil {
			c.state = StateHung
			return
		}
		c.state = StateBoot
		c.schedule(bootDelay, c.startApplication)
	case image.Address:
		c.state = StateHung
		if p, err := c.applicationImage(); err == nil {
			c.start(p)
		}
	default:
		c.state = StateHung
		if c.rom.ResetsAt(target) {
			c.state = StateReset
			c.schedule(selfReset, c.release)
		}
	}
}

// settle carries out what the software, the flash or a fault has asked for,
// once none of them is running any more.
func (c *Core) settle() {
	for range 64 {
		switch {
		case c.flash.Cut() && c.state != StateOff:
			c.powerOff(StateOff)
		case c.restart:
			c.selfReset()
		default:
			a := c.nextStrike()
			if a == nil {
				return
			}
			c.strike(a)
		}
	}
}
