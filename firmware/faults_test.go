package firmware_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hil-runner/firmware"
)

// attempt runs one flashing that may fail, in virtual time.
func attempt(t *testing.T, w *fakeWire, img firmware.Image, opt firmware.Options) (result firmware.Result, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		result, err = firmware.Flash(t.Context(), w, img, opt)
		took = time.Since(start)
		for _, v := range w.violations {
			t.Error(v)
		}
	})
	return result, took, err
}

func TestFaults(t *testing.T) {
	// 20 pages; the probe is at the boundary before page 15 of the image,
	// which is page 20 of the flash.
	const pages = 20
	for _, c := range []struct {
		name  string
		fault func(r *fakeROM, w *fakeWire)
		stage firmware.Stage
		page  int
		reply byte
		want  error
		took  time.Duration // at most
	}{
		{"silent", func(_ *fakeROM, w *fakeWire) { w.mute = 1 }, "sync", -1, 0, firmware.ErrSilent, 2 * time.Second},
		{"application echoes", func(r *fakeROM, _ *fakeWire) {
			r.step = func(b byte) ([]byte, time.Duration) { return []byte{b}, 0 }
		}, "sync", -1, 0x7F, firmware.ErrReply, time.Second},
		{"silent after sync", func(_ *fakeROM, w *fakeWire) { w.mute = 2 }, "identify", -1, 0, firmware.ErrSilent, 2 * time.Second},
		{"id refused", func(r *fakeROM, _ *fakeWire) { r.nack = "cmd 02" }, "identify", -1, nack, firmware.ErrNack, time.Second},
		{"other chip", func(r *fakeROM, _ *fakeWire) { r.chip = 0x410 }, "identify", -1, 0, firmware.ErrChip, time.Second},
		{"read refused", func(r *fakeROM, _ *fakeWire) { r.nack = "cmd 11" }, "verify", 19, nack, firmware.ErrNack, time.Second},
		{"read address refused", func(r *fakeROM, _ *fakeWire) { r.nack = "addr 11" }, "verify", 19, nack, firmware.ErrNack, time.Second},
		{"read count refused", func(r *fakeROM, _ *fakeWire) { r.nack = "count 11" }, "verify", 19, nack, firmware.ErrNack, time.Second},
		{"erase refused", func(r *fakeROM, _ *fakeWire) { r.nack = "cmd 43" }, "erase", 5, nack, firmware.ErrNack, time.Second},
		{"erase list refused", func(r *fakeROM, _ *fakeWire) { r.nack = "list 43" }, "erase", 5, nack, firmware.ErrNack, time.Second},
		{"erase never ends", func(r *fakeROM, w *fakeWire) { w.mute = 7 }, "erase", 5, 0, firmware.ErrSilent, 12 * time.Second},
		{"write refused", func(r *fakeROM, _ *fakeWire) { r.nack = "cmd 31" }, "write", 5, nack, firmware.ErrNack, 2 * time.Second},
		{"write address refused", func(r *fakeROM, _ *fakeWire) { r.nack = "addr 31" }, "write", 5, nack, firmware.ErrNack, 2 * time.Second},
		{"data refused", func(r *fakeROM, _ *fakeWire) { r.nack = "data 31" }, "write", 5, nack, firmware.ErrNack, 2 * time.Second},
		{"byte to the module lost", func(_ *fakeROM, w *fakeWire) { w.loseSent = 5000 }, "write", 7, 0, firmware.ErrSilent, 4 * time.Second},
		{"byte from the module lost", func(_ *fakeROM, w *fakeWire) { w.loseReply = 5000 }, "verify", 7, 0, firmware.ErrSilent, 4 * time.Second},
		{"verify garbled", func(r *fakeROM, _ *fakeWire) { r.garble = 12 + 2048 + 300 }, "verify", 6, 0, firmware.ErrMismatch, 4 * time.Second},
		{"power lost while erasing", func(r *fakeROM, _ *fakeWire) { r.cutAt = 4 }, "erase", 5, 0, firmware.ErrSilent, 12 * time.Second},
		{"power lost while writing", func(r *fakeROM, _ *fakeWire) { r.cutAt = pages + 2*1024 + 1 }, "write", 7, 0, firmware.ErrSilent, 4 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			rom := newROM()
			w := newWire(rom)
			c.fault(rom, w)
			p := &firmware.Passport{Key: "board"}
			_, took, err := attempt(t, w, image(t, noise(1, pages*2048)), firmware.Options{Passport: p})
			var fe *firmware.Error
			if !errors.As(err, &fe) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if fe.Stage != c.stage || fe.Page != c.page || fe.Reply != c.reply || !errors.Is(err, c.want) {
				t.Errorf("got stage %s page %d reply %#x: %v; want %s %d %#x %v", fe.Stage, fe.Page, fe.Reply, err, c.stage, c.page, c.reply, c.want)
			}
			if took > c.took {
				t.Errorf("took %v, at most %v", took, c.took)
			}
			if p.Failed != 1 || (p.Interrupted != nil) != (c.stage == "erase" || c.stage == "write" || c.page == 6 || c.page == 7) {
				t.Errorf("passport %+v", p)
			}
			if slices.Contains(rom.erasedPages, -1) {
				t.Error("mass erase")
			}
		})
	}
}

func TestMismatchNamesTheByte(t *testing.T) {
	rom := newROM()
	rom.garble = 12 + 2048 + 300
	w := newWire(rom)
	_, _, err := attempt(t, w, image(t, noise(1, 20*2048)), firmware.Options{})
	if want := "flash verify page 6 at 0x0800312B: flash differs from the image"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s...", err, want)
	}
}

func TestSyncTolerates(t *testing.T) {
	for name, prepare := range map[string]func(r *fakeROM, w *fakeWire){
		"synchronised before":        func(r *fakeROM, _ *fakeWire) { r.synced = true },
		"half a command before":      func(r *fakeROM, _ *fakeWire) { r.synced = true; r.feed(0x11) },
		"banner before the reset":    func(_ *fakeROM, w *fakeWire) { w.say([]byte("yyy\r\n+WIND:1:Poweron (yyy)\r\n"), time.Now()) },
		"first 0x7F not heard":       func(_ *fakeROM, w *fakeWire) { w.loseSent = 1 },
		"answer to the sync is late": func(_ *fakeROM, w *fakeWire) { w.late = 800 * time.Millisecond },
		"answer to the sync is lost": func(_ *fakeROM, w *fakeWire) { w.loseReply = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rom := newROM()
				w := newWire(rom)
				prepare(rom, w)
				img := image(t, noise(1, 4096))
				if _, err := firmware.Flash(t.Context(), w, img, firmware.Options{}); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(rom.flash[appOffset:appOffset+4096], img.Data) {
					t.Error("the flash does not hold the image")
				}
			})
		})
	}
}

// chatter is an application that never stops talking.
type chatter struct{ deadline time.Time }

func (c *chatter) Write(p []byte) (int, error)       { return len(p), nil }
func (c *chatter) SetReadDeadline(t time.Time) error { c.deadline = t; return nil }
func (c *chatter) Read(p []byte) (int, error) {
	<-time.After(time.Millisecond)
	return copy(p, "+WIND:55\r\n"), nil
}

func TestSyncEndsWhenTheModuleChatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := firmware.Flash(t.Context(), &chatter{}, image(t, noise(1, 4096)), firmware.Options{})
		wantIs(t, err, firmware.ErrReply)
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

type brokenPort struct{ fakeWire }

func (b *brokenPort) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestPortErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := firmware.Flash(t.Context(), &brokenPort{*newWire(newROM())}, image(t, noise(1, 4096)), firmware.Options{})
		wantIs(t, err, io.ErrClosedPipe)
	})
}

// TestCutAndResume cuts the power at many operations of a flashing, once or
// twice in a row, and resumes with the passport.
func TestCutAndResume(t *testing.T) {
	const pages = 12
	img := image(t, noise(1, pages*2048))
	store := openPassports(t)
	const total = pages + pages*1024
	for cut := 1; cut <= total; cut += 997 {
		rom := newROM()
		copy(rom.flash[appOffset:], noise(2, pages*2048))
		p, err := store.Load("board")
		if err != nil {
			t.Fatal(err)
		}
		*p = *mustFresh(t, store)
		for _, at := range []int{cut, 1 + cut/2} {
			rom.reset()
			rom.cutAt = at
			p, err = store.Load("board")
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = attempt(t, newWire(rom), img, firmware.Options{Passport: p})
			if err == nil {
				break // what was left had fewer operations than that
			}
			wantIs(t, err, firmware.ErrSilent)
		}
		resume(t, store, rom, img)
	}
}

// resume flashes again after a cut and checks that what had been proved was
// left alone.
func resume(t *testing.T, store *firmware.Passports, rom *fakeROM, img firmware.Image) {
	t.Helper()
	rom.reset()
	p, err := store.Load("board")
	if err != nil {
		t.Fatal(err)
	}
	held := rom.flash[appOffset:]
	var right []int
	for i := range img.Pages() {
		if bytes.Equal(held[i*2048:(i+1)*2048], img.Data[i*2048:(i+1)*2048]) {
			right = append(right, 5+i)
		}
	}
	interrupted := p.Interrupted != nil
	got := flash(t, rom, img, firmware.Options{Passport: p})
	if interrupted {
		if got.Strategy != firmware.Compare {
			t.Errorf("resumed as %s", got.Strategy)
		}
		for _, page := range right {
			if slices.Contains(rom.erasedPages, page) {
				t.Errorf("page %d held its bytes and was erased", page)
			}
		}
	}
	p, err = store.Load("board")
	if err != nil || p.Interrupted != nil || p.SHA256 != img.Hash() {
		t.Errorf("passport %+v, %v", p, err)
	}
}

func TestCancelBetweenBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		rom := newROM()
		w := newWire(rom)
		p := &firmware.Passport{Key: "board"}
		img := image(t, noise(1, 20*2048))
		w.onWrite = func(step int) {
			if step == 200 {
				cancel()
			}
		}
		result, err := firmware.Flash(ctx, w, img, firmware.Options{Passport: p})
		wantIs(t, err, context.Canceled)
		if p.Failed != 0 || p.Interrupted == nil || p.Interrupted.Page <= 5 || result.BytesWritten == 0 {
			t.Errorf("passport %+v, interrupted %+v, result %+v", p, p.Interrupted, result)
		}
		// The ROM was left between two commands: the next call needs no reset.
		if _, err := firmware.Flash(t.Context(), w, img, firmware.Options{Passport: p}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(rom.flash[appOffset:appOffset+len(img.Data)], img.Data) || p.Interrupted != nil {
			t.Error("not resumed")
		}
	})
}

func TestCancelEndsALongWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		w := newWire(newROM())
		w.mute = 7 // the erase list
		start := time.Now()
		_, err := firmware.Flash(ctx, w, image(t, noise(1, 20*2048)), firmware.Options{})
		wantIs(t, err, context.DeadlineExceeded)
		if took := time.Since(start); took > 2500*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func TestNotBegunWithoutPassport(t *testing.T) {
	store := openPassports(t)
	p, err := store.Load("board")
	if err != nil {
		t.Fatal(err)
	}
	store.Close() // as a full or read-only disk would, saving now fails
	rom := newROM()
	_, _, err = attempt(t, newWire(rom), image(t, noise(1, 4096)), firmware.Options{Passport: p})
	if err == nil || len(rom.erasedPages) != 0 {
		t.Errorf("%v, erased %v: nothing may be erased before the passport says so", err, rom.erasedPages)
	}
}
