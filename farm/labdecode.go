package farm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// What a lab file may cost. Aliases are followed, so the count of values that
// are looked at is bounded apart from the size of the file.
const (
	maxLabBytes  = 1 << 20
	maxLabValues = 100_000
	maxProblems  = 100
)

// labDecoder puts a YAML document into a LabFile and notes every problem with
// its place. The library's own decoding is not used because its messages
// quote values, which may be secrets, and because the checks that come after
// it need the place of each value.
type labDecoder struct {
	problems []Problem
	marks    map[string]Problem
	// unread holds the places whose value is not of the wanted kind: nothing
	// more is said of them.
	unread map[string]bool
	values int
	full   bool
}

func (d *labDecoder) add(n *yaml.Node, path, text, hint string) {
	d.problem(Problem{Line: n.Line, Column: n.Column, Path: path, Text: text, Hint: hint})
}

// wrong notes that the value at a path is not of the wanted kind.
func (d *labDecoder) wrong(n *yaml.Node, path, text, hint string) {
	d.unread[path] = true
	d.add(n, path, text, hint)
}

// at notes a problem at the value that stands at a path, or at the nearest
// place above it that the file has.
func (d *labDecoder) at(path, text, hint string) {
	p := Problem{}
	for at := path; ; {
		if m, ok := d.marks[at]; ok {
			p = m
			break
		}
		cut := strings.LastIndexAny(at, ".[")
		if cut < 0 {
			p = d.marks[""]
			break
		}
		at = at[:cut]
	}
	p.Path, p.Text, p.Hint = path, text, hint
	d.problem(p)
}

func (d *labDecoder) problem(p Problem) {
	switch {
	case len(d.problems) < maxProblems:
		d.problems = append(d.problems, p)
	case !d.full:
		d.full = true
		d.problems = append(d.problems, Problem{Text: fmt.Sprintf("and more problems than %d", maxProblems)})
	}
}

// document reads the one document of a file; it gives nil when there is none
// that can be read.
func (d *labDecoder) document(data []byte) *yaml.Node {
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		d.syntax(err)
		return nil
	}
	var doc, more yaml.Node
	switch err := loader.Load(&doc); {
	case err == io.EOF, err == nil && len(doc.Content) != 1:
		d.problem(Problem{Text: "the file is empty", Hint: "name the lab and list its boards"})
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	switch err := loader.Load(&more); {
	case err == io.EOF:
	case err != nil:
		d.syntax(err)
	default:
		d.add(&more, "", "a second YAML document", "a lab file is one document")
	}
	return doc.Content[0]
}

// syntax takes what the YAML parser says, without the text that it quotes.
func (d *labDecoder) syntax(err error) {
	var several *yaml.LoadErrors
	var one *yaml.LoadError
	switch {
	case errors.As(err, &several):
		for _, e := range several.Errors {
			d.syntaxError(e)
		}
	case errors.As(err, &one):
		d.syntaxError(one)
	default:
		d.problem(Problem{Text: "not YAML: " + unquoted(err.Error())})
	}
}

func (d *labDecoder) syntaxError(e *yaml.LoadError) {
	mark := e.Mark
	if mark.Line == 0 {
		mark = e.ContextMark
	}
	text := strings.TrimPrefix(e.Message, "yaml: ")
	if e.ContextMsg != "" {
		text = e.ContextMsg + ": " + text
	}
	d.problem(Problem{Line: mark.Line, Column: mark.Column, Text: "not YAML: " + unquoted(text)})
}

// unquoted takes out what a message quotes, as it may be a secret.
func unquoted(s string) string {
	var b strings.Builder
	for i, part := range strings.Split(s, "'") {
		switch {
		case i%2 == 0:
			b.WriteString(part)
		case len(part) <= 1:
			b.WriteString("'" + part + "'")
		default:
			b.WriteString("'...'")
		}
	}
	return b.String()
}

// value puts a node into v, whose type decides what the node must be.
func (d *labDecoder) value(n *yaml.Node, v reflect.Value, path string) {
	if d.values++; d.values > maxLabValues {
		if d.values == maxLabValues+1 {
			d.wrong(n, path, fmt.Sprintf("the file has more than %d values once its aliases are followed", maxLabValues), "")
		}
		return
	}
	for hops := 0; n.Kind == yaml.AliasNode; hops++ {
		if n.Alias == nil || hops > 8 {
			d.wrong(n, path, "an alias that leads nowhere", "")
			return
		}
		n = n.Alias
	}
	if _, seen := d.marks[path]; !seen {
		d.marks[path] = Problem{Line: n.Line, Column: n.Column}
	}
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		d.wrong(n, path, "YAML tags are not read here", "leave the ! out")
		return
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		d.wrong(n, path, "has no value", "give one or leave the key out")
		return
	}
	switch into := v.Addr().Interface().(type) {
	case *time.Duration:
		d.duration(n, into, path)
	case *Secret:
		if text, ok := d.scalar(n, path, "${env:NAME} or file:PATH"); ok {
			into.Ref = text
		}
	case *LineAddress:
		if n.Kind == yaml.ScalarNode {
			into.Address = n.Value
			return
		}
		d.mapping(n, v, path)
	default:
		d.kind(n, v, path)
	}
}

func (d *labDecoder) kind(n *yaml.Node, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path)
	case reflect.Struct:
		d.mapping(n, v, path)
	case reflect.Map:
		d.pairs(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.String:
		if text, ok := d.scalar(n, path, "text"); ok {
			v.SetString(text)
		}
	case reflect.Int:
		if text, ok := d.scalar(n, path, "a whole number"); ok {
			i, err := strconv.ParseInt(text, 10, 32)
			if err != nil {
				d.wrong(n, path, fmt.Sprintf("%s is not a whole number", quote(text)), "")
			}
			v.SetInt(i)
		}
	case reflect.Bool:
		if text, ok := d.scalar(n, path, "true or false"); ok {
			b := text == "true"
			if !b && text != "false" {
				d.wrong(n, path, fmt.Sprintf("%s is neither true nor false", quote(text)), "")
			}
			v.SetBool(b)
		}
	}
}

// scalar gives a plain value as it is written: 07 stays 07 and 3.50 stays 3.50.
func (d *labDecoder) scalar(n *yaml.Node, path, want string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, fmt.Sprintf("must be %s, not %s", want, kindName(n)), "")
		return "", false
	}
	return n.Value, true
}

func (d *labDecoder) duration(n *yaml.Node, into *time.Duration, path string) {
	text, ok := d.scalar(n, path, "a duration")
	if !ok {
		return
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		hint := "write 100ms, 8s, 15m or 2h"
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			hint = fmt.Sprintf("write %ss if seconds are meant", text)
		}
		d.wrong(n, path, fmt.Sprintf("%s is not a duration", quote(text)), hint)
	}
	*into = parsed
}

func (d *labDecoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, "must be a list, not "+kindName(n), "start each entry with a dash")
		return
	}
	for i, item := range n.Content {
		if d.values > maxLabValues {
			return
		}
		v.Grow(1)
		v.SetLen(i + 1)
		d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

// kindName says what a node is, for messages.
func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a group of keys"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		return "a single value"
	}
	return "an alias"
}

// quote shows a value from the file, escaped and cut short.
func quote(s string) string {
	if len(s) > 60 {
		return strconv.QuoteToASCII(strings.ToValidUTF8(s[:60], "")) + "..."
	}
	return strconv.QuoteToASCII(s)
}
