package spwf

import (
	"context"
	"fmt"
	"strings"
)

// Value is one configuration or status variable.
type Value struct{ Key, Value string }

// Values is a dump in the module's order.
type Values []Value

// Get gives the value of key, and whether the dump has it.
func (v Values) Get(key string) (string, bool) {
	for _, e := range v {
		if e.Key == key {
			return e.Value, true
		}
	}
	return "", false
}

// parseValue reads a line "#  key = value".
func parseValue(line string) (Value, bool) {
	rest, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "#")
	if !ok {
		return Value{}, false
	}
	key, value, ok := strings.Cut(rest, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" || strings.ContainsRune(key, ' ') {
		return Value{}, false
	}
	return Value{Key: key, Value: strings.TrimPrefix(strings.TrimRight(value, " "), " ")}, true
}

func parseValues(lines []string) Values {
	var all Values
	for _, line := range lines {
		if v, ok := parseValue(line); ok {
			all = append(all, v)
		}
	}
	return all
}

// values runs a command that prints variables.
func (m *Module) values(ctx context.Context, command string) (Values, error) {
	r, err := m.Do(ctx, command)
	if err != nil {
		return nil, err
	}
	return parseValues(r.Lines), nil
}

// value runs a command that prints one variable.
func (m *Module) value(ctx context.Context, command, key string) (string, error) {
	all, err := m.values(ctx, command)
	if err != nil {
		return "", err
	}
	if v, ok := all.Get(key); ok {
		return v, nil
	}
	return "", fmt.Errorf("%sno line for %s: %w", where(m.opt.Board, command), printable(key), ErrReply)
}

// Config gives one configuration variable (GCFG).
func (m *Module) Config(ctx context.Context, key string) (string, error) {
	if err := checkField("the variable's name", key); err != nil {
		return "", err
	}
	return m.value(ctx, "AT+S.GCFG="+key, key)
}

// SetConfig sets one configuration variable in RAM (SCFG). Most of them act
// after Save and a restart.
func (m *Module) SetConfig(ctx context.Context, key, value string) error {
	if err := checkField("the variable's name", key); err != nil {
		return err
	}
	_, err := m.Do(ctx, "AT+S.SCFG="+key+","+value)
	return err
}

// DumpConfig gives all configuration variables (AT&V). The dump holds the
// network's key.
func (m *Module) DumpConfig(ctx context.Context) (Values, error) { return m.values(ctx, "AT&V") }

// Save writes the configuration to flash (AT&W).
func (m *Module) Save(ctx context.Context) error {
	_, err := m.Do(ctx, "AT&W")
	return err
}

// FactoryReset sets the configuration in RAM to factory values (AT&F); Save
// makes it last. It is needed after every firmware update. The speed goes
// back to 115200 with the next start, and the local echo may be on again.
func (m *Module) FactoryReset(ctx context.Context) error {
	_, err := m.Do(ctx, "AT&F")
	return err
}

// EchoOff switches the local echo off (localecho1). The driver bears an echo
// until then.
func (m *Module) EchoOff(ctx context.Context) error { return m.SetConfig(ctx, "localecho1", "0") }

// Status gives one status variable (STS=key).
func (m *Module) Status(ctx context.Context, key string) (string, error) {
	if err := checkField("the variable's name", key); err != nil {
		return "", err
	}
	return m.value(ctx, "AT+S.STS="+key, key)
}

// DumpStatus gives all status variables (STS).
func (m *Module) DumpStatus(ctx context.Context) (Values, error) { return m.values(ctx, "AT+S.STS") }
