package spwf

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// File is one file of the module's file system.
type File struct {
	// Kind is the letter of the listing: I internal, D in RAM, E external.
	Kind string
	Size int
	Name string
}

// CreateFile makes a file in RAM of at most size bytes (FSC). The name begins
// with a slash. A file of that name must be deleted first.
func (m *Module) CreateFile(ctx context.Context, name string, size int) error {
	if err := checkField("the file's name", name); err != nil {
		return err
	}
	_, err := m.Do(ctx, "AT+S.FSC="+name+","+strconv.Itoa(size))
	return err
}

// AppendFile adds bytes to a file in RAM (FSA).
func (m *Module) AppendFile(ctx context.Context, name string, p []byte) error {
	if err := checkField("the file's name", name); err != nil {
		return err
	}
	_, err := m.DoSized(ctx, "AT+S.FSA="+name, p, false)
	return err
}

// ReadFile prints a file (FSP). The console does not say where a file ends,
// so one that ends in a line "OK" and then pauses is cut there.
func (m *Module) ReadFile(ctx context.Context, name string) ([]byte, error) {
	if err := checkField("the file's name", name); err != nil {
		return nil, err
	}
	q := &request{command: "AT+S.FSP=" + name, limit: "command", within: m.opt.Limits.Command}
	f, err := m.content(ctx, q, false)
	if err != nil {
		return nil, err
	}
	if f.got.dropped > 0 {
		return nil, fmt.Errorf("%smore than %d bytes: read it in parts by FSP=name,offset,length: %w", where(m.opt.Board, q.command), maxReply, ErrReply)
	}
	return f.body, nil
}

// DeleteFile deletes a file (FSD).
func (m *Module) DeleteFile(ctx context.Context, name string) error {
	if err := checkField("the file's name", name); err != nil {
		return err
	}
	_, err := m.Do(ctx, "AT+S.FSD="+name)
	return err
}

// Files lists the file system (FSL).
func (m *Module) Files(ctx context.Context) ([]File, error) {
	r, err := m.Do(ctx, "AT+S.FSL")
	if err != nil {
		return nil, err
	}
	var all []File
	for _, line := range r.Lines {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		size, name, ok := strings.Cut(strings.TrimSpace(rest), " ")
		name = strings.TrimLeft(name, " \t")
		n, err := strconv.Atoi(size)
		if !ok || err != nil || len(kind) != 1 || !strings.HasPrefix(name, "/") {
			continue
		}
		all = append(all, File{Kind: kind, Size: n, Name: name})
	}
	return all, nil
}
