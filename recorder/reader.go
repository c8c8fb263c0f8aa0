package recorder

import (
	"errors"
	"fmt"
	"io"
)

// Reader reads a journal from its files, finished, crashed or still written.
// It is for one goroutine.
type Reader struct {
	dir  string
	segs []*segment
	file *segmentFile
	at   Offset
}

// Open opens the journal in dir for reading.
func Open(dir string) (*Reader, error) {
	paths, err := listSegments(dir)
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("journal %s: no segment files: %w", dir, errNoJournal)
	}
	r := &Reader{dir: dir}
	for i, path := range paths {
		s, err := readSegment(path)
		if err != nil {
			var damage *CorruptError
			if i > 0 && i == len(paths)-1 && errors.As(err, &damage) {
				break // being made, or torn while it was made
			}
			return nil, err
		}
		r.segs = append(r.segs, s)
	}
	return r, nil
}

// Board is the board that the journal names.
func (r *Reader) Board() string { return r.segs[0].board }

// Next returns the next record; its Data is valid until the next call. At the
// end, and at a tail that is torn or not written yet, it returns io.EOF. Damage
// before that is a *CorruptError.
func (r *Reader) Next() (Record, error) {
	for {
		if r.file == nil {
			if len(r.segs) == 0 {
				return Record{}, io.EOF
			}
			f, err := openSegment(r.segs[0])
			if err != nil {
				return Record{}, err
			}
			r.file, r.at = f, r.segs[0].first()
			r.segs = r.segs[1:]
		}
		s := r.file.seg
		f, err := r.file.frame(r.at, s.end)
		switch {
		case err == nil:
			at := r.at
			r.at += Offset(f.size)
			if f.kind != KindSeal {
				return s.record(at, f), nil
			}
		case errors.Is(err, io.EOF):
			if err := r.Close(); err != nil {
				return Record{}, err
			}
		case errors.Is(err, errBad), errors.Is(err, errShort):
			return Record{}, r.broken()
		default:
			return Record{}, err
		}
	}
}

// broken tells a torn tail from damage.
func (r *Reader) broken() error {
	s := r.file.seg
	seal, err := r.file.findSeal(r.at+1, s.end)
	if err != nil {
		return err
	}
	if seal == 0 && len(r.segs) == 0 {
		return io.EOF
	}
	return &CorruptError{Path: s.path, Offset: r.at, Reason: "the record there is damaged"}
}

// Close closes the open file. The Reader can go on with the next one.
func (r *Reader) Close() error {
	f := r.file
	r.file = nil
	return f.close()
}
