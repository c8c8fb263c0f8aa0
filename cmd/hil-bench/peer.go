package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"hil-runner/farm/virtlab"
	"hil-runner/farm/virtlab/chip"
	"hil-runner/firmware"
)

// peer is Debian's stm32flash on the same virtual boards. It is told -m 8n1,
// because a pseudo terminal keeps no parity and it insists on reading back
// what it set; the virtual line counts eleven bits a byte all the same.
type peer struct {
	path string

	mu      sync.Mutex
	version string // its name and version, once it has run
}

// name is what the tables call it.
func (p *peer) name() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.version
}

// learn takes the version from the first line of its output.
func (p *peer) learn(out []byte) {
	first, _, _ := strings.Cut(string(out), "\n")
	if fields := strings.Fields(first); len(fields) == 2 && fields[0] == "stm32flash" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.version = strings.Join(fields, " ")
	}
}

// findPeer finds stm32flash.
func findPeer() (*peer, error) {
	path, err := exec.LookPath("stm32flash")
	if err != nil {
		return nil, fmt.Errorf("the peer is not installed (Debian package stm32flash): %w", err)
	}
	return &peer{path: path, version: "stm32flash"}, nil
}

// write erases, writes and verifies an image, byte for byte proved.
func (p *peer) write(ctx context.Context, s *station, b *virtlab.Board, img firmware.Image) (flashing, error) {
	file := filepath.Join(s.dir, b.ID+"-peer.bin")
	if err := os.WriteFile(file, img.Data, 0o600); err != nil {
		return flashing{}, err
	}
	return p.run(ctx, s, b, img, "-w", file, "-v")
}

// read reads as many bytes as the image has, from where it lies.
func (p *peer) read(ctx context.Context, s *station, b *virtlab.Board, img firmware.Image) ([]byte, error) {
	file := filepath.Join(s.dir, b.ID+"-back.bin")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if _, err := p.run(ctx, s, b, img, "-r", file); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// run starts the boot ROM by the pins, runs the peer, and starts the module.
func (p *peer) run(ctx context.Context, s *station, b *virtlab.Board, img firmware.Image, what ...string) (f flashing, err error) {
	if err := restart(b, virtlab.High); err != nil {
		return f, err
	}
	before, err := b.Stats()
	if err != nil {
		return f, err
	}
	area := fmt.Sprintf("0x%08x:%d", img.Address, len(img.Data))
	args := append([]string{"-m", "8n1", "-b", strconv.Itoa(s.baud), "-S", area}, append(what, b.UARTPath)...)
	start := time.Now()
	out, err := exec.CommandContext(ctx, p.path, args...).CombinedOutput()
	f.wall = time.Since(start)
	f.line = f.wall // nobody tells when its first answer came
	if err != nil {
		return f, fmt.Errorf("stm32flash %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	p.learn(out)
	after, err := b.Stats()
	if err != nil {
		return f, err
	}
	f.rom = after.ROM.Since(before.ROM)
	return f, restart(b, virtlab.Low)
}

// restart pulses reset with BOOT0 at a level.
func restart(b *virtlab.Board, boot0 virtlab.Level) error {
	return errors.Join(b.SetLine(virtlab.LineBoot0, boot0),
		b.SetLine(virtlab.LineReset, virtlab.Low), b.SetLine(virtlab.LineReset, virtlab.Float))
}

// holds proves that a board has the image, by looking into its flash.
func holds(b *virtlab.Board, img firmware.Image) error {
	var equal bool
	err := b.Flash(func(flash *chip.Flash) {
		equal = bytes.Equal(flash.View(img.Address, len(img.Data)), img.Data)
	})
	if err == nil && !equal {
		err = fmt.Errorf("board %s does not hold the %d bytes that were flashed", b.ID, len(img.Data))
	}
	return err
}
