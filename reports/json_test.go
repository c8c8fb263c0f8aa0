package reports_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hil-runner/reports"
)

func encode(t testing.TB, run *reports.Run) string {
	t.Helper()
	var out bytes.Buffer
	if err := reports.EncodeRun(&out, run); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestRunRoundTrip(t *testing.T) {
	for name, run := range map[string]*reports.Run{
		"green": greenRun(), "mixed": mixedRun(), "empty": {}, "boards without results": {Boards: []reports.BoardRun{{Board: "b"}}},
	} {
		got, err := reports.DecodeRun(strings.NewReader(encode(t, run)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(run, got); diff != "" {
			t.Errorf("%s: (-written +read):\n%s", name, diff)
		}
	}
}

// What a device says survives the file; bytes that are no text become
// escapes, once.
func TestRunRoundTripHostile(t *testing.T) {
	for _, text := range hostileTexts() {
		run := shortRun()
		run.Boards = run.Boards[:1]
		fill(run, text)
		once := encode(t, run)
		got, err := reports.DecodeRun(strings.NewReader(once))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if again := encode(t, got); again != once {
			t.Errorf("%q: the second writing differs", text)
		}
	}
	run := &reports.Run{Owner: "a\xffb"}
	got, err := reports.DecodeRun(strings.NewReader(encode(t, run)))
	if err != nil || got.Owner != `a\xffb` {
		t.Errorf("owner %q, %v; want the byte spelled out", got.Owner, err)
	}
	if run.Owner != "a\xffb" {
		t.Error("the run itself was changed")
	}
}

func TestDecodeRunStrict(t *testing.T) {
	good := encode(t, shortRun())
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":         {`"tool":`, `"tools":`, "unknown field"},
		"unknown nested field":  {`"attempts":`, `"tries":`, "unknown field"},
		"unknown outcome":       {`"outcome": "flaky"`, `"outcome": "fine"`, "unknown outcome"},
		"other schema":          {`"schema": 1`, `"schema": 2`, "unknown schema version"},
		"no schema":             {`"schema": 1,`, ``, "unknown schema version"},
		"wrong summary":         {`"passed": 5`, `"passed": 6`, "the summary says"},
		"failure made a pass":   {`"outcome": "failed"`, `"outcome": "passed"`, "the summary says"},
		"duration in words":     {`"at_115200": "1m42.4s"`, `"at_115200": "1s"`, "does not agree"},
		"trailing data":         {"\n}\n", "\n}\n{}", "not a report"},
		"wrong type":            {`"seed": 20260802`, `"seed": "x"`, "not a report"},
		"exit code changed":     {`"exit_code": 1`, `"exit_code": 0`, "the summary says"},
		"not JSON at all":       {good, "<html>", "not a report"},
		"empty":                 {good, "", "not a report"},
		"torn":                  {good, good[:len(good)/2], "not a report"},
		"unknown board outcome": {`"outcome": "error",` + "\n      \"causes\"", `"outcome": "dead",` + "\n      \"causes\"", "unknown outcome"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Errorf("%s: the sample has no %q", name, c.old)
			continue
		}
		_, err := reports.DecodeRun(strings.NewReader(bad))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	_, err := reports.DecodeRun(strings.NewReader(`{"schema":7}`))
	if !errors.Is(err, reports.ErrSchema) {
		t.Errorf("error %v, want ErrSchema", err)
	}
}

// The file is of use to a script that knows nothing of Go.
func TestReportForScripts(t *testing.T) {
	var doc struct {
		Summary struct {
			Planned, Executed int
			Outcomes          map[string]int
			ExitMeaning       string `json:"exit_meaning"`
		}
		Boards []struct {
			Flash   struct{ Duration string }
			Results []struct {
				Duration string
				Outcome  string
			}
		}
	}
	if err := json.Unmarshal([]byte(encode(t, mixedRun())), &doc); err != nil {
		t.Fatal(err)
	}
	if s := doc.Summary; s.Planned != 160 || s.Executed != 125 || s.Outcomes["failed"] != 3 || s.ExitMeaning != "a spec failed" {
		t.Errorf("summary %+v", s)
	}
	if b := doc.Boards[0]; b.Flash.Duration != "1.21s" || b.Results[0].Duration != "38ms" {
		t.Errorf("durations %q, %q", b.Flash.Duration, b.Results[0].Duration)
	}
}

func FuzzDecodeRun(f *testing.F) {
	f.Add([]byte(encode(f, shortRun())))
	f.Add([]byte(`{"schema":1}`))
	f.Add([]byte(`{"schema":1,"boards":[{"results":[{"outcome":"passed"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := reports.DecodeRun(bytes.NewReader(data))
		if err != nil {
			return
		}
		once := encode(t, run)
		again, err := reports.DecodeRun(strings.NewReader(once))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if encode(t, again) != once {
			t.Error("two writings differ")
		}
		var page bytes.Buffer
		if err := reports.EncodePage(&page, run); err != nil {
			t.Error(err)
		}
	})
}
