package reports_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hil-runner/reports"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// golden compares got with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got), -update rewrites it:\n%s", path, diff)
	}
}

func TestGolden(t *testing.T) {
	dir := t.TempDir()
	run := shortRun()
	folder := save(t, dir, run)
	for _, name := range []string{reports.ReportFile, reports.JUnitFile, reports.PageFile, "boards/b02/serial.html"} {
		got, err := os.ReadFile(filepath.Join(folder.Path(), name))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Base(name), got)
	}
	for _, c := range []struct {
		name string
		run  *reports.Run
		opt  reports.TextOptions
	}{
		{"wide.txt", mixedRun(), reports.TextOptions{}},
		{"narrow.txt", mixedRun(), reports.TextOptions{Width: 64}},
		{"color.txt", run, reports.TextOptions{Width: 100, Color: true}},
		{"green.txt", greenRun(), reports.TextOptions{Width: 100}},
	} {
		var out bytes.Buffer
		if err := reports.Summary(&out, c.run, c.opt); err != nil {
			t.Fatal(err)
		}
		golden(t, c.name, out.Bytes())
	}
}

// The same run gives the same bytes, however often it is written.
func TestStable(t *testing.T) {
	for name, encode := range map[string]func(io.Writer, *reports.Run) error{
		"json": reports.EncodeRun, "junit": reports.EncodeJUnit, "html": reports.EncodePage,
	} {
		var first bytes.Buffer
		for range 5 {
			var out bytes.Buffer
			if err := encode(&out, mixedRun()); err != nil {
				t.Fatal(err)
			}
			if first.Len() == 0 {
				first = out
			} else if !bytes.Equal(first.Bytes(), out.Bytes()) {
				t.Errorf("%s: two encodings differ", name)
			}
		}
	}
}
