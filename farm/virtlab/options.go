package virtlab

import (
	"fmt"
	"math"
	"time"

	"hil-runner/farm/virtlab/app"
	"hil-runner/farm/virtlab/chip"
	"hil-runner/farm/virtlab/image"
)

// DefaultRelease is in the flash of a fresh module, so that flashing any other
// one really changes it.
const DefaultRelease = "3.4"

// Options describe one module.
type Options struct {
	// ID is the board's name. Default "vb1".
	ID string
	// Number tells modules of one lab apart (addresses, MAC, serial); from 1.
	Number int
	// Seed makes all that is random repeatable.
	Seed uint64
	// Speed scales all of the module's delays: 1 is real time, 10 ten times
	// faster, 0 no delays at all.
	Speed float64
	// Pace lets every byte take its time on the line: 10 bits in the
	// application, 11 in the boot ROM, plus flash times in full.
	Pace bool
	// Release is the built-in image in the fresh flash; default
	// DefaultRelease. Image, when given, is put there instead.
	Release string
	Image   []byte
	// FlashTimes are the durations of flash operations; zero means typical.
	FlashTimes chip.Times
	// Access is the access point in reach; zero means DefaultAccess.
	Access app.AccessPoint
	// Names is the table of names at the start: host name to IP address.
	Names map[string]string
	// Outside lets the module connect to addresses that are not loopback.
	Outside bool
	// Faults to inject; those of other boards are ignored.
	Faults []Fault
}

// DefaultAccess is the virtual access point.
func DefaultAccess() app.AccessPoint {
	return app.AccessPoint{SSID: "hil", BSSID: "02:00:00:48:49:4C", Channel: 6, RSSI: -42, PSK: "hil-runner", Up: true}
}

func (o Options) complete() (Options, error) {
	if o.ID == "" {
		o.ID = "vb1"
	}
	if o.Number == 0 {
		o.Number = 1
	}
	if o.Number < 0 || o.Number > maxBoards {
		return o, fmt.Errorf("board %s: number %d: want 1 to %d", o.ID, o.Number, maxBoards)
	}
	if math.IsNaN(o.Speed) || math.IsInf(o.Speed, 0) || o.Speed < 0 {
		return o, fmt.Errorf("board %s: speed %v: want 0 for no delays or a factor, 1 being real time", o.ID, o.Speed)
	}
	if o.Release == "" {
		o.Release = DefaultRelease
	}
	if o.FlashTimes == (chip.Times{}) {
		o.FlashTimes = chip.TypicalTimes()
	}
	if o.Access == (app.AccessPoint{}) {
		o.Access = DefaultAccess()
	}
	for name, addr := range o.Names {
		if err := newRadio(Options{Number: 1}).setName(name, addr); err != nil {
			return o, fmt.Errorf("board %s: %w", o.ID, err)
		}
	}
	for i := range o.Faults {
		if err := o.Faults[i].Validate(); err != nil {
			return o, fmt.Errorf("board %s: fault %d: %w", o.ID, i+1, err)
		}
	}
	return o, nil
}

// factory gives the flash of a fresh module: boot part, application, erased
// non-volatile areas.
func (o Options) factory() (*chip.Flash, error) {
	flash := chip.NewFlash(o.FlashTimes)
	data := o.Image
	if data == nil {
		var err error
		if data, err = builtIn(o.Release); err != nil {
			return nil, fmt.Errorf("board %s: %w", o.ID, err)
		}
	}
	if err := flash.Load(chip.FlashBase, image.Boot()); err != nil {
		return nil, fmt.Errorf("board %s: boot part: %w", o.ID, err)
	}
	if err := flash.Load(image.Address, data); err != nil {
		return nil, fmt.Errorf("board %s: application: %w", o.ID, err)
	}
	return flash, nil
}

// builtIn makes the image of a release.
func builtIn(release string) ([]byte, error) {
	p, ok := image.Find(release)
	if !ok {
		return nil, fmt.Errorf("release %q: no such built-in image", release)
	}
	return image.Build(p)
}

const (
	maxBoards = 10000
	// bootDelay is the boot part's own time, selfReset the length of the pulse
	// that the module gives its own RESETn.
	bootDelay = 20 * time.Millisecond
	selfReset = time.Millisecond
	// factoryBaud is the speed of the UART before the application sets its own.
	factoryBaud = 115200
)
