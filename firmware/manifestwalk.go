package firmware

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// syntaxProblems turns what the YAML reader found into problems.
func syntaxProblems(data []byte, err error) []Problem {
	var found []*yaml.LoadError
	var all *yaml.LoadErrors
	var one *yaml.LoadError
	switch {
	case errors.As(err, &all) && len(all.Errors) > 0:
		found = all.Errors
	case errors.As(err, &one):
		found = []*yaml.LoadError{one}
	default:
		return []Problem{{1, 1, err.Error()}}
	}
	var problems []Problem
	for _, e := range found {
		p := Problem{e.Mark.Line, e.Mark.Column, e.Message}
		if p.Line == 0 {
			p.Line, p.Column = unreadable(data)
		}
		problems = append(problems, p)
	}
	return problems
}

// unreadable finds the first bytes that no YAML file may hold, for which the
// reader gives no place; 1:1 if there are none.
func unreadable(data []byte) (line, column int) {
	line, column = 1, 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r == '\n':
			line, column = line+1, 0
		case r == utf8.RuneError && n == 1, r < ' ' && r != '\t' && r != '\r', r == 0x7F:
			return line, column
		}
		data = data[n:]
		column++
	}
	return 1, 1
}

// manifestWalk reads the tree of a manifest and collects its problems.
type manifestWalk struct {
	problems []Problem
	seen     map[string]int // release -> line
}

func (w *manifestWalk) problem(n *yaml.Node, format string, args ...any) {
	w.problems = append(w.problems, Problem{n.Line, n.Column, fmt.Sprintf(format, args...)})
}

func (w *manifestWalk) sort() {
	slices.SortStableFunc(w.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

func (w *manifestWalk) document(doc *yaml.Node) []Entry {
	top := doc
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		top = doc.Content[0]
	}
	if top.Kind != yaml.MappingNode {
		w.problem(top, "want a mapping with the key releases")
		return nil
	}
	fields := w.mapping(top, []string{"releases"})
	list := fields["releases"]
	if list == nil {
		w.problem(top, "the key releases is missing")
		return nil
	}
	if list.Kind != yaml.SequenceNode {
		w.problem(list, "releases must be a list")
		return nil
	}
	if len(list.Content) > maxReleases {
		w.problem(list, "%d releases, at most %d", len(list.Content), maxReleases)
		return nil
	}
	w.seen = make(map[string]int, len(list.Content))
	var entries []Entry
	for _, n := range list.Content {
		if n.Kind != yaml.MappingNode {
			w.problem(n, "a release must be a mapping")
			continue
		}
		entries = append(entries, w.entry(n))
	}
	return entries
}

// mapping gives the values by key and reports keys that are unknown, repeated
// or no plain text.
func (w *manifestWalk) mapping(n *yaml.Node, known []string) map[string]*yaml.Node {
	fields := make(map[string]*yaml.Node, len(known))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.Anchor != "":
			w.problem(key, "a key must be plain text")
		case !slices.Contains(known, key.Value):
			w.problem(key, "unknown key %.64q%s", key.Value, suggest(key.Value, known))
		case fields[key.Value] != nil:
			w.problem(key, "key %s is given twice", key.Value)
		default:
			fields[key.Value] = value
		}
	}
	return fields
}

var entryKeys = [...]string{"release", "build", "level", "sha256", "model", "address", "method", "file"}

// entry reads one release.
func (w *manifestWalk) entry(n *yaml.Node) Entry {
	fields := w.mapping(n, entryKeys[:])
	var e Entry
	e.Release = w.text(n, fields, "release", labelForm, "a label of letters, digits, dot, dash, underscore and plus")
	if line, twice := w.seen[e.Release]; twice && e.Release != "" {
		w.problem(fields["release"], "release %s is given twice, first in line %d", e.Release, line)
	} else if e.Release != "" {
		w.seen[e.Release] = n.Line
	}
	e.Build = w.text(n, fields, "build", labelForm, "the build as the module reports it, such as 170111-665d284-SPWF01S")
	e.Level = w.text(n, fields, "level", levelForm, "a version such as 3.5.3")
	e.SHA256 = strings.ToLower(w.text(n, fields, "sha256", hashForm, "64 hexadecimal digits"))
	e.Model = w.text(n, fields, "model", labelForm, "a model such as SPWF01SA")
	e.Method = Method(w.text(n, fields, "method", methodForm, "uart or ota"))
	e.File = w.file(n, fields)
	e.Address = w.address(n, fields, e.Method)
	return e
}

var (
	labelForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)
	levelForm  = regexp.MustCompile(`^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})(-[0-9A-Za-z.-]{1,32})?$`)
	hashForm   = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)
	methodForm = regexp.MustCompile(`^(uart|ota)$`)
)

// text reads a field that must be there and have a form.
func (w *manifestWalk) text(entry *yaml.Node, fields map[string]*yaml.Node, key string, form *regexp.Regexp, want string) string {
	v, ok := w.scalar(entry, fields, key)
	if !ok {
		return ""
	}
	if !form.MatchString(v) {
		w.problem(fields[key], "%s: %.80q is not %s", key, v, want)
		return ""
	}
	return v
}

// scalar reads a field that must be there. The text of the file counts, not
// the type that YAML would give it: 3.0 is not 3.
func (w *manifestWalk) scalar(entry *yaml.Node, fields map[string]*yaml.Node, key string) (string, bool) {
	n := fields[key]
	switch {
	case n == nil:
		w.problem(entry, "the key %s is missing", key)
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		w.problem(n, "%s: anchors and aliases are not allowed", key)
	case n.Kind != yaml.ScalarNode:
		w.problem(n, "%s must be plain text", key)
	default:
		return n.Value, true
	}
	return "", false
}

func (w *manifestWalk) file(entry *yaml.Node, fields map[string]*yaml.Node) string {
	v, ok := w.scalar(entry, fields, "file")
	if !ok {
		return ""
	}
	switch {
	case v == "" || len(v) > 255 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7F }):
		w.problem(fields["file"], "file: %.80q is not a file name", v)
	case !filepath.IsLocal(v):
		w.problem(fields["file"], "file: %.80q leads out of the catalogue's folder", v)
	default:
		return v
	}
	return ""
}

// address reads the field that an image for OTA does not have.
func (w *manifestWalk) address(entry *yaml.Node, fields map[string]*yaml.Node, method Method) uint32 {
	if method == OTA {
		if n := fields["address"]; n != nil {
			w.problem(n, "address: an image sent by ota has none")
		}
		return 0
	}
	v, ok := w.scalar(entry, fields, "address")
	if !ok {
		return 0
	}
	addr, err := strconv.ParseUint(v, 0, 32)
	if err != nil {
		w.problem(fields["address"], "address: %.32q is not an address such as 0x08002800", v)
		return 0
	}
	if err := checkWindow(uint32(addr), PageSize); err != nil {
		w.problem(fields["address"], "address: %v", err)
	} else if addr%PageSize != 0 {
		w.problem(fields["address"], "address: 0x%08X is not the start of a page of %d bytes", addr, PageSize)
	}
	return uint32(addr)
}
