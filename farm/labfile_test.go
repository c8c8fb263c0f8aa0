package farm_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hil-runner/farm"
)

const fullLab = `
lab: bench-3
firmware:
  release: 3.50
  catalogue: images
  keys: [RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3]
network:
  ssid: hil
  psk: ${env:HIL_PSK}
  endpoint_address: 192.168.50.1
  dns: 192.168.50.1
  ap: hostapd on wlan1
limits: {banner: 6s, settle: 10ms}
defaults:
  baud: 921600
  tags: {site: north, rack: "1"}
boards:
  - id: b1
    model: SPWF01SC
    slot: rack1/3
    port: /dev/ttyUSB0
    lines:
      reset: gpiochip0/17
      boot0: {address: GPIO18, active_low: true}
      power: sock:ctl/b1#power
    net: sock:ctl/b1
    tags: {rack: 07, wifi: old}
    virtual: true
    idle: off
    limits: {pulse: 250ms, settle: 0s}
  - id: b2
    port: /dev/ttyUSB1
`

func env(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	}
}

func TestLabFileFillsIn(t *testing.T) {
	f, err := farm.ParseLab("/labs/lab.yaml", []byte(fullLab), env(map[string]string{"HIL_PSK": "correct horse"}))
	if err != nil {
		t.Fatal(err)
	}
	if f.Firmware.Release != "3.50" {
		t.Errorf("release is %q, want it as written", f.Firmware.Release)
	}
	if f.CatalogueDir() != "/labs/images" {
		t.Errorf("catalogue is %q", f.CatalogueDir())
	}
	if f.Network.PSK.Reveal() != "correct horse" {
		t.Error("the passphrase was not read from the environment")
	}
	low := true
	limits := farm.DefaultLimits()
	limits.Banner, limits.Settle = 6*time.Second, 10*time.Millisecond
	own := limits
	own.Pulse, own.Settle = 250*time.Millisecond, 0
	want := []farm.Wiring{
		{
			Board: farm.Board{ID: "b1", Model: "SPWF01SC", Slot: "rack1/3", Port: "/dev/ttyUSB0", Virtual: true,
				Tags: map[string]string{"site": "north", "rack": "07", "wifi": "old"}, Limits: own},
			Baud: 921600, Net: "sock:/labs/ctl/b1", Idle: farm.IdleOff,
			Lines: farm.LabLines{
				Reset: &farm.LineAddress{Address: "gpiochip0/17"},
				Boot0: &farm.LineAddress{Address: "GPIO18", ActiveLow: &low},
				Power: &farm.LineAddress{Address: "sock:/labs/ctl/b1#power"},
			},
		},
		{
			Board: farm.Board{ID: "b2", Model: "SPWF01SA", Port: "/dev/ttyUSB1",
				Tags: map[string]string{"site": "north", "rack": "1"}, Limits: limits},
			Baud: 921600, Idle: farm.IdleRunning,
		},
	}
	if diff := cmp.Diff(want, f.Wirings()); diff != "" {
		t.Errorf("wirings (-want +got):\n%s", diff)
	}
}

func TestLabFileDefaultLimits(t *testing.T) {
	f, err := farm.ParseLab("lab.yaml", []byte("lab: x\nboards: [{id: a, port: /dev/a}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := f.BoardList()[0].Limits
	if got.Pulse != 100*time.Millisecond || got.Settle != 0 || got.Banner != 8*time.Second {
		t.Errorf("limits are %+v, want pulse 100ms, settle 0, banner 8s", got)
	}
}

// Every problem of a file is named at once, with its place.
func TestLabFileAllProblemsAtOnce(t *testing.T) {
	const text = `lab: x
limits: {banner: 8, spec: soon, boot: -1s, join: 0s}
networc: {}
defaults: {baud: fast}
boards:
- id: a
  prot: /dev/ttyUSB0
- id: a
  port: ttyUSB0
  lines: {reset: sock:/run/a#boot0, boot: x}
- id: ../c
  port: usb:serial=A50285BI
  idle: of
  virtual: perhaps
  virtual: true
- id: d
  port: /dev/ttyUSB0
  lines: {reset: c/1, boot0: c/1}
- id: e
  port: /dev/../dev/ttyUSB0
  tags: {a b: c, d: "${env:HOME}"}
`
	want := []string{
		`lab.yaml:2:18: limits.banner: "8" is not a duration; write 8s if seconds are meant`,
		`lab.yaml:2:27: limits.spec: "soon" is not a duration; write 100ms, 8s, 15m or 2h`,
		`lab.yaml:2:39: limits.boot: a time limit is never negative`,
		`lab.yaml:2:50: limits.join: a time limit of nothing is reached at once; leave the key out for the default`,
		`lab.yaml:3:1: unknown key "networc"; did you mean network?`,
		`lab.yaml:4:18: defaults.baud: "fast" is not a whole number`,
		`lab.yaml:6:3: boards[0]: key "port" is missing`,
		`lab.yaml:7:3: boards[0]: unknown key "prot"; did you mean port?`,
		`lab.yaml:8:7: boards[1].id: board "a" is there twice; the first one is boards[0].id on line 6`,
		`lab.yaml:9:9: boards[1].port: "ttyUSB0" is no absolute path; write /dev/ttyUSB0`,
		`lab.yaml:10:18: boards[1].lines.reset: the reset line is wired to the socket's line "boot0"; did you mean #reset?`,
		`lab.yaml:10:37: boards[1].lines: unknown key "boot"; did you mean boot0?`,
		`lab.yaml:11:7: boards[2].id: "../c" is no name for a board; use up to 64 letters, digits, dots, dashes and underscores`,
		`lab.yaml:12:9: boards[2].port: ports of the form usb:serial=... are not served yet; served are device paths, such as /dev/serial/by-id/... (by serial number), /dev/serial/by-path/... (by socket) or /dev/ttyUSB0`,
		`lab.yaml:13:9: boards[2].idle: "of" is no idle state; did you mean off?`,
		`lab.yaml:14:12: boards[2].virtual: "perhaps" is neither true nor false`,
		`lab.yaml:15:3: boards[2]: key "virtual" is given twice; the first one is on line 14`,
		`lab.yaml:18:30: boards[3].lines.boot0: line "c/1" is used twice; the first one is boards[3].lines.reset on line 18`,
		`lab.yaml:20:9: boards[4].port: port "/dev/../dev/ttyUSB0" is used twice; the first one is boards[3].port on line 17`,
		`lab.yaml:21:10: boards[4].tags: "a b" is no name for a tag; use letters, digits, dot, dash and underscore`,
		`lab.yaml:21:21: boards[4].tags.d: ${env:...} is not read here; it is read in network.psk only`,
	}
	_, err := farm.ParseLab("lab.yaml", []byte(text), env(nil))
	if err == nil {
		t.Fatal("the file was accepted")
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if farm.ExitCode(err) != farm.ExitUsage {
		t.Errorf("exit status %d, want %d", farm.ExitCode(err), farm.ExitUsage)
	}
}

func TestLabFileOneProblem(t *testing.T) {
	const boards = "\nboards: [{id: a, port: /dev/a}]"
	tests := []struct{ name, text, want string }{
		{"empty", "", "the file is empty"},
		{"only a comment", "# lab\n", "the file is empty"},
		{"a list", "- a\n", "must be a group of keys, not a list"},
		{"no name", "boards: [{id: a, port: /dev/a}]", `key "lab" is missing`},
		{"empty name", "lab: ''" + boards, "lab: has no value"},
		{"nothing after the colon", "lab:" + boards, "has no value; give one or leave the key out"},
		{"no boards", "lab: x", "the lab has no boards"},
		{"empty boards", "lab: x\nboards: []", "the lab has no boards"},
		{"boards as keys", "lab: x\nboards: {a: b}", "boards: must be a list, not a group of keys"},
		{"board as text", "lab: x\nboards: [a]", "boards[0]: must be a group of keys, not a single value"},
		{"id as list", "lab: x\nboards: [{id: [a], port: /dev/a}]", "boards[0].id: must be text, not a list"},
		{"two documents", "lab: x" + boards + "\n---\nlab: y\n", "lab.yaml:3:1: a second YAML document"},
		{"bad indent", "lab: x\nboards:\n- id: a\n   port: /dev/a\n", "lab.yaml:4:"},
		{"tag", "lab: !!binary eA==" + boards, "YAML tags are not read"},
		{"merge key", "lab: x\nboards:\n- &a {id: a, port: /dev/a}\n- {<<: *a, id: b}", "merge keys are not read here"},
		{"later ports", "lab: x\nboards: [{id: a, port: 'rfc2217://h:1'}]", "rfc2217://... are not served yet"},
		{"tcp", "lab: x\nboards: [{id: a, port: 'tcp://h:1'}]", "served are device paths"},
		{"usb path", "lab: x\nboards: [{id: a, port: 'usb:path=1-2'}]", "usb:path=... are not served yet"},
		{"escape in a port", "lab: x\nboards: [{id: a, port: \"/dev/\\e[31m\"}]", `"/dev/\x1b[31m" is no path`},
		{"long socket", "lab: x\nboards: [{id: a, port: /dev/a, net: 'sock:/" + strings.Repeat("d", 120) + "'}]", "more than 107"},
		{"net with a line", "lab: x\nboards: [{id: a, port: /dev/a, net: 'sock:/a#reset'}]", "is no control socket"},
		{"no line named", "lab: x\nboards: [{id: a, port: /dev/a, lines: {reset: 'sock:/a'}}]", "write sock:/a#reset"},
		{"off without power", "lab: x\nboards: [{id: a, port: /dev/a, idle: off}]", "add lines.power"},
		{"held without reset", "lab: x\nboards: [{id: a, port: /dev/a, idle: held}]", "add lines.reset"},
		{"bad address", "lab: x\nnetwork: {dns: 1.2.3}" + boards, "network.dns: \"1.2.3\" is no IP address"},
		{"bad key", "lab: x\nfirmware: {keys: [RWQ]}" + boards, "firmware.keys[0]: not a minisign public key"},
		{"bad release", "lab: x\nfirmware: {release: ../3.0.0}" + boards, "is no name of a release"},
		{"baud", "lab: x\nboards: [{id: a, port: /dev/a, baud: 0}]", "is no speed of a UART"},
		{"too long", "lab: " + strings.Repeat("x", 1<<20), "longer than 1048576 bytes"},
		{"long limit", "lab: x\nlimits: {run: 100000h}" + boards, "is longer than"},
		{"undefined alias", "lab: x\nnetwork: {ssid: *secret}" + boards, "not YAML"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := farm.ParseLab("lab.yaml", []byte(test.text), env(nil))
			var config *farm.ConfigError
			if !errors.As(err, &config) {
				t.Fatalf("got %v, want a ConfigError", err)
			}
			if len(config.Problems) != 1 || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got\n%v\nwant one problem with %q", err, test.want)
			}
		})
	}
}

// No message holds a secret, wherever in the file somebody put it.
func TestLabFileSecretsStaySecret(t *testing.T) {
	const canary = "hunter2hunter2"
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, []byte(canary+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	boards := "\nboards: [{id: a, port: /dev/a}]\n"
	tests := []struct{ name, text, want string }{
		{"literal", "network: {ssid: x, psk: " + canary + "}", "never written into the lab file"},
		{"list", "network: {ssid: x, psk: [" + canary + "]}", "must be ${env:NAME} or file:PATH, not a list"},
		{"alias", "network: {ssid: x, psk: *" + canary + "}", "not YAML"},
		{"tagged", "network: {ssid: x, psk: !" + canary + " x}", "tags are not read"},
		{"wrong key", "network: {ssid: x, pks: " + canary + "}", "did you mean psk?"},
		{"around a variable", "network: {ssid: x, psk: 'a${env:SET}'}", "never written into the lab file"},
		{"no network", "network: {psk: '${env:SET}'}", "add network.ssid"},
		{"short", "network: {ssid: x, psk: '${env:SHORT}'}", "has a length that no passphrase has"},
		{"missing", "network: {ssid: x, psk: '${env:UNSET}'}", "the environment has no UNSET"},
		{"empty", "network: {ssid: x, psk: '${env:EMPTY}'}", "EMPTY is empty"},
		{"no name", "network: {ssid: x, psk: '${env:}'}", "no name of a variable"},
		{"no file", "network: {ssid: x, psk: 'file:none'}", "no such file"},
		{"open file", "network: {ssid: x, psk: 'file:open'}", "open to everybody"},
		{"device", "network: {ssid: x, psk: 'file:/dev/zero'}", "not an ordinary file"},
	}
	values := env(map[string]string{"SET": canary, "SHORT": canary[:7], "EMPTY": ""})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := farm.ParseLab(filepath.Join(dir, "lab.yaml"), []byte("lab: x\n"+test.text+boards), values)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			if strings.Contains(err.Error(), canary[:7]) {
				t.Errorf("the secret is in the message: %v", err)
			}
		})
	}
}

func TestLabFileSecretFromFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "psk"), []byte("correct horse\r\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "lab.yaml")
	text := "lab: x\nnetwork: {ssid: s, psk: 'file:psk'}\nboards: [{id: a, port: /dev/a}]\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := farm.LoadLab(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Network.PSK.Reveal(); got != "correct horse" {
		t.Errorf("secret is %q", got)
	}
}

func TestLoadLabWithoutFile(t *testing.T) {
	_, err := farm.LoadLab(filepath.Join(t.TempDir(), "none.yaml"))
	if farm.ExitCode(err) != farm.ExitUsage || !strings.Contains(err.Error(), "none.yaml: no such file") {
		t.Errorf("got %v", err)
	}
}

// Aliases that multiply and rings of aliases end soon.
func TestLabFileBombs(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("lab: x\nboards:\n- &b {id: a, port: /dev/a, tags: &t {")
	for i := range 1000 {
		bomb.WriteString("t" + strings.Repeat("i", i%40) + string(rune('a'+i/40)) + ": v, ")
	}
	bomb.WriteString("}}\n")
	for range 5000 {
		bomb.WriteString("- *b\n")
	}
	deep := "lab: x\nboards: " + strings.Repeat("[", 100_000)
	ring := "lab: x\nboards: &a [*a]\n"
	for _, test := range []struct{ name, text, want string }{
		{"many", bomb.String(), "more than 100000 values"},
		{"deep", deep, "not YAML"},
		{"ring", ring, "boards[0]: must be a group of keys, not a list"},
	} {
		t.Run(test.name, func(t *testing.T) {
			start := time.Now()
			if _, err := farm.ParseLab("lab.yaml", []byte(test.text), nil); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %s", d)
			}
		})
	}
}

func TestLabFileRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.yaml")
	lookup := env(map[string]string{"HIL_PSK": "correct horse"})
	f, err := farm.ParseLab(path, []byte(fullLab), lookup)
	if err != nil {
		t.Fatal(err)
	}
	if err := farm.WriteLab(path, f); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "correct horse") {
		t.Error("the secret was written")
	}
	again, err := farm.ParseLab(path, text, lookup)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff(f, again, cmpopts.IgnoreUnexported(farm.LabFile{}, farm.Secret{})); diff != "" {
		t.Errorf("after a round trip (-want +got):\n%s\n%s", diff, text)
	}
	minimal := &farm.LabFile{Lab: "virtual", Boards: []farm.LabBoard{{ID: "vm01", Port: "/tmp/vm01",
		Lines: farm.LabLines{Reset: &farm.LineAddress{Address: "sock:/tmp/c#reset"}}, Virtual: true}}}
	text, err = farm.EncodeLab(minimal)
	if err != nil {
		t.Fatal(err)
	}
	const want = "lab: virtual\nboards:\n- id: vm01\n  port: /tmp/vm01\n  lines:\n    reset: sock:/tmp/c#reset\n  virtual: true\n"
	if string(text) != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func TestWriteLabRefusesWhatLoadWould(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lab.yaml")
	err := farm.WriteLab(path, &farm.LabFile{Lab: "x", Boards: []farm.LabBoard{{ID: "a/b", Port: "/dev/a"}}})
	if farm.ExitCode(err) != farm.ExitUsage {
		t.Errorf("got %v", err)
	}
	if err := farm.WriteLab(filepath.Join(dir, "none", "lab.yaml"),
		&farm.LabFile{Lab: "x", Boards: []farm.LabBoard{{ID: "a", Port: "/dev/a"}}}); err == nil {
		t.Error("written into a folder that is not there")
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
