package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hil-runner/farm"
	"hil-runner/farm/virtlab/image"
	"hil-runner/firmware"
)

// chosenImage is the firmware of a call, read and checked once: what was
// verified is what every board gets. The zero value flashes nothing.
type chosenImage struct {
	image *firmware.Image
	// release is its label in the catalogue, or file the path it came from.
	release, file string
}

// label is what was asked to be flashed, as reports show it.
func (c chosenImage) label() string {
	if c.file != "" {
		return filepath.Base(c.file)
	}
	return c.release
}

// request asks a bench for the image.
func (c chosenImage) request(allowUnsigned, trustPassport bool) farm.FlashRequest {
	return farm.FlashRequest{Release: c.release, File: c.file, AllowUnsigned: allowUnsigned, TrustPassport: trustPassport}
}

// suits refuses what must never get onto a board: virtual firmware is no
// program for a real module.
func (c chosenImage) suits(boards []farm.Board) error {
	if c.image == nil || !c.image.Virtual {
		return nil
	}
	for _, b := range boards {
		if !b.Virtual {
			return &farm.UsageError{
				Text: fmt.Sprintf("release %s is virtual firmware and board %s is a real module", c.release, b.ID),
				Hint: "name a folder of real images as firmware.catalogue in the lab file, or give an image file"}
		}
	}
	return nil
}

// chooseImage finds and checks what is to be flashed: a release of the
// lab's catalogue, or else the path of a file.
func (l *lab) chooseImage(name string, allowUnsigned bool) (chosenImage, error) {
	if looksLikePath(name) {
		return l.imageFile(name, allowUnsigned)
	}
	c, err := l.catalogue(allowUnsigned)
	if err != nil {
		return chosenImage{}, err
	}
	img, err := c.Image(name)
	switch {
	case err == nil:
		return chosenImage{image: &img, release: name}, nil
	case !errors.Is(err, firmware.ErrUnknownRelease):
		return chosenImage{}, &farm.UsageError{Text: err.Error()}
	}
	if info, statErr := os.Stat(name); statErr == nil && info.Mode().IsRegular() {
		return l.imageFile(name, allowUnsigned)
	}
	var known []string
	for _, e := range c.Entries() {
		known = append(known, e.Release)
	}
	return chosenImage{}, unknownName("release", name, known)
}

// looksLikePath tells a path from the label of a release.
func looksLikePath(name string) bool {
	return strings.ContainsRune(name, filepath.Separator) ||
		slices.Contains([]string{".bin", ".hex", ".ihex", ".elf"}, strings.ToLower(filepath.Ext(name)))
}

func (l *lab) imageFile(name string, allowUnsigned bool) (chosenImage, error) {
	img, err := firmware.ReadFile(name, firmware.Entry{}, firmware.Trust{Keys: l.keys, AllowUnsigned: allowUnsigned})
	if err != nil {
		hint := ""
		if errors.Is(err, firmware.ErrUnsigned) {
			hint = "sign it with a key that the lab file names, or say --allow-unsigned"
		}
		return chosenImage{}, &farm.UsageError{Text: err.Error(), Hint: hint}
	}
	return chosenImage{image: &img, file: name}, nil
}

// catalogue gives the firmware that may be flashed: the lab file's folder, or
// the built-in virtual images.
func (l *lab) catalogue(allowUnsigned bool) (*firmware.Catalogue, error) {
	if l.folder != "" {
		c, err := firmware.LoadCatalogue(l.folder, firmware.Trust{Keys: l.keys, AllowUnsigned: allowUnsigned})
		if err != nil {
			return nil, &farm.UsageError{Text: err.Error()}
		}
		return c, nil
	}
	c := firmware.NewCatalogue()
	for _, p := range image.Releases() {
		data, err := image.Build(p)
		if err != nil {
			return nil, fmt.Errorf("virtual release %s: %w", p.Release(), err)
		}
		entry := firmware.Entry{Release: p.Release(), Build: p.Build(), Level: p.Level, Model: p.Chip,
			Address: image.Address, Method: firmware.UART, Virtual: true}
		if err := c.Add(entry, data); err != nil {
			return nil, fmt.Errorf("virtual release %s: %w", p.Release(), err)
		}
	}
	return c, nil
}
