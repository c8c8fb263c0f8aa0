package farm

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/invopop/jsonschema"
)

// Schema gives the JSON schema of the lab file for editors. It comes from the
// structs that the file is read into, so that the two cannot differ.
func Schema() []byte {
	r := jsonschema.Reflector{
		Anonymous:      true,
		ExpandedStruct: true,
		FieldNameTag:   "yaml",
		Mapper:         schemaOf,
		LookupComment:  describe,
	}
	s := r.Reflect(&LabFile{})
	s.Title = "hil-runner lab file"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		// A schema is made of this package's own types and plain values.
		panic(err)
	}
	return append(text, '\n')
}

// schemaOf maps the types whose written form is not that of their Go kind.
func schemaOf(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^[+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))*$|^0$`}
	case reflect.TypeFor[Secret]():
		return &jsonschema.Schema{Type: "string", Pattern: `^(\$\{env:[A-Za-z_][A-Za-z0-9_]*\}|file:.+)$`}
	case reflect.TypeFor[Idle]():
		return &jsonschema.Schema{Type: "string", Enum: []any{IdleRunning, IdleHeld, IdleOff}}
	case reflect.TypeFor[map[string]string]():
		return &jsonschema.Schema{Type: "object", AdditionalProperties: &jsonschema.Schema{
			OneOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}},
		}}
	case reflect.TypeFor[LineAddress]():
		type long LineAddress
		r := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, DoNotReference: true, FieldNameTag: "yaml", LookupComment: describe}
		object := r.Reflect(&long{})
		object.Version = ""
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, object}}
	}
	return nil
}

// describe gives the description of a field, which stands in its doc tag.
func describe(t reflect.Type, field string) string {
	if t.Kind() != reflect.Struct {
		return ""
	}
	f, _ := t.FieldByName(field)
	return f.Tag.Get("doc")
}
