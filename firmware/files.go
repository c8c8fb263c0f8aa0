package firmware

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ReadFile reads, checks and gives an image that is in no catalogue. e says
// what is known of it and may be empty; its signature lies beside it.
func ReadFile(path string, e Entry, trust Trust) (Image, error) {
	img, err := readFile(path, e, trust)
	if err != nil {
		return Image{}, fmt.Errorf("firmware file %q: %w", path, err)
	}
	return img, nil
}

func readFile(path string, e Entry, trust Trust) (Image, error) {
	data, err := readPath(path, maxFile)
	if err != nil {
		return Image{}, err
	}
	sig, err := readPath(path+SignatureSuffix, maxSignature)
	if err != nil && !os.IsNotExist(err) {
		return Image{}, err
	}
	signer, err := trust.verify(data, sig)
	if err != nil {
		return Image{}, err
	}
	img, err := ReadImage(data, formatOf(path), e.Address)
	if err != nil {
		return Image{}, err
	}
	if err := checkVectors(img); err != nil {
		return Image{}, err
	}
	if e.Release == "" {
		e.Release = filepath.Base(path)
	}
	img.describe(e)
	img.Signature = signer
	return img, nil
}

// openFlags let a FIFO or a device be opened without waiting for its other
// end, so that it can be refused.
const openFlags = os.O_RDONLY | unix.O_NONBLOCK

func readPath(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readRegular(f, limit)
}

// readInRoot reads a file below root. Neither ".." nor a symbolic link leads
// out of it.
func readInRoot(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readRegular(f, limit)
}

// readRegular reads a whole file once, and no more than limit bytes of it.
func readRegular(f *os.File, limit int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file but %s", f.Name(), info.Mode().Type())
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrTooBig, f.Name(), limit)
	}
	return data, nil
}

// writeAtomic replaces a file below root so that after a crash there is either
// the old one or the new one, durable when it returns.
func writeAtomic(root *os.Root, name string, data []byte) (err error) {
	tmp := name + ".new"
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			root.Remove(tmp)
		}
	}()
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err = root.Rename(tmp, name); err != nil {
		return err
	}
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
