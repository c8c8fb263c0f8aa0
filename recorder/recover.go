package recorder

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// crashGap is added to the offset after a crash. The lost process may have
// handed out offsets of records that never reached the disk; none of them may
// ever name another record.
const crashGap = 1 << 34

// ErrBusy says that another process writes the journal.
var ErrBusy = errors.New("another process writes this journal")

// lockDir takes the folder for this process. The lock ends with the process.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("journal %s: %w; stop it or choose another folder", dir, ErrBusy)
		}
		return nil, fmt.Errorf("journal: lock %s: %w", path, err)
	}
	return f, nil
}

// past is what an earlier writer left.
type past struct {
	segs []*segment
	next Offset // where to go on
	sum  digest // of the last segment
	note string // what a reader must know of it; empty when all is well
}

// recoverDir finds the end of the journal in dir and cuts off a torn tail.
func recoverDir(dir string) (past, error) {
	paths, err := listSegments(dir)
	if err != nil {
		return past{}, err
	}
	var p past
	var notes []string
	for i, path := range paths {
		last := i == len(paths)-1
		s, err := readSegment(path)
		var damage *CorruptError
		switch {
		case err == nil:
			p.segs = append(p.segs, s)
			if last {
				err = p.finishLast(s, &notes)
			}
		case errors.As(err, &damage):
			err = p.skipDamaged(path, last, &notes)
		}
		if err != nil {
			return past{}, err
		}
	}
	p.note = strings.Join(notes, "; ")
	return p, nil
}

// finishLast looks at the segment that was written to last.
func (p *past) finishLast(s *segment, notes *[]string) error {
	r, err := openSegment(s)
	if err != nil {
		return err
	}
	defer r.close()
	scan, err := scanSegment(r, s.end)
	if err != nil {
		return err
	}
	size := s.end
	switch {
	case scan.end == size && scan.closed:
		p.next, p.sum = size, scan.sum
		return nil
	case scan.end == size:
		*notes = append(*notes, "the last writer ended without closing the journal; nothing is torn")
	case scan.sealAfter > 0:
		// Not a torn tail: what is there stays as evidence.
		*notes = append(*notes, fmt.Sprintf("damage found at offset %d of %s and left as it is", scan.end, filepath.Base(s.path)))
		p.next = size + crashGap
		p.sum, err = fileSum(s.path)
		return err
	default:
		if err := cut(s.path, int64(scan.end-s.base)); err != nil {
			return err
		}
		*notes = append(*notes, fmt.Sprintf("the last writer died: %d torn bytes cut at offset %d of %s; up to a second before it may be lost",
			size-scan.end, scan.end, filepath.Base(s.path)))
	}
	s.end = scan.end
	p.next, p.sum = scan.end+crashGap, scan.sum
	return nil
}

// skipDamaged handles a file without a readable header. A last file that holds
// nothing more was being made when the writer died.
func (p *past) skipDamaged(path string, last bool, notes *[]string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	name := filepath.Base(path)
	if last && info.Size() <= headerFixed+maxBoard {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		*notes = append(*notes, "the last writer died while it began "+name)
		if len(p.segs) > 0 {
			return p.finishLast(p.segs[len(p.segs)-1], notes)
		}
		return nil
	}
	*notes = append(*notes, "the head of "+name+" is damaged; the file is left as it is and left out")
	if !last {
		return nil
	}
	base, err := strconv.ParseUint(strings.TrimSuffix(name, segmentSuffix), 16, 63)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	p.next = Offset(base) + Offset(info.Size()) + crashGap
	p.sum, err = fileSum(path)
	return err
}

func cut(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	err = errors.Join(f.Truncate(size), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("journal: cut torn tail: %w", err)
	}
	return nil
}

func fileSum(path string) (sum digest, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, fmt.Errorf("journal: %w", err)
	}
	h.Sum(sum[:0])
	return sum, nil
}
