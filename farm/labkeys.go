package farm

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// mapping puts a group of keys into a struct. Every key must be one of the
// struct's own.
func (d *labDecoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "must be a group of keys, not "+kindName(n), "")
		return
	}
	fields := make(map[string]int)
	var known []string
	for i := range v.NumField() {
		if name := yamlName(v.Type().Field(i)); name != "" {
			fields[name] = i
			known = append(known, name)
		}
	}
	d.eachKey(n, path, func(key, value *yaml.Node) {
		i, ok := fields[key.Value]
		if !ok {
			d.unknownKey(key, path, known)
			return
		}
		d.value(value, v.Field(i), join(path, key.Value))
	})
}

// pairs puts a group of keys into a map of text.
func (d *labDecoder) pairs(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "must be a group of key: value pairs, not "+kindName(n), "")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	d.eachKey(n, path, func(key, value *yaml.Node) {
		if !validTag(key.Value) {
			d.add(key, path, fmt.Sprintf("%s is no name for a tag", quote(key.Value)), "use letters, digits, dot, dash and underscore")
			return
		}
		text := reflect.New(v.Type().Elem()).Elem()
		d.value(value, text, join(path, key.Value))
		v.SetMapIndex(reflect.ValueOf(key.Value), text)
	})
}

// eachKey visits the keys of a group once each, and notes what is no key.
func (d *labDecoder) eachKey(n *yaml.Node, path string, visit func(key, value *yaml.Node)) {
	first := make(map[string]int)
	for i := 0; i+1 < len(n.Content) && d.values <= maxLabValues; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch line, twice := first[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			d.add(key, path, "a key must be a single word", "")
		case key.Value == "<<" && key.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0:
			d.wrong(key, path, "merge keys are not read here", "put what boards share under defaults")
		case twice:
			d.add(key, path, fmt.Sprintf("key %s is given twice", quote(key.Value)), fmt.Sprintf("the first one is on line %d", line))
		default:
			first[key.Value] = key.Line
			visit(key, value)
		}
	}
}

func (d *labDecoder) unknownKey(key *yaml.Node, path string, known []string) {
	hint := didYouMean(key.Value, known)
	if hint == "" {
		hint = "known here: " + strings.Join(known, ", ")
	}
	d.add(key, path, "unknown key "+quote(key.Value), hint)
}

// yamlName is the key of a struct's field, empty for one without.
func yamlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
