package reports

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Schema is the version of report.json. It grows when a field changes its
// meaning or goes away, not when one is added.
const Schema = 1

// maxReport bounds what is read back: a report of 64 boards with thousands of
// cases each stays far below it.
const maxReport = 256 << 20

// ErrSchema means that a report.json is of a version that this program does
// not read.
var ErrSchema = errors.New("unknown schema version")

// document is report.json: a Run with a version, a summary for people and
// scripts, and every duration also in words.
type document struct {
	Schema  int     `json:"schema"`
	Summary summary `json:"summary"`
	Run
	Boards []boardDocument `json:"boards"`
}

type summary struct {
	Planned  int             `json:"planned"`
	Executed int             `json:"executed"`
	Outcomes map[Outcome]int `json:"outcomes"`
	Duration string          `json:"duration"`
	// ExitMeaning is the exit code in words.
	ExitMeaning string `json:"exit_meaning"`
}

type boardDocument struct {
	BoardRun
	Flash   *flashDocument   `json:"flash,omitempty"`
	Results []resultDocument `json:"results"`
}

type flashDocument struct {
	Flash
	DurationText string `json:"duration"`
	At115200Text string `json:"at_115200"`
}

type resultDocument struct {
	Result
	DurationText string `json:"duration"`
}

// EncodeRun writes run as report.json. Invalid UTF-8 in its strings is
// written as visible escapes, since JSON cannot carry it.
func EncodeRun(w io.Writer, run *Run) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(newDocument(mapStrings(run, legalJSON))); err != nil {
		return fmt.Errorf("write report of run %s: %w", run.ID, err)
	}
	return nil
}

func newDocument(run *Run) *document {
	doc := &document{Schema: Schema, Run: *run, Boards: []boardDocument{}, Summary: newSummary(run)}
	for _, b := range run.Boards {
		bd := boardDocument{BoardRun: b, Results: []resultDocument{}}
		if b.Flash != nil {
			bd.Flash = &flashDocument{Flash: *b.Flash, DurationText: b.Flash.Duration.String(), At115200Text: b.Flash.At115200.String()}
		}
		for _, r := range b.Results {
			bd.Results = append(bd.Results, resultDocument{Result: r, DurationText: r.Duration.String()})
		}
		doc.Boards = append(doc.Boards, bd)
	}
	return doc
}

func newSummary(run *Run) summary {
	s := summary{
		Planned: run.Planned(), Executed: run.Executed(), Outcomes: make(map[Outcome]int),
		Duration: run.Took().String(), ExitMeaning: ExitMeaning(run.ExitCode),
	}
	n := run.Counts()
	for _, o := range Outcomes() {
		s.Outcomes[o] = n[o]
	}
	return s
}

// DecodeRun reads a report.json strictly: unknown fields, unknown outcomes,
// another schema, trailing data, and a summary or a duration that does not
// agree with the results are errors.
func DecodeRun(r io.Reader) (*Run, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxReport+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxReport {
		return nil, fmt.Errorf("report is larger than %d bytes", maxReport)
	}
	var version struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, fmt.Errorf("not a report: %w", err)
	}
	if version.Schema != Schema {
		return nil, fmt.Errorf("%w %d (this program reads %d)", ErrSchema, version.Schema, Schema)
	}
	var doc document
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("not a report: %w", err)
	}
	return doc.run()
}

// run checks the document and gives the Run that it holds.
func (d *document) run() (*Run, error) {
	run := d.Run
	for _, bd := range d.Boards {
		b := bd.BoardRun
		if bd.Flash != nil {
			if err := errors.Join(sameDuration(bd.Flash.DurationText, bd.Flash.Duration),
				sameDuration(bd.Flash.At115200Text, bd.Flash.At115200)); err != nil {
				return nil, fmt.Errorf("board %q, flash: %w", b.Board, err)
			}
			b.Flash = &bd.Flash.Flash
		}
		for _, rd := range bd.Results {
			if !slices.Contains(Outcomes(), rd.Outcome) {
				return nil, fmt.Errorf("board %q, case %q: unknown outcome %q", b.Board, rd.Case.ID, rd.Outcome)
			}
			if err := sameDuration(rd.DurationText, rd.Result.Duration); err != nil {
				return nil, fmt.Errorf("board %q, case %q: %w", b.Board, rd.Case.ID, err)
			}
			b.Results = append(b.Results, rd.Result)
		}
		if b.Outcome != "" && !slices.Contains(Outcomes(), b.Outcome) {
			return nil, fmt.Errorf("board %q: unknown outcome %q", b.Board, b.Outcome)
		}
		run.Boards = append(run.Boards, b)
	}
	if want := newSummary(&run); !reflect.DeepEqual(want, d.Summary) {
		return nil, fmt.Errorf("the summary says %+v, the results say %+v", d.Summary, want)
	}
	return &run, nil
}

func sameDuration(text string, d time.Duration) error {
	if text != d.String() {
		return fmt.Errorf("duration %q does not agree with %d ns", text, d.Nanoseconds())
	}
	return nil
}

// legalJSON keeps every character that JSON can carry and spells out the
// bytes that are not UTF-8.
func legalJSON(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// mapStrings gives a deep copy of run with f applied to every string in it.
func mapStrings(run *Run, f func(string) string) *Run {
	out := reflect.New(reflect.TypeFor[Run]()).Elem()
	copyMapped(out, reflect.ValueOf(run).Elem(), f)
	copied := out.Interface().(Run)
	return &copied
}

func copyMapped(dst, src reflect.Value, f func(string) string) {
	switch src.Kind() {
	case reflect.String:
		dst.SetString(f(src.String()))
	case reflect.Pointer:
		if !src.IsNil() {
			dst.Set(reflect.New(src.Type().Elem()))
			copyMapped(dst.Elem(), src.Elem(), f)
		}
	case reflect.Slice:
		if !src.IsNil() {
			dst.Set(reflect.MakeSlice(src.Type(), src.Len(), src.Len()))
			for i := range src.Len() {
				copyMapped(dst.Index(i), src.Index(i), f)
			}
		}
	case reflect.Map: // of strings, the only kind in the model
		if !src.IsNil() {
			dst.Set(reflect.MakeMapWithSize(src.Type(), src.Len()))
			for _, k := range src.MapKeys() {
				dst.SetMapIndex(reflect.ValueOf(f(k.String())), reflect.ValueOf(f(src.MapIndex(k).String())))
			}
		}
	case reflect.Struct:
		if src.Type() == reflect.TypeFor[time.Time]() {
			dst.Set(src)
			return
		}
		for i := range src.NumField() {
			copyMapped(dst.Field(i), src.Field(i), f)
		}
	default:
		dst.Set(src)
	}
}
