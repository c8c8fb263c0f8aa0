package firmware

import (
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v4"
)

const (
	maxManifest = 1 << 20
	maxReleases = 4096
)

// Problem is one thing that is wrong in a manifest. Line and Column count
// from 1.
type Problem struct {
	Line, Column int
	Text         string
}

// ManifestError holds all problems of a manifest, in the order of its lines.
type ManifestError struct {
	Path     string // empty when the manifest was not read from a file
	Problems []Problem
}

// Error gives one line per problem.
func (e *ManifestError) Error() string {
	var b strings.Builder
	path := e.Path
	if path == "" {
		path = ManifestName
	}
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s", path, p.Line, p.Column, p.Text)
	}
	return b.String()
}

// ParseManifest reads a manifest. It is strict: unknown and repeated keys,
// anchors and aliases are problems. Either there are no problems, or all of
// them come back in one *ManifestError.
//
//	releases:
//	  - release: 3.5.3
//	    build: 170111-665d284-SPWF01S
//	    level: 3.5.3
//	    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	    model: SPWF01SA
//	    address: 0x08002800
//	    method: uart
//	    file: SPWF01S-170111-665d284-RELEASE-main.bin
func ParseManifest(data []byte) ([]Entry, error) {
	if len(data) > maxManifest {
		return nil, fmt.Errorf("%w: a manifest of %d bytes, at most %d", ErrTooBig, len(data), maxManifest)
	}
	var doc yaml.Node
	if err := yaml.Load(data, &doc); err != nil {
		return nil, &ManifestError{Problems: syntaxProblems(data, err)}
	}
	w := &manifestWalk{}
	entries := w.document(&doc)
	if len(w.problems) > 0 {
		w.sort()
		return nil, &ManifestError{Problems: w.problems}
	}
	return entries, nil
}

// SaveManifest writes the entries that have a file as the manifest of dir,
// atomically. It refuses entries that ParseManifest would refuse.
func SaveManifest(dir string, entries []Entry) error {
	var doc struct{ Releases []map[string]string }
	doc.Releases = []map[string]string{}
	for _, e := range entries {
		if e.Virtual {
			continue
		}
		m := map[string]string{"release": e.Release, "build": e.Build, "level": e.Level, "sha256": e.SHA256,
			"model": e.Model, "method": string(e.Method), "file": e.File}
		if e.Method != OTA {
			m["address"] = fmt.Sprintf("0x%08X", e.Address)
		}
		doc.Releases = append(doc.Releases, m)
	}
	data, err := yaml.Dump(&doc)
	if err != nil {
		return fmt.Errorf("write %s: %w", ManifestName, err)
	}
	if _, err := ParseManifest(data); err != nil {
		return fmt.Errorf("refuse to write a wrong %s: %w", ManifestName, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("firmware catalogue: %w", err)
	}
	defer root.Close()
	return writeAtomic(root, ManifestName, data)
}
