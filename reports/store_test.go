package reports_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hil-runner/reports"
)

func TestRunIDsSort(t *testing.T) {
	at := sampleStart
	var ids []string
	for i := range 200 {
		ids = append(ids, reports.NewRunID(at, uint64(i)))
		at = at.Add(7 * time.Millisecond)
	}
	if !slices.IsSorted(ids) {
		t.Error("ids do not sort by time")
	}
	if a, b := reports.NewRunID(at, 1), reports.NewRunID(at, 2); a == b {
		t.Error("two seeds give one id")
	}
	if a, b := reports.NewRunID(at, 1), reports.NewRunID(at.UTC(), 1); a != b {
		t.Errorf("the time zone changes the id: %s, %s", a, b)
	}
}

func openStore(t *testing.T) (*reports.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "runs")
	store, err := reports.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store, dir
}

func addRun(t *testing.T, store *reports.Store, at time.Time, seed uint64) string {
	t.Helper()
	run := greenRun()
	run.Boards = run.Boards[:1]
	run.ID = reports.NewRunID(at, seed)
	folder, err := store.Create(run.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := folder.Save(run, nil); err != nil {
		t.Fatal(err)
	}
	return run.ID
}

func TestFind(t *testing.T) {
	store, dir := openStore(t)
	if _, err := store.Latest(); !errors.Is(err, reports.ErrNoRun) {
		t.Errorf("an empty store: %v, want ErrNoRun", err)
	}
	first := addRun(t, store, sampleStart, 1)
	second := addRun(t, store, sampleStart.Add(time.Hour), 2)
	unfinished := reports.NewRunID(sampleStart.Add(2*time.Hour), 3)
	f, err := store.Create(unfinished)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.MkdirAll(filepath.Join(dir, "notes"), 0o755); err != nil {
		t.Fatal(err)
	}
	ids, err := store.IDs()
	if err != nil || !slices.Equal(ids, []string{unfinished, second, first}) {
		t.Errorf("IDs %v, %v", ids, err)
	}
	for _, c := range []struct {
		name, want string
		err        error
		text       string
	}{
		{"", second, nil, ""},
		{"latest", second, nil, ""},
		{first, first, nil, ""},
		{first[:13], first, nil, ""},
		{first[len(first)-4:], first, nil, ""},
		{second[:11], second, nil, ""},
		{"20260802", "", reports.ErrAmbiguous, second},
		{"x" + first[1:], "", reports.ErrNoRun, "did you mean " + first},
		{first[:18] + "x" + first[19:], "", reports.ErrNoRun, "did you mean " + first},
		{"nothing like it", "", reports.ErrNoRun, ""},
		{"../../etc", "", reports.ErrNoRun, ""},
		{"notes", "", reports.ErrNoRun, ""},
	} {
		f, err := store.Find(c.name)
		if c.err != nil {
			if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("Find(%q): error %v, want %v with %q", c.name, err, c.err, c.text)
			}
			continue
		}
		if err != nil {
			t.Errorf("Find(%q): %v", c.name, err)
			continue
		}
		if f.ID() != c.want {
			t.Errorf("Find(%q) = %s, want %s", c.name, f.ID(), c.want)
		}
		if run, err := f.Load(); err != nil || run.ID != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
		f.Close()
	}
	if link, err := os.Readlink(filepath.Join(dir, "latest")); err != nil || link != second {
		t.Errorf("latest leads to %q, %v", link, err)
	}
	if run, err := reports.LoadRun(filepath.Join(dir, "latest")); err != nil || run.ID != second {
		t.Errorf("LoadRun: %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	store, _ := openStore(t)
	id := addRun(t, store, sampleStart, 1)
	for _, bad := range []string{id, "", ".", "..", "../x", "a/b", "latest", id + "/x", "/etc", "20260802"} {
		if f, err := store.Create(bad); err == nil {
			f.Close()
			t.Errorf("Create(%q) went through", bad)
		}
	}
}

// Whatever a board is called, its log stays inside the run's folder and two
// boards never share one.
func TestHostileBoardNames(t *testing.T) {
	store, dir := openStore(t)
	folder, err := store.Create(reports.NewRunID(sampleStart, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	names := []string{"b01", "rack-1.b_2", "", ".", "..", "...", "../../x", "/etc/passwd", "a/b", `a\b`, "CON", "con", "nul.txt", "COM1", "lpt9",
		"a\x00b", "a\nb", "ä", "a b", ".hidden", "-rf", "x.", "x..", strings.Repeat("x", 4096), strings.Repeat("y", 48), strings.Repeat("y", 49),
		"serial.log", "boards", "~", "$HOME", "\u202e", "\xff", "a:b", "a*?<>|\""}
	names = append(names, hostileTexts()...)
	for i := len(names); i < 500; i++ {
		names = append(names, strings.Repeat("../", i%40)+fmt.Sprintf("x%d\x00", i))
	}
	seen := make(map[string]string)
	for _, name := range names {
		log, path, err := folder.CreateLog(name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if other, ok := seen[path]; ok && other != name {
			t.Errorf("%q and %q share %s", name, other, path)
		}
		seen[path] = name
		if !filepath.IsLocal(path) || strings.Count(path, "/") != 2 || reports.VisibleLine(path) != path {
			t.Errorf("%q becomes %q", name, path)
		}
		if err := log.Commit(); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	inside := 0
	err = filepath.WalkDir(filepath.Dir(dir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			inside++
			if !strings.HasPrefix(path, folder.Path()+"/boards/") {
				t.Errorf("a file outside: %s", path)
			}
		}
		return err
	})
	if err != nil || inside != len(seen) {
		t.Errorf("%d files, want %d: %v", inside, len(seen), err)
	}
	if got := reports.FileName("b01"); got != "b01" {
		t.Errorf("a plain name becomes %q", got)
	}
}

// A link in a run's folder leads nothing out of it.
func TestFolderStaysInside(t *testing.T) {
	store, dir := openStore(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.MkdirAll(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "serial.log"), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := shortRun()
	folder, err := store.Create(run.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := os.Mkdir(filepath.Join(dir, run.ID, "boards"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, run.ID, "boards", "b02")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := folder.CreateLog("b02"); err == nil {
		t.Error("a log was begun outside the folder")
	}
	if _, err := folder.LogLines(&run.Boards[0], 1, 1); err == nil {
		t.Error("a log outside the folder was read")
	}
	run.Boards[0].SerialLog = "../../../etc/passwd"
	if _, err := folder.LogLines(&run.Boards[0], 1, 1); err == nil {
		t.Error("a path of the report was believed")
	}
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside holds %v, %v", entries, err)
	}
}

// A report that cannot be written whole leaves the older one and the other
// files, and says what is wrong.
func TestSaveGoesOn(t *testing.T) {
	store, _ := openStore(t)
	run := greenRun()
	folder, err := store.Create(run.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := os.MkdirAll(filepath.Join(folder.Path(), reports.JUnitFile, "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	err = folder.Save(run, nil)
	if err == nil || !strings.Contains(err.Error(), filepath.Join(folder.Path(), reports.JUnitFile)) {
		t.Errorf("error %v, want one that names junit.xml", err)
	}
	for _, name := range []string{reports.ReportFile, reports.PageFile} {
		if _, err := os.Stat(filepath.Join(folder.Path(), name)); err != nil {
			t.Error(err)
		}
	}
	parts, err := filepath.Glob(filepath.Join(folder.Path(), ".*.part"))
	if err != nil || len(parts) > 0 {
		t.Errorf("left over: %v, %v", parts, err)
	}
}

// A draft that is not committed changes nothing; a crashed one is no obstacle.
func TestDraft(t *testing.T) {
	store, _ := openStore(t)
	folder, err := store.Create(reports.NewRunID(sampleStart, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	write := func(text string, commit bool) {
		t.Helper()
		d, _, err := folder.CreateLog("b01")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if commit {
			if err := d.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		d.Discard()
	}
	path := filepath.Join(folder.Path(), "boards/b01/serial.log")
	write("torn", false)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a discarded draft has a name: %v", err)
	}
	write("first", true)
	if _, _, err := folder.CreateLog("b01"); err != nil { // begun and never ended, as by a crash
		t.Fatal(err)
	}
	write("torn", false)
	if data, err := os.ReadFile(path); err != nil || string(data) != "first" {
		t.Errorf("%q, %v", data, err)
	}
	write("second", true)
	if data, err := os.ReadFile(path); err != nil || string(data) != "second" {
		t.Errorf("%q, %v", data, err)
	}
}

// Secrets reach no file of a run.
func TestSaveRedacts(t *testing.T) {
	const psk = "correct horse battery"
	key := "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"
	store, _ := openStore(t)
	run := shortRun()
	r := result(run, 0, "tls/one_way/N03")
	r.Message = "joined with " + psk + "\n" + key + " and a -----BEGIN CERTIFICATE-----"
	run.Notes = []string{"cut: -----BEGIN PRIVATE KEY-----\nMIIEowIBAAKCAQEA"}
	folder, err := store.Create(run.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	redact := func(s string) string { return strings.ReplaceAll(s, psk, fmt.Sprintf("[redacted %d bytes]", len(psk))) }
	if err := folder.Save(run, redact); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{reports.ReportFile, reports.JUnitFile, reports.PageFile} {
		data, err := os.ReadFile(filepath.Join(folder.Path(), name))
		if err != nil {
			t.Fatal(err)
		}
		for _, canary := range []string{psk, "MIIEow", "RSA PRIVATE"} {
			if strings.Contains(string(data), canary) {
				t.Errorf("%s holds %q", name, canary)
			}
		}
		for _, want := range []string{"[redacted 21 bytes]", fmt.Sprintf("[redacted %d bytes]", len(key)), "BEGIN CERTIFICATE"} {
			if !strings.Contains(string(data), want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
	}
}
