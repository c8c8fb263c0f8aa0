package farm_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hil-runner/farm"
)

func TestSchemaFollowsTheStructs(t *testing.T) {
	var s struct {
		Properties map[string]any
		Required   []string
		Additional any `json:"additionalProperties"`
		Defs       map[string]struct {
			Properties map[string]map[string]any
			Required   []string
		} `json:"$defs"`
	}
	text := farm.Schema()
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"lab", "firmware", "network", "limits", "defaults", "boards"} {
		if s.Properties[key] == nil {
			t.Errorf("the schema has no %q", key)
		}
	}
	if s.Additional != false {
		t.Error("the schema accepts unknown keys")
	}
	if got := strings.Join(s.Required, " "); got != "lab boards" {
		t.Errorf("required are %q, want lab and boards", got)
	}
	board := s.Defs["LabBoard"]
	if got := strings.Join(board.Required, " "); got != "id port" {
		t.Errorf("required of a board are %q, want id and port", got)
	}
	if got := s.Defs["LabLimits"].Properties["pulse"]; got["type"] != "string" || got["description"] == "" {
		t.Errorf("pulse is %v, want a described text", got)
	}
	if got := board.Properties["idle"]["enum"]; got == nil {
		t.Error("idle lists no states")
	}
	if reset := s.Defs["LabLines"].Properties["reset"]; reset["oneOf"] == nil {
		t.Errorf("reset is %v, want text or a group", reset)
	}
}

// FuzzParseLab looks for files that break the parser, and checks that what is
// accepted can be written and read back as the same boards.
func FuzzParseLab(f *testing.F) {
	f.Add([]byte(fullLab))
	f.Add([]byte("lab: x\nboards: [{id: a, port: /dev/a}]"))
	f.Add([]byte("lab: x\nboards:\n- &a {id: a, port: /dev/a, tags: {x: &t 07}}\n- {id: b, port: /dev/b, tags: {y: *t}}\n"))
	f.Add([]byte("a: &a [*a, *a]\nboards: *a\nlab: {<<: *a}\n"))
	f.Add([]byte("lab: |\n  x\nlimits: {pulse: 1e9}\nnetwork: {psk: '${env:A}'}\n"))
	f.Add([]byte("\xff\xfel\x00a\x00b\x00:\x00"))
	lookup := func(string) (string, bool) { return "correct horse", true }
	f.Fuzz(func(t *testing.T, data []byte) {
		lab, err := farm.ParseLab("/lab/lab.yaml", data, lookup)
		if err != nil {
			if farm.ExitCode(err) != farm.ExitUsage {
				t.Fatalf("not a ConfigError: %v", err)
			}
			if strings.Contains(err.Error(), "correct horse") {
				t.Fatalf("the secret is in the message: %v", err)
			}
			return
		}
		text, err := farm.EncodeLab(lab)
		if err != nil {
			t.Fatalf("accepted, but not to be written: %v", err)
		}
		again, err := farm.ParseLab("/lab/lab.yaml", text, lookup)
		if err != nil {
			t.Fatalf("written, but not to be read: %v\n%s", err, text)
		}
		a, _ := json.Marshal(lab.Wirings())
		b, _ := json.Marshal(again.Wirings())
		if string(a) != string(b) {
			t.Fatalf("boards changed:\n%s\n%s\n%s", a, b, text)
		}
	})
}

func TestLabFileOnDiskIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab.yaml")
	if err := os.WriteFile(path, []byte("lab: x # "+strings.Repeat("x", 2<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := farm.LoadLab(path); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}
