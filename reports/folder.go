package reports

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Names of the files in a run's folder.
const (
	ReportFile = "report.json"
	JUnitFile  = "junit.xml"
	PageFile   = "report.html"
	boardsDir  = "boards"
	logName    = "serial.log"
	logPage    = "serial.html"
)

// Folder is the folder of one run: report.json, junit.xml, report.html and
// boards/<board>/serial.log with its page serial.html. One writer at a time;
// readers see each file whole, before or after a write.
type Folder struct {
	id    string
	path  string
	root  *os.Root
	store *Store // nil for a folder that was opened by itself
}

// OpenFolder opens a run's folder by its path, wherever it lies.
func OpenFolder(dir string) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	return &Folder{id: filepath.Base(dir), path: dir, root: root}, nil
}

// LoadRun reads the report.json of the run folder dir strictly.
func LoadRun(dir string) (*Run, error) {
	f, err := OpenFolder(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Load()
}

// ID is the run's id.
func (f *Folder) ID() string { return f.id }

// Path is where the folder is, for people.
func (f *Folder) Path() string { return f.path }

// Close frees the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Load reads report.json strictly.
func (f *Folder) Load() (*Run, error) {
	file, err := f.root.Open(ReportFile)
	if err != nil {
		return nil, fmt.Errorf("run %s has no report: %w", f.id, err)
	}
	defer file.Close()
	run, err := DecodeRun(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(f.path, ReportFile), err)
	}
	return run, nil
}

// Save writes report.json, junit.xml, the page of every serial log and
// report.html, in this order, each whole or not at all. It goes on after an
// error, so that a run has as much of its report as the disk takes, and joins
// the errors. redact, which may be nil, takes secrets out of a string; PEM
// private keys go in any case.
func (f *Folder) Save(run *Run, redact func(string) string) error {
	clean := mapStrings(run, func(s string) string {
		if redact != nil {
			s = redact(s)
		}
		return redactKeys(s)
	})
	err := errors.Join(
		f.replace(ReportFile, func(w io.Writer) error { return EncodeRun(w, clean) }),
		f.replace(JUnitFile, func(w io.Writer) error { return EncodeJUnit(w, clean) }),
	)
	p := newPage(clean)
	for i := range clean.Boards {
		err = errors.Join(err, f.saveLogPage(p, i))
	}
	err = errors.Join(err, f.replace(PageFile, p.write))
	if err == nil && f.store != nil {
		f.store.pointLatest(f.id)
	}
	return err
}

// saveLogPage renders the serial.log of board i of the page, if there is one.
func (f *Folder) saveLogPage(p *page, i int) error {
	b := &p.run.Boards[i]
	name, ok := logPath(b)
	if !ok {
		return nil
	}
	log, err := f.root.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("serial log of board %s: %w", VisibleLine(b.Board), err)
	}
	defer log.Close()
	marks := p.marks(i)
	var lines logLines
	err = f.replace(path.Join(path.Dir(name), logPage), func(w io.Writer) error {
		lines, err = renderLogPage(w, log, p.run, b, marks)
		return err
	})
	if err != nil {
		return err
	}
	p.logs[i] = lines
	return nil
}

// CreateLog begins the serial.log of a board and gives its path relative to
// the folder, for BoardRun.SerialLog. The file has its name at Commit.
func (f *Folder) CreateLog(board string) (*Draft, string, error) {
	name := path.Join(boardsDir, FileName(board), logName)
	d, err := f.draft(name)
	return d, name, err
}

// LogLines reads the lines from..to (from 1, both included) of a board's
// serial.log, as far as they exist and at most 4 KiB of each, made Visible.
func (f *Folder) LogLines(b *BoardRun, from, to int) ([]string, error) {
	name, ok := logPath(b)
	if !ok {
		return nil, fmt.Errorf("board %s has no serial log", VisibleLine(b.Board))
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("serial log of board %s: %w", VisibleLine(b.Board), err)
	}
	defer file.Close()
	var lines []string
	err = eachLine(file, func(n int, text string) bool {
		if n >= from && n <= to {
			lines = append(lines, text)
		}
		return n < to
	})
	return lines, err
}

// replace writes the file name by way of a draft.
func (f *Folder) replace(name string, write func(io.Writer) error) error {
	d, err := f.draft(name)
	if err != nil {
		return err
	}
	if err := write(d); err != nil {
		d.Discard()
		return err
	}
	return d.Commit()
}

func (f *Folder) draft(name string) (*Draft, error) {
	if dir := path.Dir(name); dir != "." {
		if err := f.root.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(f.path, dir), err)
		}
	}
	tmp := path.Join(path.Dir(name), "."+path.Base(name)+".part")
	if err := f.root.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", filepath.Join(f.path, tmp), err)
	}
	file, err := f.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(f.path, name), err)
	}
	return &Draft{folder: f, file: file, tmp: tmp, name: name}, nil
}

// FileName is id where it can be the name of a file on any system, else a
// readable form with a hash of id, so that two ids never share a name.
func FileName(id string) string {
	var b bytes.Buffer
	for _, r := range id {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_',
			r == '.' && b.Len() > 0:
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
		if b.Len() == 48 {
			break
		}
	}
	name := strings.TrimRight(b.String(), ".")
	if name == id && name != "" && !deviceName(name) {
		return name
	}
	return fmt.Sprintf("%s-%x", name, sha256.Sum256([]byte(id)))[:len(name)+1+8]
}

// deviceName says whether Windows gives name to a device, whatever follows a
// dot: a report may be copied there.
func deviceName(name string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch base {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(base) == 4 && (strings.HasPrefix(base, "COM") || strings.HasPrefix(base, "LPT"))
}

// logPath is the board's serial log relative to the run's folder, where the
// report says that there is one. A path of another form is not believed.
func logPath(b *BoardRun) (string, bool) {
	want := path.Join(boardsDir, FileName(b.Board), logName)
	return want, b.SerialLog == want
}
