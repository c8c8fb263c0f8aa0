package virtlab

import (
	"encoding/json"
	"fmt"
)

// Line is one of the module's lines that a host can drive.
type Line int

// The lines. RESETn has an internal pull-up, BOOT0 and GPIO0 a pull-down, and
// a power line that nobody drives is on.
const (
	LineReset Line = iota
	LineBoot0
	LineGPIO0
	LinePower
	lineCount
)

var lineNames = [lineCount]string{"reset", "boot0", "gpio0", "power"}

func (l Line) String() string {
	if l < 0 || l >= lineCount {
		return fmt.Sprintf("Line(%d)", int(l))
	}
	return lineNames[l]
}

// ParseLine reads the name of a line: reset, boot0, gpio0 or power.
func ParseLine(s string) (Line, error) {
	for i, name := range lineNames {
		if s == name {
			return Line(i), nil
		}
	}
	return 0, fmt.Errorf("line %q: want reset, boot0, gpio0 or power", s)
}

// Level is what a host does to a line.
type Level int

const (
	// Float leaves the line to the module's own pull resistor.
	Float Level = iota
	// Low and High drive it.
	Low
	High
)

var levelNames = [...]string{"float", "low", "high"}

func (l Level) String() string {
	if l < 0 || int(l) >= len(levelNames) {
		return fmt.Sprintf("Level(%d)", int(l))
	}
	return levelNames[l]
}

// ParseLevel reads low, high or float.
func ParseLevel(s string) (Level, error) {
	for i, name := range levelNames {
		if s == name {
			return Level(i), nil
		}
	}
	return 0, fmt.Errorf("level %q: want low, high or float", s)
}

// State is what a module is doing.
type State int

const (
	// StateOff is without power.
	StateOff State = iota
	// StateReset is with RESETn low.
	StateReset
	// StateROM is in the boot ROM (BOOT0 was high when RESETn rose).
	StateROM
	// StateBoot is in the boot part, for good when there is no valid
	// application behind it.
	StateBoot
	// StateApp runs the application.
	StateApp
	// StateBricked has no boot part to start: silent for ever, except that
	// the boot ROM still works.
	StateBricked
	// StateHung executes nothing useful until the next reset: a wild jump, a
	// fault, or a restart from inside while the host drives RESETn high.
	StateHung
)

var stateNames = [...]string{"off", "reset", "rom", "boot", "app", "bricked", "hung"}

func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return stateNames[s]
}

// MarshalJSON writes the state's name.
func (s State) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalJSON reads the state's name.
func (s *State) UnmarshalJSON(p []byte) error {
	var name string
	if err := json.Unmarshal(p, &name); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	for i, n := range stateNames {
		if n == name {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("state %q is unknown", name)
}
