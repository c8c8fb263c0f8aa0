package farm

import (
	"fmt"
	"strings"
)

// Problem is one mistake in a configuration file.
type Problem struct {
	// Line and Column count from 1; 0 means the file as a whole.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Path is the place in the document, such as "boards[2].lines.reset".
	Path string `json:"path,omitempty"`
	// Text says what is wrong. It never holds a secret's value.
	Text string `json:"text"`
	// Hint says what would be right.
	Hint string `json:"hint,omitempty"`
}

// ConfigError is everything that is wrong with a configuration file.
type ConfigError struct {
	File     string    `json:"file"`
	Problems []Problem `json:"problems"`
}

// Error gives one line per problem in the form file:line:column: text.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = e.File + p.String()
	}
	return strings.Join(lines, "\n")
}

// String gives ":line:column: path: text; hint", leaving out what is empty.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Text)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}
