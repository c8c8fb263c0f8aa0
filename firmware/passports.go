package firmware

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	maxPassport    = 64 << 10
	maxKey         = 64
	passportSuffix = ".json"
)

// Passports is the folder that holds a file per module. It is safe for
// concurrent use within one process.
type Passports struct {
	root *os.Root
	mu   sync.Mutex
}

// OpenPassports opens the folder and makes it if it is not there.
func OpenPassports(dir string) (*Passports, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("passports: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("passports: %w", err)
	}
	return &Passports{root: root}, nil
}

// Close gives the folder back.
func (s *Passports) Close() error { return s.root.Close() }

// Load gives the passport of a module, an empty one for a module that has
// none. A file that cannot be read as a passport is an error together with a
// void passport that may be used: what it says is lost, flashing is not.
func (s *Passports) Load(key string) (*Passport, error) {
	p := &Passport{Key: key, store: s}
	name, err := passportFile(key)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := readInRoot(s.root, name, maxPassport)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(data, p)
	}
	if err == nil && p.Key != key {
		err = fmt.Errorf("it belongs to %.80q", p.Key)
	}
	if err != nil {
		err = fmt.Errorf("passport of %s: %w", key, err)
		return &Passport{Key: key, store: s, Void: &Voided{Reason: err.Error(), When: time.Now().UTC()}}, err
	}
	return p, nil
}

// Save writes a passport atomically; it is durable when Save returns.
func (s *Passports) Save(p *Passport) error {
	name, err := passportFile(p.Key)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("passport of %s: %w", p.Key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := writeAtomic(s.root, name, append(data, '\n')); err != nil {
		return fmt.Errorf("passport of %s: %w", p.Key, err)
	}
	return nil
}

// Void marks what is in a module's flash as unknown, as after a boot into the
// boot ROM that was not ours. The first reason is kept.
func (s *Passports) Void(key, reason string) error {
	p, err := s.Load(key)
	if p == nil {
		return err
	}
	if p.Void == nil {
		p.Void = &Voided{Reason: reason, When: time.Now().UTC()}
	}
	return s.Save(p)
}

// passportFile gives a file name to a key; colons of a MAC address become
// dashes, and what could mean something to a file system is refused.
func passportFile(key string) (string, error) {
	if key == "" || len(key) > maxKey || key[0] == '.' {
		return "", fmt.Errorf("passport: %.80q is no key: want 1 to %d letters, digits, dots, dashes, underscores or colons", key, maxKey)
	}
	for _, r := range key {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("._-:", r):
		default:
			return "", fmt.Errorf("passport: %.80q is no key: %q is not allowed in it", key, r)
		}
	}
	return strings.ReplaceAll(key, ":", "-") + passportSuffix, nil
}
