package virtlab_test

import (
	"testing"
	"time"

	"hil-runner/farm/virtlab"
	"hil-runner/farm/virtlab/chip"
	"hil-runner/farm/virtlab/image"
)

// flashPage erases page 5 and writes it again, as far as the power lasts.
func flashPage(b *bench, page []byte) {
	b.c.Receive([]byte{chip.CmdErase, ^chip.CmdErase, 0, 5, 5})
	for off := 0; off < len(page); off += 256 {
		a := image.Address + uint32(off)
		p := []byte{chip.CmdWriteMemory, ^chip.CmdWriteMemory, byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}
		p = append(p, p[2]^p[3]^p[4]^p[5], 0xFF)
		sum := byte(0xFF)
		for _, x := range page[off : off+256] {
			sum ^= x
		}
		b.c.Receive(append(append(p, page[off:off+256]...), sum))
	}
	b.out = b.c.AppendOutput(b.out[:0])
}

// However the power goes away at whatever operation of a flashing, the module
// is never bricked, starts nothing but a whole image, and takes the flashing
// when it is repeated.
func TestPowerCutAtEveryOperation(t *testing.T) {
	stride := uint64(23)
	if testing.Short() {
		stride = 211
	}
	b := newBench(t, virtlab.Options{})
	page := release(t, virtlab.DefaultRelease)[:chip.PageSize]
	powerCycle := func() {
		b.line(virtlab.LinePower, virtlab.Low)
		b.line(virtlab.LinePower, virtlab.High)
	}
	const ops = 1 + chip.PageSize/2
	for n := uint64(1); n <= ops; n += stride {
		for _, cut := range []chip.Cut{chip.CutBefore, chip.CutTorn, chip.CutAfter} {
			b.rom()
			at := b.c.Flash().Ops() + n
			b.c.Flash().SetHook(func(op chip.Op) chip.Cut {
				if op.Number == at {
					return cut
				}
				return chip.CutNone
			})
			flashPage(b, page)
			b.state(virtlab.StateOff)
			b.c.Flash().SetHook(nil)
			powerCycle()
			_, err := image.Parse(b.c.Flash().View(image.Address, image.Size))
			if state := b.c.State(); state == virtlab.StateBricked || (state == virtlab.StateApp) != (err == nil) {
				t.Fatalf("operation %d, cut %d: module is %s with an image that is %v", n, cut, state, err)
			}
			b.rom()
			flashPage(b, page)
			b.reset()
			b.state(virtlab.StateApp)
		}
	}
}

// FuzzCore does anything to a module in any order: it neither panics nor
// keeps output without bound, and after power and reset it still has a state
// that its flash explains.
func FuzzCore(f *testing.F) {
	f.Add([]byte{0, 1, 4, 'A', 'T', '\r', 3, 200})
	f.Add([]byte{1, 1, 1, 2, 0, 1, 0, 0, 3, 0x7F, 0x00, 0xFF})
	f.Add([]byte("\x04AT+S.SCFG=console1_speed,9600\rAT&W\rAT+CFUN=1\r"))
	firmware := release(f, "3.5.3")
	f.Fuzz(func(t *testing.T, p []byte) {
		b := newBench(t, virtlab.Options{Image: firmware, Speed: 100})
		for len(p) > 1 {
			op, arg := p[0]%8, p[1]
			p = p[2:]
			switch op {
			case 0, 1, 2:
				b.line(virtlab.Line(arg%4), virtlab.Level(arg/4%3))
			case 3:
				b.run(time.Duration(arg) * time.Millisecond)
			case 4:
				b.c.SetHostBaud([]int{0, 9600, 115200, 921600}[arg%4])
			default:
				n := min(int(arg), len(p))
				b.c.Receive(p[:n])
				p = p[n:]
				b.run(0)
			}
			if len(b.out) > 4<<20 {
				t.Fatal("output without bound")
			}
		}
		b.line(virtlab.LineBoot0, virtlab.Low)
		b.line(virtlab.LineReset, virtlab.Float)
		b.line(virtlab.LinePower, virtlab.Low)
		b.line(virtlab.LinePower, virtlab.High)
		b.run(time.Second)
		boot := image.CheckBoot(b.c.Flash().View(chip.FlashBase, image.BootSize))
		if state := b.c.State(); (state == virtlab.StateBricked) != (boot != nil) {
			t.Fatalf("module is %s, its boot part %v", state, boot)
		}
	})
}
