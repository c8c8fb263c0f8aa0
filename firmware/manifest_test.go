package firmware_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hil-runner/firmware"
)

func TestManifest(t *testing.T) {
	const text = `# what this lab may flash
releases:
  - release: 3.4            # no quotes: the text counts, not the number
    build: 150410-c2e37a3-SPWF01S
    level: 3.4.0
    sha256: 9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08
    model: SPWF01SA
    address: 0x08002800
    method: uart
    file: 3.4/main.bin
  - {release: 3.4-ota, build: 150410-c2e37a3-SPWF01S, level: 3.4.0, model: SPWF01SA, method: ota, file: main.ota,
     sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
`
	const sum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	want := []firmware.Entry{
		{Release: "3.4", Build: "150410-c2e37a3-SPWF01S", Level: "3.4.0", SHA256: sum, Model: "SPWF01SA", Address: 0x08002800, Method: firmware.UART, File: "3.4/main.bin"},
		{Release: "3.4-ota", Build: "150410-c2e37a3-SPWF01S", Level: "3.4.0", SHA256: sum, Model: "SPWF01SA", Method: firmware.OTA, File: "main.ota"},
	}
	got, err := firmware.ParseManifest([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	dir := t.TempDir()
	if err := firmware.SaveManifest(dir, append(got, firmware.Entry{Release: "v", Virtual: true})); err != nil {
		t.Fatal(err)
	}
	cat, err := firmware.LoadCatalogue(dir, firmware.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, cat.Entries()); diff != "" {
		t.Error("saved and read again:", diff)
	}
	if err := firmware.SaveManifest(dir, []firmware.Entry{{Release: "half"}}); err == nil {
		t.Error("a wrong manifest was written")
	}
}

// TestManifestProblems wants all problems at once, each with its place.
func TestManifestProblems(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"everything", `releases:
  - release: 3.4
    build: 150410-c2e37a3-SPWF01S
    levl: 3.4.0
    sha256: 12ab
    model: "SPWF 01"
    address: 0x08000000
    method: jtag
    file: ../../etc/passwd
  - just text
  - release: 3.4
    release: 3.5
    build: {a: 1}
    level: three
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    model: SPWF01SA
    address: 134227968x
    method: uart
    file: "a\u0000b"
extra: 1
`, `2:5: the key level is missing
4:5: unknown key "levl"; did you mean "level"?; known: release, build, level, sha256, model, address, method, file
5:13: sha256: "12ab" is not 64 hexadecimal digits
6:12: model: "SPWF 01" is not a model such as SPWF01SA
7:14: address: image is out of range: 0x08000000..0x08000800: it touches the boot part in pages 0-4, which no public image can restore; allowed is 0x08002800..0x0807D000
8:13: method: "jtag" is not uart or ota
9:11: file: "../../etc/passwd" leads out of the catalogue's folder
10:5: a release must be a mapping
11:14: release 3.4 is given twice, first in line 2
12:5: key release is given twice
13:12: build must be plain text
14:12: level: "three" is not a version such as 3.5.3
17:14: address: "134227968x" is not an address such as 0x08002800
19:11: file: "a\x00b" is not a file name
20:1: unknown key "extra"; known: releases`},
		{"page and ota", `releases:
- {release: a, build: b, level: 1.0.0, model: m, method: ota, address: 0x08002800, file: f, sha256: &x 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
- {release: c, build: b, level: 1.0.0, model: m, method: uart, address: 0x08002804, file: f, sha256: *x}
`, `2:72: address: an image sent by ota has none
2:101: sha256: anchors and aliases are not allowed
3:73: address: 0x08002804 is not the start of a page of 2048 bytes
3:102: sha256: anchors and aliases are not allowed`},
		{"no releases", "{}\n", "1:1: the key releases is missing"},
		{"releases is no list", "releases: 3\n", "1:11: releases must be a list"},
		{"a list at the top", "- 1\n", "1:1: want a mapping with the key releases"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := firmware.ParseManifest([]byte(c.text))
			var m *firmware.ManifestError
			if !errors.As(err, &m) {
				t.Fatalf("got %v", err)
			}
			var got []string
			for _, p := range m.Problems {
				got = append(got, fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Text))
			}
			if diff := cmp.Diff(strings.Split(c.want, "\n"), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestManifestSyntax(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"tab":            {"releases:\n\t- x\n", 2},
		"unclosed":       {"releases: [\n", 2},
		"bad indent":     {"releases:\n  - release: 1\n build: 2\n", 3},
		"control byte":   {"releases:\n  \x01\n", 2},
		"two documents":  {"releases: []\n---\nreleases: []\n", 1},
		"nothing":        {"", 1},
		"invalid UTF-8":  {"\n\nreleases: \xff\xfe\n", 3},
		"unknown anchor": {"releases: *none\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := firmware.ParseManifest([]byte(c.text))
			var m *firmware.ManifestError
			if !errors.As(err, &m) || len(m.Problems) == 0 {
				t.Fatalf("got %v", err)
			}
			if p := m.Problems[0]; p.Line != c.line || p.Text == "" || strings.Contains(p.Text, "\n") {
				t.Errorf("got %+v, want line %d", p, c.line)
			}
		})
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, firmware.ManifestName), []byte("releases: 3\n"))
	_, err := firmware.LoadCatalogue(dir, firmware.Trust{})
	if want := filepath.Join(dir, "manifest.yaml") + ":1:11: releases must be a list"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := firmware.LoadCatalogue(filepath.Join(dir, "none"), firmware.Trust{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := firmware.ParseManifest(make([]byte, 2<<20)); !errors.Is(err, firmware.ErrTooBig) {
		t.Errorf("got %v", err)
	}
}

// bomb is a small document that means a big one.
const bomb = `a: &a [x,x,x,x,x,x,x,x,x]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]
e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]
f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]
g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]
releases: *g
`

func FuzzManifest(f *testing.F) {
	f.Add([]byte("releases:\n" + release("3.5.3", "fw.bin", nil)))
	f.Add([]byte(bomb))
	f.Add([]byte("releases: " + strings.Repeat("[", 5000)))
	f.Add([]byte("releases:\n  - &a {<<: *a, release: 1}\n"))
	f.Add([]byte("? [releases]\n: x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := firmware.ParseManifest(data)
		if err != nil {
			var m *firmware.ManifestError
			if errors.As(err, &m) && len(m.Problems) == 0 {
				t.Error("an error without a problem")
			}
			return
		}
		for _, e := range entries {
			if e.Release == "" || e.Build == "" || len(e.SHA256) != 64 || !filepath.IsLocal(e.File) {
				t.Errorf("accepted %+v", e)
			}
		}
	})
}
