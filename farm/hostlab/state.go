package hostlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"hil-runner/farm"
)

// presence marks a board as in use by this process. The mark stays behind when
// the process is killed and tells the next owner that nobody parked the board.
type presence struct {
	path   string
	leftBy string
}

func openPresence(stateDir, board string) (*presence, error) {
	p := &presence{path: filepath.Join(stateDir, "open", fileName(board))}
	if err := os.MkdirAll(filepath.Dir(p.path), 0o700); err != nil {
		return nil, stateError(err)
	}
	if raw, err := os.ReadFile(p.path); err == nil {
		p.leftBy = strings.TrimSpace(string(raw))
	}
	mark := fmt.Sprintf("pid %d of %s\n", os.Getpid(), farm.Owner())
	if err := writeDurably(p.path, mark); err != nil {
		return nil, stateError(err)
	}
	return p, nil
}

func (p *presence) close() error {
	if err := os.Remove(p.path); err != nil {
		return stateError(err)
	}
	return nil
}

// writeDurably replaces a file so that it holds either the old or the new text.
func writeDurably(path, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// fileName makes any board id a single safe file name; ids of a lab file are
// already plain, those of elsewhere are not trusted to be.
func fileName(id string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, id)
	if plain == id && id != "" {
		return id
	}
	return fmt.Sprintf("%s-%x", plain[:min(len(plain), 40)], id[:min(len(id), 40)])
}

// stateError is a state folder that does not do its work.
func stateError(err error) error {
	return &farm.InfraError{Code: "state", Detail: "keep the board's state on this host", Err: err}
}
