package reports

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ErrNoRun means that no run fits what was asked for.
var ErrNoRun = errors.New("no such run")

// ErrAmbiguous means that more than one run fits.
var ErrAmbiguous = errors.New("more than one run fits")

// latestLink is a symbolic link to the newest finished run, for people and
// scripts; the program itself never follows it.
const latestLink = "latest"

// runName is the form of NewRunID: nothing else in a store is a run.
var runName = regexp.MustCompile(`^\d{8}-\d{6}\.\d{3}-[0-9a-f]{4}$`)

// NewRunID names a run that begins now, such as "20260802-071502.118-4f3a":
// ids sort by time (UTC), and the end is a short handle that comes from the
// seed and the time.
func NewRunID(now time.Time, seed uint64) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], seed)
	binary.BigEndian.PutUint64(b[8:], uint64(now.UnixNano()))
	sum := sha256.Sum256(b[:])
	return fmt.Sprintf("%s-%x", now.UTC().Format("20060102-150405.000"), sum[:2])
}

// Store is a folder of runs, one folder each. Nothing below it is reached
// through a name that leads out of it. It is safe for concurrent use.
type Store struct {
	dir  string
	root *os.Root
}

// OpenStore opens the store at dir and makes the folder if need be.
func OpenStore(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("runs folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("runs folder: %w", err)
	}
	return &Store{dir: dir, root: root}, nil
}

// Dir is the folder as it was given to OpenStore.
func (s *Store) Dir() string { return s.dir }

// Close frees the folder; folders of runs stay open.
func (s *Store) Close() error { return s.root.Close() }

// Create makes the folder of a new run. An id that is taken or that is not of
// the form of NewRunID is an error.
func (s *Store) Create(id string) (*Folder, error) {
	if !runName.MatchString(id) {
		return nil, fmt.Errorf("run id %q: want the form 20060102-150405.000-4f3a", id)
	}
	if err := s.root.Mkdir(id, 0o755); err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	return s.open(id)
}

// IDs lists the runs, newest first.
func (s *Store) IDs() ([]string, error) {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("runs folder %s: %w", s.dir, err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && runName.MatchString(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, nil
}

// Latest opens the newest run that has a report.json.
func (s *Store) Latest() (*Folder, error) {
	ids, err := s.IDs()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if _, err := s.root.Stat(id + "/" + ReportFile); err == nil {
			return s.open(id)
		}
	}
	return nil, fmt.Errorf("%w: %s holds no finished run; start one with hil-runner run", ErrNoRun, s.dir)
}

// Find opens the run whose id is, begins with or ends in name; "" and
// "latest" mean Latest. Errors are ErrNoRun, with the nearest id, and
// ErrAmbiguous, with the runs that fit.
func (s *Store) Find(name string) (*Folder, error) {
	if name == "" || name == latestLink {
		return s.Latest()
	}
	ids, err := s.IDs()
	if err != nil {
		return nil, err
	}
	var fit []string
	for _, id := range ids {
		if id == name {
			return s.open(id)
		}
		if strings.HasPrefix(id, name) || strings.HasSuffix(id, "-"+name) {
			fit = append(fit, id)
		}
	}
	switch {
	case len(fit) == 1:
		return s.open(fit[0])
	case len(fit) > 1:
		return nil, fmt.Errorf("%w %q: %s", ErrAmbiguous, VisibleLine(name), strings.Join(fit[:min(len(fit), 5)], ", "))
	}
	if near := nearest(name, ids); near != "" {
		return nil, fmt.Errorf("%w: %q in %s; did you mean %s?", ErrNoRun, VisibleLine(name), s.dir, near)
	}
	return nil, fmt.Errorf("%w: %q in %s", ErrNoRun, VisibleLine(name), s.dir)
}

func (s *Store) open(id string) (*Folder, error) {
	root, err := s.root.OpenRoot(id)
	if err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	return &Folder{id: id, path: filepath.Join(s.dir, id), root: root, store: s}, nil
}

// pointLatest makes the link follow id. The link is a convenience: a file
// system without links loses nothing else.
func (s *Store) pointLatest(id string) {
	tmp := "." + latestLink + "-" + id
	if s.root.Symlink(id, tmp) == nil && s.root.Rename(tmp, latestLink) != nil {
		_ = s.root.Remove(tmp)
	}
}

// nearest is the id that name was most likely meant to be: the whole id or
// its handle with few letters wrong. Empty when nothing comes close.
func nearest(name string, ids []string) string {
	best, at := "", 4
	for _, id := range ids {
		handle := id[strings.LastIndexByte(id, '-')+1:]
		for _, want := range []string{id, id[:min(len(id), len(name))], handle} {
			limit := min(at, 1+len(want)/3)
			if d := distance(name, want, limit); d < limit {
				best, at = id, d
			}
		}
	}
	return best
}

// distance is the edit distance of a and b, or limit if it is not below it.
func distance(a, b string, limit int) int {
	if len(a) > len(b)+limit || len(b) > len(a)+limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return min(row[len(b)], limit)
}
