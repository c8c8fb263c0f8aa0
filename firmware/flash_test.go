package firmware_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"hil-runner/firmware"
)

const appOffset = 0x2800

// noise is dense data: no block of it is blank.
func noise(seed uint64, n int) []byte {
	p := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	rng.Read(p)
	return p
}

func image(t testing.TB, data []byte) firmware.Image {
	t.Helper()
	img, err := firmware.NewImage(firmware.Entry{Release: "test", Build: "170111-665d284-SPWF01S", Model: "SPWF01SA"}, data)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// peerCost is what stm32flash 0.7 -w -v puts on the wire and does to the flash
// for an image at 0x08002800: init, get version, get, get id, one erase of the
// pages, and every block written and read back.
func peerCost(data []byte) (wire int, total time.Duration) {
	pages := (len(data) + 2047) / 2048
	wire = 2 + 7 + 17 + 7 + (3 + 1 + pages + 1 + 1)
	halfWords := 0
	for at := 0; at < len(data); at += 256 {
		n := min(256, len(data)-at)
		padded := (n + 3) / 4 * 4
		wire += 12 + padded + 12 + n
		halfWords += padded / 2
	}
	total = time.Duration(wire)*11*time.Second/115200 + time.Duration(halfWords)*52500 + time.Duration(pages)*30*time.Millisecond
	return wire, total
}

// flash runs one flashing in virtual time and checks what must hold for all:
// the flash holds the image, nothing around it changed, no byte was sent before
// the answer to the one before, and Result counts what happened.
func flash(t *testing.T, rom *fakeROM, img firmware.Image, opt firmware.Options) (result firmware.Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		before := bytes.Clone(rom.flash)
		w := newWire(rom)
		start := time.Now()
		var err error
		result, err = firmware.Flash(t.Context(), w, img, opt)
		if err != nil {
			t.Fatal(err)
		}
		elapsed := time.Since(start)
		end := appOffset + len(img.Data)
		if !bytes.Equal(rom.flash[appOffset:end], img.Data) {
			t.Error("the flash does not hold the image")
		}
		pageEnd := (end + 2047) / 2048 * 2048
		if !bytes.Equal(rom.flash[:appOffset], before[:appOffset]) || !bytes.Equal(rom.flash[pageEnd:], before[pageEnd:]) {
			t.Error("the flash outside the image changed")
		}
		for _, v := range w.violations {
			t.Error(v)
		}
		for command := range rom.commands {
			if !bytes.Contains([]byte{0x02, 0x11, 0x31, 0x43}, []byte{command}) {
				t.Errorf("command 0x%02X was sent", command)
			}
		}
		if w.sent+w.received != result.WireBytes || len(rom.erasedPages) != result.PagesErased {
			t.Errorf("counted %d bytes and %d pages, it was %d and %d", result.WireBytes, result.PagesErased, w.sent+w.received, len(rom.erasedPages))
		}
		// The fake takes exactly as long as the model says, save for emptying
		// the line at the start and rounding.
		if d := elapsed - result.At115200; d < -time.Millisecond || d > 15*time.Millisecond {
			t.Errorf("took %v on the virtual wire, At115200 says %v", elapsed, result.At115200)
		}
		if result.PagesErased+result.PagesKept != result.Pages {
			t.Errorf("%d pages erased and %d kept, the image has %d", result.PagesErased, result.PagesKept, result.Pages)
		}
	})
	return result
}

func half(data []byte, every int) []byte {
	data = bytes.Clone(data)
	for at := every; at < len(data); at += 2 * every {
		copy(data[at:min(at+every, len(data))], bytes.Repeat([]byte{0xFF}, every))
	}
	return data
}

// changed gives data with the listed pages changed in all their bytes.
func changed(data []byte, pages ...int) []byte {
	data = bytes.Clone(data)
	for _, p := range pages {
		for i := p * 2048; i < min((p+1)*2048, len(data)); i++ {
			data[i] ^= 0x5A
		}
	}
	return data
}

func tenPercent(first, step, pages int) (list []int) {
	for i := range pages / 10 {
		list = append(list, (first+i*step)%pages)
	}
	return list
}

// TestCost holds the flasher to its goals beside stm32flash, in virtual wire
// time at 115200 baud 8E1.
func TestCost(t *testing.T) {
	const size = 256 << 10
	dense := noise(1, size)
	onModule := func(data []byte, known bool) func(t *testing.T) (*fakeROM, *firmware.Passport) {
		return func(t *testing.T) (*fakeROM, *firmware.Passport) {
			rom := newROM()
			if data == nil {
				return rom, nil
			}
			if !known {
				copy(rom.flash[appOffset:], data)
				return rom, nil
			}
			p := &firmware.Passport{Key: "board"}
			flash(t, rom, image(t, data), firmware.Options{Passport: p})
			rom.reset()
			return rom, p
		}
	}
	for _, c := range []struct {
		name     string
		before   func(t *testing.T) (*fakeROM, *firmware.Passport)
		data     []byte
		most     float64
		strategy firmware.Strategy
	}{
		{"F1 dense on an erased module", onModule(nil, false), dense, 1, firmware.Dense},
		{"F1 dense over a stranger", onModule(noise(2, size), false), dense, 1, firmware.Dense},
		{"F1 dense over a known other image", onModule(noise(2, size), true), dense, 1, firmware.Dense},
		{"F1 full size", onModule(nil, false), noise(3, 390932), 1, firmware.Dense},
		{"F1 one page", onModule(nil, false), noise(4, 2048), 1, firmware.Dense},
		{"F1 odd length", onModule(nil, false), noise(5, 10001), 1, firmware.Dense},
		{"F1 whole area", onModule(nil, false), noise(6, firmware.MaxImage), 1, firmware.Dense},
		{"F1b blank half", onModule(nil, false), append(noise(7, size/2), bytes.Repeat([]byte{0xFF}, size/2)...), 0.75, firmware.Dense},
		{"F1b every other block blank", onModule(nil, false), half(dense, 256), 0.75, firmware.Dense},
		{"F1b every other page blank", onModule(noise(8, size), false), half(dense, 2048), 0.75, firmware.Dense},
		{"F2 identical", onModule(dense, false), dense, 0.42, firmware.Compare},
		{"F2 identical with passport", onModule(dense, true), dense, 0.42, firmware.Compare},
		{"F3 ten per cent spread", onModule(dense, false), changed(dense, tenPercent(3, 10, 128)...), 0.53, firmware.Compare},
		{"F3 ten per cent spread with passport", onModule(dense, true), changed(dense, tenPercent(3, 10, 128)...), 0.48, firmware.Compare},
		{"F3 ten per cent at the start", onModule(dense, false), changed(dense, tenPercent(0, 1, 128)...), 0.53, firmware.Compare},
		{"F3 ten per cent at the end with passport", onModule(dense, true), changed(dense, tenPercent(116, 1, 128)...), 0.48, firmware.Compare},
		{"F3 ten per cent changed in their last byte", onModule(dense, false), func() []byte {
			data := bytes.Clone(dense)
			for _, p := range tenPercent(3, 10, 128) {
				data[p*2048+2047] ^= 1
			}
			return data
		}(), 0.53, firmware.Compare},
		{"one page beside the probe", onModule(dense, false), changed(dense, 95), 0.43, firmware.Compare},
		{"the other page beside the probe", onModule(dense, false), changed(dense, 96), 0.43, firmware.Compare},
		{"first half changed", onModule(dense, false), changed(dense, tenPercent(0, 1, 640)[:64]...), 0.75, firmware.Compare},
		{"every other page changed", onModule(dense, false), changed(dense, tenPercent(1, 2, 640)[:64]...), 0.75, firmware.Compare},
		{"all but the probe changed", onModule(dense, false), func() []byte {
			data := noise(9, size)
			copy(data[96*2048:97*2048], dense[96*2048:])
			return data
		}(), 1.017, firmware.Compare},
	} {
		t.Run(c.name, func(t *testing.T) {
			rom, passport := c.before(t)
			got := flash(t, rom, image(t, c.data), firmware.Options{Passport: passport})
			wire, total := peerCost(c.data)
			ratio := float64(got.At115200) / float64(total)
			t.Logf("%-8s wire %7d of %7d (%.3f), time %8v of %8v (%.3f), %d erased, %d kept", got.Strategy, got.WireBytes, wire,
				float64(got.WireBytes)/float64(wire), got.At115200.Round(time.Millisecond), total.Round(time.Millisecond), ratio, got.PagesErased, got.PagesKept)
			if ratio > c.most {
				t.Errorf("%.4f of stm32flash, at most %.3f", ratio, c.most)
			}
			if c.most == 1 && got.WireBytes > wire {
				t.Errorf("%d bytes on the wire, stm32flash has %d", got.WireBytes, wire)
			}
			if got.Strategy != c.strategy {
				t.Errorf("strategy %s, want %s", got.Strategy, c.strategy)
			}
		})
	}
}

func TestLyingPassport(t *testing.T) {
	rom, p := newROM(), &firmware.Passport{Key: "board"}
	data := noise(1, 64<<10)
	img := image(t, data)
	flash(t, rom, img, firmware.Options{Passport: p})
	rom.reset()
	copy(rom.flash[appOffset:], noise(2, 64<<10))
	got := flash(t, rom, img, firmware.Options{Passport: p})
	if wire, _ := peerCost(data); got.WireBytes > wire {
		t.Errorf("%d bytes on the wire, stm32flash has %d", got.WireBytes, wire)
	}
}

func TestTrust(t *testing.T) {
	img, other := image(t, noise(1, 8192)), image(t, noise(2, 8192))
	fresh := func() *firmware.Passport {
		p := &firmware.Passport{Key: "board"}
		flash(t, newROM(), img, firmware.Options{Passport: p})
		return p
	}
	// nil is a port that cannot be used: nothing may be sent.
	got, err := firmware.Flash(t.Context(), nil, img, firmware.Options{Passport: fresh(), Trust: true, ReportedBuild: img.Build})
	if err != nil || got.Strategy != firmware.ByPassport || got.WireBytes != 0 || got.At115200 != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	void := fresh()
	void.Void = &firmware.Voided{Reason: "BOOT0 was high and it was not ours"}
	interrupted := fresh()
	interrupted.Interrupted = &firmware.Interruption{SHA256: img.Hash()}
	for name, opt := range map[string]firmware.Options{
		"not asked for":       {Passport: fresh(), ReportedBuild: img.Build},
		"no build reported":   {Passport: fresh(), Trust: true},
		"other build":         {Passport: fresh(), Trust: true, ReportedBuild: "150410-c2e37a3-SPWF01S"},
		"void":                {Passport: void, Trust: true, ReportedBuild: img.Build},
		"interrupted":         {Passport: interrupted, Trust: true, ReportedBuild: img.Build},
		"no passport":         {Trust: true, ReportedBuild: img.Build},
		"passport of another": {Passport: &firmware.Passport{SHA256: other.Hash(), Build: img.Build, Address: img.Address}, Trust: true, ReportedBuild: img.Build},
	} {
		t.Run(name, func(t *testing.T) {
			if got := flash(t, newROM(), img, opt); got.WireBytes == 0 {
				t.Error("nothing was proved")
			}
		})
	}
}

func TestProgress(t *testing.T) {
	var last = map[firmware.Stage]string{}
	opt := firmware.Options{Progress: func(stage firmware.Stage, done, total int) { last[stage] = fmt.Sprintf("%d/%d", done, total) }}
	flash(t, newROM(), image(t, noise(1, 5000)), opt)
	for stage, want := range map[firmware.Stage]string{"sync": "1/1", "identify": "1/1", "erase": "3/3", "write": "5000/5000"} {
		if last[stage] != want {
			t.Errorf("stage %s ended with %q, want %q", stage, last[stage], want)
		}
	}
}

func TestRefusedBeforeTheFirstByte(t *testing.T) {
	good := image(t, noise(1, 4096))
	with := func(change func(*firmware.Image)) firmware.Image {
		img := good
		img.Data = bytes.Clone(good.Data)
		change(&img)
		return img
	}
	for name, c := range map[string]struct {
		img   firmware.Image
		model string
		want  error
	}{
		"boot part":      {with(func(i *firmware.Image) { i.Address = 0x08000000 }), "", firmware.ErrRange},
		"last boot page": {with(func(i *firmware.Image) { i.Address = 0x08002000 }), "", firmware.ErrRange},
		"configuration":  {with(func(i *firmware.Image) { i.Address = 0x0807C800 }), "", firmware.ErrRange},
		"option bytes":   {with(func(i *firmware.Image) { i.Address = 0x1FFFF800 }), "", firmware.ErrRange},
		"wraps around":   {with(func(i *firmware.Image) { i.Address = 0xFFFFF800 }), "", firmware.ErrRange},
		"not a page":     {with(func(i *firmware.Image) { i.Address += 4 }), "", firmware.ErrRange},
		"altered":        {with(func(i *firmware.Image) { i.Data[17] ^= 1 }), "", firmware.ErrHash},
		"cut short":      {with(func(i *firmware.Image) { i.Data = i.Data[:100] }), "", firmware.ErrHash},
		"no bytes":       {with(func(i *firmware.Image) { i.Data = nil }), "", firmware.ErrEmpty},
		"other model":    {good, "SPWF04SA", firmware.ErrModel},
		"for ota":        {with(func(i *firmware.Image) { i.Method = firmware.OTA }), "", firmware.ErrMethod},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(newROM())
			_, err := firmware.Flash(t.Context(), w, c.img, firmware.Options{Model: c.model})
			wantIs(t, err, c.want)
			if w.sent != 0 {
				t.Errorf("%d bytes were sent", w.sent)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := newWire(newROM())
	if _, err := firmware.Flash(ctx, w, good, firmware.Options{}); err == nil || w.sent != 0 {
		t.Errorf("cancelled before the start: %v, %d bytes sent", err, w.sent)
	}
}
