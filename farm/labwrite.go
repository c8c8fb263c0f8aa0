package farm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v4"
)

// MarshalYAML gives the short form of an address that has no polarity of its
// own.
func (a LineAddress) MarshalYAML() (any, error) {
	if a.ActiveLow == nil {
		return a.Address, nil
	}
	type long LineAddress
	return long(a), nil
}

// EncodeLab gives the text of a lab file that LoadLab reads back as f.
func EncodeLab(f *LabFile) ([]byte, error) {
	text, err := yaml.Dump(f, yaml.WithIndent(2))
	if err != nil {
		return nil, fmt.Errorf("lab file: %w", err)
	}
	return text, nil
}

// WriteLab writes a lab file at once or not at all. What LoadLab would refuse
// is not written.
func WriteLab(path string, f *LabFile) error {
	text, err := EncodeLab(f)
	if err != nil {
		return err
	}
	if _, err := ParseLab(path, text, nil); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".lab-*")
	if err != nil {
		return fmt.Errorf("lab file %s: %w", path, err)
	}
	_, err = temp.Write(text)
	err = errors.Join(err, temp.Chmod(0o644), temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("lab file %s: %w", path, err), os.Remove(temp.Name()))
	}
	return nil
}
