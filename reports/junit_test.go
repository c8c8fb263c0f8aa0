package reports_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"hil-runner/reports"
)

// junitFile is what a consumer makes of a JUnit file: declared here, apart
// from the writer.
type junitFile struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Skipped  int      `xml:"skipped,attr"`
	Suites   []struct {
		Name       string `xml:"name,attr"`
		Tests      int    `xml:"tests,attr"`
		Failures   int    `xml:"failures,attr"`
		Errors     int    `xml:"errors,attr"`
		Skipped    int    `xml:"skipped,attr"`
		Properties []struct {
			Name  string `xml:"name,attr"`
			Value string `xml:"value,attr"`
		} `xml:"properties>property"`
		Cases []struct {
			Classname string        `xml:"classname,attr"`
			Name      string        `xml:"name,attr"`
			Failure   *junitMessage `xml:"failure"`
			Error     *junitMessage `xml:"error"`
			Skipped   *junitMessage `xml:"skipped"`
			Flaky     *junitMessage `xml:"flakyFailure"`
			Out       string        `xml:"system-out"`
		} `xml:"testcase"`
		Out string `xml:"system-out"`
	} `xml:"testsuite"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

func junit(t *testing.T, run *reports.Run) (junitFile, string) {
	t.Helper()
	var out bytes.Buffer
	if err := reports.EncodeJUnit(&out, run); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	dec := xml.NewDecoder(&out) // strict by default
	var file junitFile
	if err := dec.Decode(&file); err != nil {
		t.Fatalf("not well-formed: %v", err)
	}
	if tok, err := dec.Token(); err == nil {
		if c, ok := tok.(xml.CharData); !ok || len(bytes.TrimSpace(c)) > 0 {
			t.Fatalf("something follows the document: %v", tok)
		}
	} else if err != io.EOF {
		t.Fatal(err)
	}
	return file, text
}

func TestJUnitCounts(t *testing.T) {
	run := mixedRun()
	file, _ := junit(t, run)
	var tests, failures, errs, skipped, plain, flaky int
	names := make(map[string]bool)
	for _, s := range file.Suites {
		in := 0
		for _, c := range s.Cases {
			key := c.Classname + "\x00" + c.Name
			if names[key] {
				t.Errorf("%s %s is there twice", c.Classname, c.Name)
			}
			names[key] = true
			in++
			switch {
			case c.Failure != nil:
				failures++
			case c.Error != nil:
				errs++
			case c.Skipped != nil:
				skipped++
			case c.Flaky != nil:
				flaky++
			default:
				plain++
			}
		}
		if in != s.Tests {
			t.Errorf("suite %s: tests=%d, holds %d", s.Name, s.Tests, in)
		}
		tests += in
	}
	if file.Tests != tests || file.Failures != failures || file.Errors != errs || file.Skipped != skipped {
		t.Errorf("header %d/%d/%d/%d, cases %d/%d/%d/%d", file.Tests, file.Failures, file.Errors, file.Skipped, tests, failures, errs, skipped)
	}
	n := run.Counts()
	if plain != n[reports.Passed] {
		t.Errorf("%d cases look passed, %d are", plain, n[reports.Passed])
	}
	if want := n[reports.Skipped] + n[reports.Recorded]; skipped != want {
		t.Errorf("%d skipped, want %d", skipped, want)
	}
	// One error is the dead board itself.
	if want := n[reports.Errored] + n[reports.Inconclusive] + 1; errs != want {
		t.Errorf("%d errors, want %d", errs, want)
	}
	if failures != n[reports.Failed] || flaky != n[reports.Flaky] {
		t.Errorf("%d failures, %d flaky", failures, flaky)
	}
	if !strings.Contains(file.Name, "executed 125 of 160 planned") {
		t.Errorf("header %q does not say executed of planned", file.Name)
	}
}

func TestJUnitTells(t *testing.T) {
	run := mixedRun()
	folder := save(t, t.TempDir(), run)
	defer folder.Close()
	file, text := junit(t, run)
	for _, want := range []string{
		`classname="tls.one_way" name="N03 a certificate for another host is refused [b01]"`,
		`type="bad_certificate_accepted"`, `type="infra.hard_fault"`, `<skipped message="not_requested: `,
		`[[ATTACHMENT|boards/b01/serial.log]]`, "boards/b01/serial.log:96",
		`name="flash.at_115200_seconds" value="102.400"`, `message="inconclusive: control_failed`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the file lacks %s", want)
		}
	}
	if f := file.Suites[0].Cases; len(f) != 40 || len(file.Suites[3].Cases) != 41 {
		t.Errorf("%d and %d cases", len(f), len(file.Suites[3].Cases))
	}
}

func TestJUnitHostile(t *testing.T) {
	for _, text := range hostileTexts() {
		run := shortRun()
		run.Boards = run.Boards[:1]
		run.Boards[0].Results = run.Boards[0].Results[3:] // one of each element
		fill(run, text)
		file, _ := junit(t, run)
		found := false
		for _, s := range file.Suites {
			for _, c := range s.Cases {
				if c.Failure != nil && strings.Contains(c.Failure.Text, strings.TrimSpace(reports.Visible(text))) {
					found = true
				}
				for _, part := range []string{c.Name, c.Classname, c.Out} {
					if bad := checkVisible(part, false); bad != "" {
						t.Errorf("%q: %q %s", text, part, bad)
					}
				}
			}
		}
		if !found {
			t.Errorf("%q does not come back from the file", text)
		}
	}
}

func FuzzJUnit(f *testing.F) {
	for _, s := range hostileTexts()[:20] {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		run := shortRun()
		fill(run, s)
		junit(t, run)
	})
}
