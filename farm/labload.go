package farm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
)

// LoadLab reads a lab file. A mistake in it gives a *ConfigError with all
// problems that were found, in the order of the file.
func LoadLab(path string) (*LabFile, error) {
	data, err := readLab(path)
	if err != nil {
		return nil, &ConfigError{File: path, Problems: []Problem{{Text: err.Error()}}}
	}
	return ParseLab(path, data, os.LookupEnv)
}

func readLab(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		var at *os.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLabBytes+1))
	if err != nil {
		return nil, err
	}
	return data, nil
}

// ParseLab reads a lab file's text. path is used in messages and to find what
// the file refers to. lookup gives the environment; nil leaves the secrets of
// the file unread.
func ParseLab(path string, data []byte, lookup func(name string) (string, bool)) (*LabFile, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("lab file %s: %w", path, err)
	}
	f := &LabFile{dir: dir}
	d := &labDecoder{marks: make(map[string]Problem), unread: make(map[string]bool)}
	if len(data) > maxLabBytes {
		d.problem(Problem{Text: fmt.Sprintf("the file is longer than %d bytes", maxLabBytes)})
	} else if doc := d.document(data); doc != nil {
		d.value(doc, reflect.ValueOf(f).Elem(), "")
		c := labChecker{labDecoder: d, file: f, lookup: lookup,
			ids: make(map[string]string), ports: make(map[string]string), lines: make(map[string]string)}
		c.check()
	}
	if len(d.problems) == 0 {
		return f, nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) {
			return b.Line - a.Line
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return nil, &ConfigError{File: path, Problems: d.problems}
}

// roleLine is a line of a board with its role.
type roleLine struct {
	Role string
	Line *LineAddress
}

// byRole lists the lines that a board has.
func (l LabLines) byRole() []roleLine {
	all := []roleLine{{"reset", l.Reset}, {"boot0", l.Boot0}, {"gpio0", l.GPIO0}, {"power", l.Power}}
	return slices.DeleteFunc(all, func(r roleLine) bool { return r.Line == nil })
}
