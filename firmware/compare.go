package firmware

import (
	"bytes"
	"context"
	"time"
)

// plan gives the pages, counted from the image's first, that must be renewed.
func (f *flashing) plan(ctx context.Context) ([]int, error) {
	candidates, worth := guess(f.img, f.opt.Passport)
	start := 0
	if !worth {
		place, ok := choose(f.img, candidates)
		if ok {
			got, err := f.read(ctx, place.offset, place.size())
			if err != nil {
				return nil, err
			}
			worth = place.matches(got)
			start = place.offset / PageSize
		}
	}
	if worth {
		f.result.Strategy = Compare
		return f.compare(ctx, candidates, start)
	}
	all := make([]int, f.img.Pages())
	for i := range all {
		all[i] = i
	}
	return all, nil
}

// compare reads the candidates, from page start to the last and then from
// start back to the first, so that what the probe found pays for what differs.
// It keeps the pages that hold their bytes. A page that differs costs its
// reading up to the first difference; once those costs exceed what equal pages
// saved, and a sixty-fourth of a dense flashing on top, the rest is taken as
// different without being read.
func (f *flashing) compare(ctx context.Context, candidates []bool, start int) ([]int, error) {
	balance := f.stake()
	different := make([]bool, len(candidates))
	done := 0
	for k := range candidates {
		i := start + k
		if i >= len(candidates) {
			i = len(candidates) - 1 - k
		}
		page := f.img.page(i)
		different[i] = true
		if candidates[i] && balance >= 0 {
			equal, read, err := f.holds(ctx, i)
			if err != nil {
				return nil, err
			}
			if equal {
				different[i] = false
				f.result.PagesKept++
				balance += renewCost(page)
			} else {
				balance -= readCost(read)
			}
		}
		done += len(page)
		f.progress(StageVerify, done, len(f.img.Data))
	}
	var dirty []int
	for i, d := range different {
		if d {
			dirty = append(dirty, i)
		}
	}
	return dirty, nil
}

// stake is what comparing may lose.
func (f *flashing) stake() time.Duration {
	dense := readCost(len(f.img.Data))
	for i := range f.img.Pages() {
		dense += renewCost(f.img.page(i))
	}
	return dense / 64
}

// holds says whether page i is in flash, and how many bytes were read to know.
func (f *flashing) holds(ctx context.Context, i int) (equal bool, read int, err error) {
	for b := range blocks(f.img.page(i)) {
		got, err := f.read(ctx, i*PageSize+b.offset, len(b.data))
		if err != nil {
			return false, read, err
		}
		read += len(b.data)
		if !bytes.Equal(got, b.data) {
			return false, read, nil
		}
	}
	return true, read, nil
}

// read reads flash at an offset of the image, to learn what is there.
func (f *flashing) read(ctx context.Context, offset, n int) ([]byte, error) {
	addr := f.img.Address + uint32(offset)
	if err := ctx.Err(); err != nil {
		return nil, fail(StageVerify, addr, 0, err)
	}
	got, err := f.rom.read(ctx, addr, n)
	if err == nil {
		f.result.BytesRead += n
	}
	return got, err
}
