package farm

import (
	"cmp"
	"maps"
	"path/filepath"
	"time"
)

// LabFile is a lab file as it is written. Wirings gives its boards with
// everything that the file leaves open filled in.
type LabFile struct {
	Lab      string      `yaml:"lab" jsonschema:"oneof_type=string;number" doc:"Name of the lab, shown in reports."`
	Firmware LabFirmware `yaml:"firmware,omitempty" doc:"What is flashed and whose images are trusted."`
	Network  LabNetwork  `yaml:"network,omitempty" doc:"The Wi-Fi network that the modules join."`
	Limits   LabLimits   `yaml:"limits,omitempty" doc:"Time limits of all boards."`
	Defaults LabDefaults `yaml:"defaults,omitempty" doc:"What holds for every board that does not say otherwise."`
	Boards   []LabBoard  `yaml:"boards" doc:"The boards, one entry per module."`

	// dir is the folder that relative paths start from.
	dir string
}

// LabFirmware is the firmware part of a lab file.
type LabFirmware struct {
	Release   string   `yaml:"release,omitempty" jsonschema:"oneof_type=string;number" doc:"Release that run flashes unless told otherwise; without it nothing is flashed."`
	Catalogue string   `yaml:"catalogue,omitempty" doc:"Folder of firmware images, relative to this file."`
	Keys      []string `yaml:"keys,omitempty" doc:"minisign public keys whose images are accepted (the base64 line)."`
}

// LabNetwork is the network part of a lab file.
type LabNetwork struct {
	SSID            string `yaml:"ssid,omitempty" doc:"Name of the network, at most 32 bytes."`
	PSK             Secret `yaml:"psk,omitempty" doc:"Passphrase as ${env:NAME} or file:PATH, never the text itself."`
	EndpointAddress string `yaml:"endpoint_address,omitempty" doc:"IP address of this host as the modules see it."`
	DNS             string `yaml:"dns,omitempty" doc:"IP address of the name server that the modules use."`
	AP              string `yaml:"ap,omitempty" doc:"The access point, for people: it is shown in reports."`
}

// LabLimits are time limits of a lab or a board; nil leaves a limit as it is
// above. See Limits for what each one bounds.
type LabLimits struct {
	Pulse   *time.Duration `yaml:"pulse,omitempty" doc:"How long reset is held low. Default 100ms."`
	Settle  *time.Duration `yaml:"settle,omitempty" doc:"Pause after reset is released. Default 0s."`
	Banner  *time.Duration `yaml:"banner,omitempty" doc:"How long after a reset the banner may take. Default 8s."`
	Boot    *time.Duration `yaml:"boot,omitempty" doc:"Until the radio has started. Default 15s."`
	Join    *time.Duration `yaml:"join,omitempty" doc:"Until Wi-Fi is up. Default 1m."`
	Command *time.Duration `yaml:"command,omitempty" doc:"One AT command. Default 20s."`
	Flash   *time.Duration `yaml:"flash,omitempty" doc:"One flashing. Default 15m."`
	Spec    *time.Duration `yaml:"spec,omitempty" doc:"One spec. Default 2m."`
	Run     *time.Duration `yaml:"run,omitempty" doc:"The whole run on a board. Default 2h."`
}

// LabDefaults hold for every board that does not say otherwise.
type LabDefaults struct {
	Model string            `yaml:"model,omitempty" doc:"Default SPWF01SA."`
	Baud  int               `yaml:"baud,omitempty" doc:"Default 115200."`
	Idle  Idle              `yaml:"idle,omitempty" doc:"State of a board that nobody uses. Default running."`
	Tags  map[string]string `yaml:"tags,omitempty" doc:"Tags of every board; a board's own tags go before them."`
}

// LabBoard is one board of a lab file.
type LabBoard struct {
	ID      string            `yaml:"id" jsonschema:"oneof_type=string;number" doc:"Unique name: letters, digits, dot, dash and underscore."`
	Model   string            `yaml:"model,omitempty" doc:"Part name, such as SPWF01SA."`
	Slot    string            `yaml:"slot,omitempty" jsonschema:"oneof_type=string;number" doc:"Place in the rack, for people."`
	Port    string            `yaml:"port" doc:"The UART: a device path such as /dev/serial/by-id/...; usb:serial=, usb:path=, rfc2217:// and tcp:// are reserved."`
	Baud    int               `yaml:"baud,omitempty" doc:"Speed of the UART."`
	Lines   LabLines          `yaml:"lines,omitempty" doc:"The lines that this host drives."`
	Net     string            `yaml:"net,omitempty" doc:"Control socket of a virtual board's name table: sock:PATH."`
	Tags    map[string]string `yaml:"tags,omitempty" doc:"Free key: value pairs to select boards by."`
	Virtual bool              `yaml:"virtual,omitempty" doc:"True for a virtual module; reports say so."`
	Idle    Idle              `yaml:"idle,omitempty" doc:"State of the board when nobody uses it."`
	Limits  LabLimits         `yaml:"limits,omitempty" doc:"Time limits of this board."`
}

// LabLines are the lines of a board; nil means that it has no such line.
type LabLines struct {
	Reset *LineAddress `yaml:"reset,omitempty" doc:"RESETn, driven open drain: low or let go."`
	Boot0 *LineAddress `yaml:"boot0,omitempty" doc:"BOOT0: high at reset starts the boot ROM."`
	GPIO0 *LineAddress `yaml:"gpio0,omitempty" doc:"GPIO0: high at boot restores the factory configuration."`
	Power *LineAddress `yaml:"power,omitempty" doc:"The supply: high is on."`
}

// LineAddress says where a line is: chip-label/offset, a line's name, a pin
// such as GPIO17, or sock:PATH#reset for a line of `lab up`.
type LineAddress struct {
	Address string `yaml:"address" doc:"chip-label/offset, line name, pin name, or sock:PATH#reset."`
	// ActiveLow nil leaves the polarity to the line's role.
	ActiveLow *bool `yaml:"active_low,omitempty" doc:"Overrides the polarity that follows from the line's role."`
}

// Idle is the state into which a board is parked.
type Idle string

const (
	// IdleRunning lets the board run with all lines let go.
	IdleRunning Idle = "running"
	// IdleHeld holds the board in reset.
	IdleHeld Idle = "held"
	// IdleOff takes the supply away.
	IdleOff Idle = "off"
)

func idleStates() []string {
	return []string{string(IdleRunning), string(IdleHeld), string(IdleOff)}
}

// DefaultModel and DefaultBaud hold where a lab file says nothing.
const (
	DefaultModel = "SPWF01SA"
	DefaultBaud  = 115200
)

// DefaultLimits are the limits of a board of which the lab file says nothing.
func DefaultLimits() Limits {
	return Limits{
		Pulse: 100 * time.Millisecond, Settle: 0, Banner: 8 * time.Second, Boot: 15 * time.Second,
		Join: time.Minute, Command: 20 * time.Second,
		Flash: 15 * time.Minute, Spec: 2 * time.Minute, Run: 2 * time.Hour,
	}
}

// Over gives base with the limits that l names replaced.
func (l LabLimits) Over(base Limits) Limits {
	for _, s := range []struct {
		own  *time.Duration
		into *time.Duration
	}{
		{l.Pulse, &base.Pulse}, {l.Settle, &base.Settle}, {l.Banner, &base.Banner}, {l.Boot, &base.Boot},
		{l.Join, &base.Join}, {l.Command, &base.Command},
		{l.Flash, &base.Flash}, {l.Spec, &base.Spec}, {l.Run, &base.Run},
	} {
		if s.own != nil {
			*s.into = *s.own
		}
	}
	return base
}

// Wiring is a board with all that its host needs to open it: defaults are
// filled in and paths do not depend on the working folder.
type Wiring struct {
	Board Board
	Baud  int
	Lines LabLines
	// Net is the control socket's address, sock:PATH, or empty.
	Net  string
	Idle Idle
}

// Wirings gives the boards of the lab, in the order of the file.
func (f *LabFile) Wirings() []Wiring {
	all := make([]Wiring, len(f.Boards))
	base := f.Limits.Over(DefaultLimits())
	for i, b := range f.Boards {
		tags := maps.Clone(f.Defaults.Tags)
		if tags == nil {
			tags = make(map[string]string, len(b.Tags))
		}
		maps.Copy(tags, b.Tags)
		all[i] = Wiring{
			Board: Board{
				ID: b.ID, Model: cmp.Or(b.Model, f.Defaults.Model, DefaultModel), Slot: b.Slot, Port: b.Port,
				Tags: tags, Virtual: b.Virtual, Limits: b.Limits.Over(base),
			},
			Baud:  cmp.Or(b.Baud, f.Defaults.Baud, DefaultBaud),
			Lines: f.absoluteLines(b.Lines),
			Net:   f.absoluteSock(b.Net),
			Idle:  cmp.Or(b.Idle, f.Defaults.Idle, IdleRunning),
		}
	}
	return all
}

// BoardList gives the boards of the lab without their wiring.
func (f *LabFile) BoardList() []Board {
	boards := make([]Board, 0, len(f.Boards))
	for _, w := range f.Wirings() {
		boards = append(boards, w.Board)
	}
	return boards
}

// CatalogueDir is the folder of firmware images, empty if the file names none.
func (f *LabFile) CatalogueDir() string {
	if f.Firmware.Catalogue == "" {
		return ""
	}
	return f.absolute(f.Firmware.Catalogue)
}

// absolute makes a path of the file independent of the working folder.
func (f *LabFile) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(f.dir, path)
}

func (f *LabFile) absoluteLines(l LabLines) LabLines {
	for _, a := range []**LineAddress{&l.Reset, &l.Boot0, &l.GPIO0, &l.Power} {
		if *a != nil {
			own := **a
			own.Address = f.absoluteSock(own.Address)
			*a = &own
		}
	}
	return l
}

func (f *LabFile) absoluteSock(address string) string {
	path, role, ok := cutSock(address)
	if !ok {
		return address
	}
	address = sockPrefix + f.absolute(path)
	if role != "" {
		address += "#" + role
	}
	return address
}
