package recorder

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// Report is what Verify found.
type Report struct {
	// Board is the board that the first segment names.
	Board    string
	Segments int
	Records  int
	// Sealed is the offset before which every byte is proved by a digest.
	Sealed Offset
	// Torn counts bytes after the last whole record: the writer died, or
	// still writes.
	Torn int64
	// Closed is true when the writer ended in order. A finished journal
	// without it has lost its end.
	Closed bool
	// Lost counts the places where an earlier writer died and its successor
	// went on.
	Lost int
}

// Verify reads the whole journal in dir and checks every record and the chain
// of digests. A changed bit anywhere before the last seal gives a
// *CorruptError. It may run beside a writer.
func Verify(dir string) (Report, error) {
	var rep Report
	paths, err := listSegments(dir)
	if err != nil {
		return rep, err
	}
	if len(paths) == 0 {
		return rep, fmt.Errorf("journal %s: no segment files: %w", dir, errNoJournal)
	}
	var before digest
	var end Offset
	for i, path := range paths {
		s, err := readSegment(path)
		if err != nil {
			return rep, err
		}
		if i == 0 {
			rep.Board = s.board
		}
		if err := checkChain(s, i, before, end); err != nil {
			return rep, err
		}
		if s.base > end && i > 0 {
			rep.Lost++
		}
		scan, err := verifySegment(s, i == len(paths)-1, &rep)
		if err != nil {
			return rep, err
		}
		before, end = scan.sum, s.end
	}
	return rep, nil
}

var errNoJournal = errors.New("not a journal")

func checkChain(s *segment, i int, before digest, end Offset) error {
	switch {
	case i == 0 && s.base != 0:
		return &CorruptError{Path: s.path, Offset: s.base, Reason: "the files before it are missing"}
	case s.prev != before:
		return &CorruptError{Path: s.path, Offset: s.base, Reason: "it does not follow from the file before it, which was changed or is missing"}
	case s.base < end:
		return &CorruptError{Path: s.path, Offset: s.base, Reason: "it overlaps the file before it"}
	}
	return nil
}

func verifySegment(s *segment, last bool, rep *Report) (scan, error) {
	r, err := openSegment(s)
	if err != nil {
		return scan{}, err
	}
	defer r.close()
	got, err := scanSegment(r, s.end)
	if err != nil {
		return scan{}, err
	}
	rep.Segments++
	rep.Records += got.records
	rep.Closed = got.closed && got.end == s.end
	rep.Sealed = got.sealed
	switch {
	case got.badSeal:
		return got, &CorruptError{Path: s.path, Offset: got.end, Reason: "the digest of what is before it does not fit"}
	case got.end == s.end:
	case got.sealAfter > 0, !last:
		return got, &CorruptError{Path: s.path, Offset: got.end, Reason: "the record there is damaged"}
	default:
		rep.Torn = int64(s.end - got.end)
	}
	if !last {
		// The next header vouches for all of it.
		rep.Sealed = got.end
	}
	return got, nil
}

// scan is what one pass over a segment finds.
type scan struct {
	records int
	end     Offset // after the last good record
	sealed  Offset // after the last good seal
	sum     digest // of all bytes before end
	closed  bool   // the last record is the seal of an orderly end
	badSeal bool   // the record at end is a seal that does not fit
	// sealAfter is the place of a good seal after a damaged record; 0 if the
	// damage is a torn tail.
	sealAfter Offset
}

// scanSegment reads records from the start until limit or the first that is
// not good. Errors are those of the disk.
func scanSegment(r *segmentFile, limit Offset) (scan, error) {
	h := sha256.New()
	h.Write(r.seg.header())
	s := scan{end: r.seg.first(), sealed: r.seg.first()}
	for {
		f, err := r.frame(s.end, limit)
		switch {
		case errors.Is(err, io.EOF):
			h.Sum(s.sum[:0])
			return s, nil
		case errors.Is(err, errBad), errors.Is(err, errShort):
			h.Sum(s.sum[:0])
			s.sealAfter, err = r.findSeal(s.end+1, limit)
			return s, err
		case err != nil:
			return s, err
		}
		if f.kind == KindSeal {
			h.Sum(s.sum[:0])
			if string(f.payload) != string(s.sum[:]) {
				s.badSeal = true
				return s, nil
			}
		}
		h.Write(r.window(s.end, limit)[:f.size])
		s.end += Offset(f.size)
		s.closed = f.kind == KindSeal && f.flags&flagLast != 0
		if f.kind == KindSeal {
			s.sealed = s.end
		} else {
			s.records++
		}
	}
}

// findSeal looks for a good seal at any place in [from, limit); 0 when there
// is none. Its length and kind are tried first, so the search runs at the speed
// of reading.
func (r *segmentFile) findSeal(from, limit Offset) (Offset, error) {
	const size = frameSize + sha256.Size
	for at := from; at+size <= limit; {
		if err := r.fill(at, limit, readWindow); err != nil {
			return 0, err
		}
		b := r.buf
		if len(b) < size {
			return 0, nil
		}
		for i := 0; i+size <= len(b); i++ {
			if b[i+4] != sha256.Size || b[i+8] != byte(KindSeal) {
				continue
			}
			if f, err := parseFrame(b[i:], at+Offset(i)); err == nil && f.kind == KindSeal {
				return at + Offset(i), nil
			}
		}
		at += Offset(len(b) - size + 1)
	}
	return 0, nil
}
