package firmware

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// Options are what Flash may use. The zero value is right for a module of
// which nothing is known.
type Options struct {
	// Model is the module's; an image for another one is refused.
	Model string
	// Passport says where to look first; it is brought up to date and, if it
	// came from Passports, saved. nil if there is none.
	Passport *Passport
	// Trust accepts the passport together with ReportedBuild as proof, when
	// both name this very image: nothing is then sent, and the module need not
	// be in its boot ROM. Proves tells beforehand.
	Trust         bool
	ReportedBuild string
	// Baud is the port's speed, 115200 if 0. It only lengthens time limits.
	Baud int
	// Progress may be nil. It is called between commands: pages for erase,
	// bytes for write and verify. Stage verify counts the bytes that a
	// comparison has looked at, stage write those written and proved.
	Progress func(stage Stage, done, total int)
}

// Result is what a flashing did. After an error it is what was done until
// then.
type Result struct {
	Strategy Strategy
	// Pages is how many the image has, PagesErased how many were erased,
	// PagesKept how many were proved to hold their bytes already.
	Pages, PagesErased, PagesKept int
	// BytesWritten and BytesRead count bytes of flash.
	BytesWritten, BytesRead int
	// WireBytes counts every byte on the UART in both directions.
	WireBytes int
	// At115200 is what these wire bytes and flash operations take at 115200
	// baud 8E1 on a real board; Duration is what they took here.
	At115200 time.Duration
	Duration time.Duration
}

// Flash puts img into the flash of a module whose boot ROM listens at port at
// 8E1, and proves every byte. It erases and writes only pages that the image
// occupies, and refuses, before it sends a byte, an image that is not wholly
// in the application area or no longer has its SHA256. Errors after that are
// *Error. A cancelled ctx ends it between two blocks; resume by calling Flash
// again, after a reset, with the same passport. Leaving the boot ROM, and
// believing only the build that the module then reports, is the caller's part.
func Flash(ctx context.Context, port Port, img Image, opt Options) (Result, error) {
	if err := check(img, opt.Model); err != nil {
		return Result{}, err
	}
	if opt.Trust && opt.Passport.Proves(img, opt.ReportedBuild) {
		return Result{Strategy: ByPassport, Pages: img.Pages()}, nil
	}
	if opt.Baud <= 0 {
		opt.Baud = defaultBaud
	}
	f := &flashing{rom: &rom{port: port, baud: opt.Baud}, img: img, opt: opt, unproved: -1}
	f.result = Result{Strategy: Dense, Pages: img.Pages()}
	start := time.Now()
	err := f.run(ctx)
	f.result.Duration = time.Since(start)
	f.result.WireBytes = f.rom.sent + f.rom.received
	f.result.PagesErased = f.rom.erased
	f.result.At115200 = at115200(f.result.WireBytes, f.rom.halfWords, f.rom.erased)
	return f.result, f.remember(err)
}

// check refuses what must not get near a module.
func check(img Image, model string) error {
	switch {
	case len(img.Data) == 0:
		return fmt.Errorf("flash %s: %w", img.Release, ErrEmpty)
	case img.Method != UART:
		return fmt.Errorf("flash %s: %w but for %q", img.Release, ErrMethod, img.Method)
	case model != "" && img.Model != "" && model != img.Model:
		return fmt.Errorf("flash %s: %w: it is for %s, the board has a %s", img.Release, ErrModel, img.Model, model)
	case img.Address%PageSize != 0:
		return fmt.Errorf("flash %s: %w: 0x%08X is not the start of a page", img.Release, ErrRange, img.Address)
	}
	if err := checkWindow(img.Address, len(img.Data)); err != nil {
		return fmt.Errorf("flash %s: %w", img.Release, err)
	}
	if sum := sha256.Sum256(img.Data); sum != img.SHA256 {
		return fmt.Errorf("flash %s: %w: it was checked as %x, its bytes now give %x", img.Release, ErrHash, img.SHA256, sum)
	}
	return nil
}

// flashing is one call of Flash.
type flashing struct {
	rom    *rom
	img    Image
	opt    Options
	result Result
	// unproved is the first flash page that may not hold its bytes, -1 as long
	// as nothing was erased.
	unproved int
}

func (f *flashing) run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &Error{Stage: StageSync, Page: -1, Err: err}
	}
	if err := f.rom.sync(ctx); err != nil {
		return err
	}
	f.progress(StageSync, 1, 1)
	if err := f.rom.identify(ctx); err != nil {
		return err
	}
	f.progress(StageIdentify, 1, 1)
	dirty, err := f.plan(ctx)
	if err != nil || len(dirty) == 0 {
		return err
	}
	return f.renew(ctx, dirty)
}

// renew erases the pages with one command, then writes and proves each.
func (f *flashing) renew(ctx context.Context, dirty []int) error {
	first := pageOf(f.img.Address)
	list := make([]int, len(dirty))
	total := 0
	for k, i := range dirty {
		list[k] = first + i
		total += len(f.img.page(i))
	}
	if err := ctx.Err(); err != nil {
		return &Error{Stage: StageErase, Page: -1, Err: err}
	}
	if err := f.opt.Passport.began(f.img, list[0]); err != nil {
		return &Error{Stage: StageErase, Page: -1, Err: fmt.Errorf("not begun: %w", err)}
	}
	f.unproved = list[0]
	f.progress(StageErase, 0, len(list))
	if err := f.rom.erase(ctx, list); err != nil {
		return err
	}
	f.progress(StageErase, len(list), len(list))
	done := 0
	for k, i := range dirty {
		f.unproved = list[k]
		for b := range blocks(f.img.page(i)) {
			if err := f.put(ctx, i*PageSize+b.offset, b.data); err != nil {
				return err
			}
			done += len(b.data)
			f.progress(StageWrite, done, total)
		}
	}
	return nil
}

// put writes one block, unless it is what erasing left there, and proves it
// right away.
func (f *flashing) put(ctx context.Context, offset int, data []byte) error {
	addr := f.img.Address + uint32(offset)
	if err := ctx.Err(); err != nil {
		return fail(StageWrite, addr, 0, err)
	}
	if !isBlank(data) {
		if err := f.rom.write(ctx, addr, data); err != nil {
			return err
		}
		f.result.BytesWritten += len(data)
	}
	got, err := f.rom.read(ctx, addr, len(data))
	if err != nil {
		return err
	}
	f.result.BytesRead += len(data)
	for k := range data {
		if got[k] != data[k] {
			return fail(StageVerify, addr+uint32(k), 0, fmt.Errorf("%w: 0x%02X instead of 0x%02X", ErrMismatch, got[k], data[k]))
		}
	}
	return nil
}

// remember writes the outcome into the passport.
func (f *flashing) remember(err error) error {
	if err == nil {
		if saveErr := f.opt.Passport.proved(f.img); saveErr != nil {
			return fmt.Errorf("flashed and proved, but not noted: %w", saveErr)
		}
		return nil
	}
	if saveErr := f.opt.Passport.failed(f.img, f.unproved, isCancel(err)); saveErr != nil {
		return errors.Join(err, saveErr)
	}
	return err
}

// isCancel says whether a flashing ended because its caller wanted it to.
func isCancel(err error) bool {
	return errors.Is(err, context.Canceled)
}

func (f *flashing) progress(stage Stage, done, total int) {
	if f.opt.Progress != nil {
		f.opt.Progress(stage, done, total)
	}
}
