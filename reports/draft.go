package reports

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
)

// Draft is a file of a run that gets its name when it is whole: at Commit it
// is synced and takes the place of an older one in one step.
type Draft struct {
	folder *Folder
	file   *os.File
	tmp    string
	name   string
}

// Write appends p.
func (d *Draft) Write(p []byte) (int, error) { return d.file.Write(p) }

// Commit makes the file durable under its name. On an error the older file
// stays as it was and the draft is gone.
func (d *Draft) Commit() error {
	err := errors.Join(d.file.Sync(), d.file.Close())
	if err == nil {
		err = d.folder.root.Rename(d.tmp, d.name)
	}
	if err != nil {
		_ = d.folder.root.Remove(d.tmp)
		return fmt.Errorf("%s: %w", filepath.Join(d.folder.path, d.name), err)
	}
	// The new name is durable only with its folder. A file system that
	// cannot sync folders has kept all it promises.
	if dir, err := d.folder.root.Open(path.Dir(d.name)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

// Discard drops the draft. After Commit it does nothing.
func (d *Draft) Discard() {
	if d.file.Close() == nil {
		_ = d.folder.root.Remove(d.tmp)
	}
}
