package farm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
)

// Fence remembers the highest lease token seen per board, on disk before it
// is acted on, so that a token from before a restart, a crash or a copy is
// refused ever after. A token's file is created exclusively, so several
// processes of a host that share the folder never give out one token twice.
// It is safe for concurrent use.
type Fence struct {
	root *os.Root

	mu   sync.Mutex
	high map[string]uint64
}

// OpenFence opens the folder that keeps the tokens, and makes it if need be.
func OpenFence(dir string) (*Fence, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lease tokens: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("lease tokens: %w", err)
	}
	return &Fence{root: root, high: make(map[string]uint64)}, nil
}

// Close gives the folder back. Tokens are refused afterwards.
func (f *Fence) Close() error { return f.root.Close() }

// Next makes a token for a board, higher than every one seen before. It is on
// disk when Next returns.
func (f *Fence) Next(board string) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	high, err := f.highest(board)
	for err == nil {
		token := max(high, f.high[board]) + 1
		var ours bool
		if ours, high, err = f.claim(board, token); ours {
			f.high[board] = token
			return token, f.sweep(board, token)
		}
	}
	return 0, err
}

// claim makes a token's file. It is ours when nobody has made it before and
// nobody has gone past it: another process may have made a higher one and
// swept the file away before we made ours, which is then an old one come back.
// high is the highest token there is afterwards.
func (f *Fence) claim(board string, token uint64) (ours bool, high uint64, err error) {
	err = f.create(board, token)
	made := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return false, 0, fmt.Errorf("lease token %d of board %s: %w", token, board, err)
	}
	if high, err = f.highest(board); err != nil {
		return false, 0, err
	}
	return made && high == token, max(high, token), nil
}

// Admit is asked before every write, reset, power switch or flash: it gives
// ErrLeaseLost for a token lower than the highest one seen. A higher one is
// on disk before Admit returns.
func (f *Fence) Admit(board string, token uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	high, known := f.high[board]
	if !known {
		var err error
		if high, err = f.highest(board); err != nil {
			return err
		}
		f.high[board] = high
	}
	switch {
	case token == 0 || token < high:
		return fmt.Errorf("board %s: token %d, but %d was given out since: %w", board, token, high, ErrLeaseLost)
	case token == high:
		return nil
	}
	if err := f.create(board, token); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("lease token %d of board %s: %w", token, board, err)
	}
	f.high[board] = token
	return f.sweep(board, token)
}

// create writes a token's file and makes it durable.
func (f *Fence) create(board string, token uint64) error {
	file, err := f.root.OpenFile(tokenPath(board, token), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(file.Sync(), file.Close())
	if err == nil {
		err = f.syncDir(board)
	}
	return err
}

// highest reads the highest token of a board from disk, 0 if there is none.
func (f *Fence) highest(board string) (uint64, error) {
	tokens, err := f.tokens(board)
	var high uint64
	for _, t := range tokens {
		high = max(high, t)
	}
	return high, err
}

// tokens lists a board's tokens and makes its folder if need be.
func (f *Fence) tokens(board string) ([]uint64, error) {
	if !validID(board) {
		return nil, fmt.Errorf("lease tokens: %q is not a board's id", board)
	}
	if err := f.root.Mkdir(board, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("lease tokens of board %s: %w", board, err)
	} else if err == nil {
		if err := f.syncDir("."); err != nil {
			return nil, err
		}
	}
	entries, err := fs.ReadDir(f.root.FS(), board)
	if err != nil {
		return nil, fmt.Errorf("lease tokens of board %s: %w", board, err)
	}
	var tokens []uint64
	for _, e := range entries {
		if t, err := strconv.ParseUint(e.Name(), 10, 64); err == nil {
			tokens = append(tokens, t)
		}
	}
	return tokens, nil
}

// sweep removes the files of the tokens below one.
func (f *Fence) sweep(board string, below uint64) error {
	tokens, err := f.tokens(board)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t >= below {
			continue
		}
		if err := f.root.Remove(tokenPath(board, t)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("lease tokens of board %s: %w", board, err)
		}
	}
	return nil
}

func (f *Fence) syncDir(name string) error {
	dir, err := f.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func tokenPath(board string, token uint64) string {
	return board + "/" + strconv.FormatUint(token, 10)
}
