package virtlab

import (
	"bytes"

	"hil-runner/farm/virtlab/app"
	"hil-runner/farm/virtlab/chip"
)

const windUpdate = 17

// applyUpdate is what the boot part does about an image that FWUPDATE has
// staged, before it starts the application. It reports whether it has taken
// over the start. A stage that is not whole is erased without a word; with
// GPIO0 high it is left to the factory reset. The stage is erased only when
// everything is in place, so a loss of power in between repeats the work.
func (c *Core) applyUpdate(old app.Profile) bool {
	stage := c.external[app.AreaStage]
	if len(stage) == 0 || c.levels[LineGPIO0] == High {
		return false
	}
	img, err := app.ParseStage(stage)
	if err != nil || !withinApplication(img) {
		delete(c.external, app.AreaStage)
		return false
	}
	if old.Build == "" {
		old = app.DefaultProfile()
	}
	c.say(c.now, app.Indication(windUpdate, old.Boot.UpdateStart), appBits)
	if c.program(img) != nil {
		return true // power went away; settle sees it in the flash
	}
	c.schedule(old.Timing.Programming, func() {
		delete(c.external, app.AreaStage)
		c.say(c.now, app.Indication(windUpdate, old.Boot.UpdateDone), appBits)
		if p, err := c.applicationImage(); err == nil {
			c.start(p)
		}
	})
	return true
}

// withinApplication keeps an update off the boot part and the non-volatile
// areas.
func withinApplication(img app.StagedImage) bool {
	end := uint64(img.Base) + uint64(len(img.Data))
	return len(img.Data) > 0 && img.Base >= chip.AppBase && img.Base%chip.PageSize == 0 &&
		end <= uint64(chip.FlashBase)+chip.ConfigPage*chip.PageSize
}

func (c *Core) program(img app.StagedImage) error {
	first := int(img.Base-chip.FlashBase) / chip.PageSize
	pages := (len(img.Data) + chip.PageSize - 1) / chip.PageSize
	for i := range pages {
		if _, err := c.flash.ErasePage(first + i); err != nil {
			return err
		}
	}
	_, err := c.flash.Program(img.Base, img.Data)
	return err
}

// Stage puts an update file into the external flash as FWUPDATE does.
func (c *Core) Stage(file []byte) { c.external[app.AreaStage] = bytes.Clone(file) }
