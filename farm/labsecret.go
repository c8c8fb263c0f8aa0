package farm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecretBytes bounds the file that a secret is read from.
const maxSecretBytes = 4 << 10

// Secret is a value that a lab file refers to and never holds. However it is
// printed or encoded, only the reference shows.
type Secret struct {
	// Ref is ${env:NAME} or file:PATH; empty means that there is none.
	Ref   string
	value string
}

// NewSecret gives a secret with its value, for a lab that has no file.
func NewSecret(ref, value string) Secret { return Secret{Ref: ref, value: value} }

// Reveal gives the value itself, empty when there is none.
func (s Secret) Reveal() string { return s.value }

// IsZero is true when nothing is referred to.
func (s Secret) IsZero() bool { return s.Ref == "" && s.value == "" }

// String gives the reference.
func (s Secret) String() string {
	if s.Ref == "" && s.value != "" {
		return "[redacted]"
	}
	return s.Ref
}

// GoString gives the reference, so that %#v shows no value.
func (s Secret) GoString() string { return s.String() }

// Format gives the reference for every verb.
func (s Secret) Format(state fmt.State, _ rune) { io.WriteString(state, s.String()) }

// MarshalText gives the reference.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML gives the reference.
func (s Secret) MarshalYAML() (any, error) { return s.Ref, nil }

// resolve reads the value that the reference names. Its errors never hold it.
// A nil lookup leaves the value out and only checks the reference's form.
func (s *Secret) resolve(lookup func(string) (string, bool), file func(string) string) error {
	name, isEnv := envName(s.Ref)
	path, isFile := strings.CutPrefix(s.Ref, "file:")
	switch {
	case isEnv && !validEnv(name):
		return errors.New("the name in ${env:NAME} is no name of a variable")
	case isFile && path == "":
		return errors.New("file: without a path")
	case !isEnv && !isFile:
		return errors.New("a secret is never written into the lab file")
	case lookup == nil:
		return nil
	case isEnv:
		value, ok := lookup(name)
		if !ok {
			return fmt.Errorf("the environment has no %s", name)
		}
		if value == "" {
			return fmt.Errorf("%s is empty in the environment", name)
		}
		s.value = value
		return nil
	}
	value, err := readSecret(file(path))
	s.value = value
	return err
}

// readSecret gives the first line of a file that only its owner and group can
// read.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not an ordinary file", path)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return "", fmt.Errorf("%s is open to everybody (mode %04o): chmod 600 it", path, mode)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSecretBytes {
		return "", fmt.Errorf("%s is longer than %d bytes", path, maxSecretBytes)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("%s begins with an empty line", path)
	}
	return line, nil
}

// envName gives NAME of a value that is ${env:NAME} and nothing else.
func envName(s string) (string, bool) {
	rest, ok := strings.CutPrefix(s, "${env:")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "}")
}

func validEnv(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != "" && len(name) <= 128
}
