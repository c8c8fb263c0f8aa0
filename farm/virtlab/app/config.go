package app

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// settings are the configuration variables in RAM.
type settings struct {
	vars   []variable
	values map[string]string
}

// saved is AreaConfig: the variables that AT&W wrote, as JSON.
type saved struct {
	Build  string            `json:"build"`
	Values map[string]string `json:"values"`
}

// newSettings gives the factory values.
func newSettings(vars []variable) *settings {
	s := &settings{vars, make(map[string]string, len(vars))}
	for _, v := range vars {
		s.values[v.name] = v.factory
	}
	return s
}

// get is a variable's printed value, empty for one that does not exist.
func (s *settings) get(name string) string { return s.values[name] }

// number is a variable's value as a number, 0 when it is none.
func (s *settings) number(name string) int {
	n, _ := strconv.ParseInt(s.values[name], 0, 64)
	return int(n)
}

// variable finds a variable by name in any case.
func (s *settings) variable(name string) (variable, bool) {
	i := slices.IndexFunc(s.vars, func(v variable) bool { return strings.EqualFold(v.name, name) })
	if i < 0 {
		return variable{}, false
	}
	return s.vars[i], true
}

// set checks and keeps a value.
func (s *settings) set(v variable, value string) bool {
	value, ok := v.parse(value)
	if ok {
		s.values[v.name] = value
	}
	return ok
}

// ssid is the network's name from wifi_ssid and wifi_ssid_len.
func (s *settings) ssid() string {
	b, err := hex.DecodeString(strings.ReplaceAll(s.get("wifi_ssid"), ":", ""))
	if err != nil {
		return ""
	}
	return string(b[:min(s.number("wifi_ssid_len"), len(b))])
}

// setSSID is SSIDTXT.
func (s *settings) setSSID(name string) {
	value, _ := parseHexBytes(hex.EncodeToString([]byte(name)), 32)
	if name == "" {
		value = zeroBytes(32)
	}
	s.values["wifi_ssid"] = value
	s.values["wifi_ssid_len"] = strconv.Itoa(len(name))
}

// loadSettings reads the saved configuration, or the factory's where there is
// none that can be read. It says whether another build has saved it.
func (a *App) loadSettings() (updated bool) {
	a.config = newSettings(variables(a.p, a.host.Net().MAC()))
	var was saved
	data := a.host.Area(AreaConfig).Load()
	if len(data) == 0 || json.Unmarshal(data, &was) != nil {
		return false
	}
	for name, value := range was.Values {
		if v, ok := a.config.variable(name); ok {
			a.config.set(v, value)
		}
	}
	return was.Build != a.p.Build
}

// dumpSettings is AT&V.
func (a *App) dumpSettings(arguments) {
	a.info("# Dumping All Configuration Keys:")
	for _, v := range a.config.vars {
		a.info("#  %s = %s", v.name, a.config.get(v.name))
	}
	a.ok()
}

// factorySettings is AT&F: RAM only; what the maker has set stays.
func (a *App) factorySettings(arguments) {
	fresh := newSettings(a.config.vars)
	for _, v := range a.config.vars {
		if v.kind == factory {
			fresh.values[v.name] = a.config.get(v.name)
		}
	}
	a.config = fresh
	a.after(a.p.Timing.Factory, a.ok)
}

// saveSettings is AT&W.
func (a *App) saveSettings(arguments) {
	var data bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetEscapeHTML(false)
	err := enc.Encode(saved{a.p.Build, a.config.values})
	if err == nil {
		err = a.host.Area(AreaConfig).Save(data.Bytes())
	}
	if err != nil {
		a.fail(a.p.Texts.WriteFailed)
		return
	}
	a.after(a.p.Timing.Save, a.ok)
}

// getVariable is GCFG.
func (a *App) getVariable(g arguments) {
	v, ok := a.config.variable(g.text)
	if !ok {
		a.fail(a.p.Texts.NoKey)
		return
	}
	a.info("#  %s = %s", v.name, a.config.get(v.name))
	a.ok()
}

// setVariable is SCFG. A value may hold the delimiter.
func (a *App) setVariable(g arguments) {
	name, value, has := strings.Cut(g.text, a.delimiter())
	v, ok := a.config.variable(name)
	switch {
	case !ok:
		a.fail(a.p.Texts.NoKey)
	case !has:
		a.fail(a.p.Texts.Missing)
	case v.kind == factory && !a.nvOpen, !a.config.set(v, value):
		a.fail(a.p.Texts.Invalid)
	default:
		a.ok()
	}
}

// ssidText is SSIDTXT.
func (a *App) ssidText(g arguments) {
	switch {
	case !g.given:
		a.info(a.p.Texts.SSID, a.config.ssid())
		a.ok()
	case len(g.text) > 32:
		a.fail(a.p.Texts.Invalid)
	default:
		a.config.setSSID(g.text)
		a.ok()
	}
}

// unlock is NVW, the maker's key to the nv_ variables.
func (a *App) unlock(g arguments) {
	if g.text != "8675309" {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.nvOpen = true
	a.ok()
}
