package virtlab_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"hil-runner/farm/virtlab"
	"hil-runner/farm/virtlab/chip"
	"hil-runner/farm/virtlab/image"
)

// bench drives a Core: the test is its clock.
type bench struct {
	t   testing.TB
	c   *virtlab.Core
	now time.Duration
	out []byte
}

func newBench(t testing.TB, opt virtlab.Options) *bench {
	t.Helper()
	c, err := virtlab.NewCore(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	b := &bench{t: t, c: c}
	b.run(0)
	return b
}

// run lets time pass, event by event.
func (b *bench) run(d time.Duration) {
	end := b.now + d
	for {
		b.c.Advance(b.now)
		b.out = b.c.AppendOutput(b.out)
		at, ok := b.c.Next()
		if !ok || at > end {
			break
		}
		b.now = max(b.now, at)
	}
	b.now = end
	b.c.Advance(b.now)
	b.out = b.c.AppendOutput(b.out)
}

func (b *bench) take() []byte {
	out := b.out
	b.out = nil
	return out
}

// send gives bytes to the module and what it answers within d.
func (b *bench) send(d time.Duration, p ...byte) []byte {
	b.c.Receive(p)
	b.run(d)
	return b.take()
}

func (b *bench) line(l virtlab.Line, v virtlab.Level) {
	b.c.SetLine(l, v)
	b.run(0)
}

func (b *bench) reset() {
	b.line(virtlab.LineReset, virtlab.Low)
	b.line(virtlab.LineReset, virtlab.Float)
}

func (b *bench) rom() {
	b.t.Helper()
	b.line(virtlab.LineBoot0, virtlab.High)
	b.reset()
	b.line(virtlab.LineBoot0, virtlab.Low)
	b.take()
	if got := b.send(0, chip.Sync); !bytes.Equal(got, []byte{chip.Ack}) {
		b.t.Fatalf("sync: % x", got)
	}
}

func (b *bench) state(want virtlab.State) {
	b.t.Helper()
	if got := b.c.State(); got != want {
		b.t.Fatalf("module is %s, want %s", got, want)
	}
}

func TestStartsFromFlash(t *testing.T) {
	b := newBench(t, virtlab.Options{})
	b.state(virtlab.StateApp)
	text := string(b.take())
	for _, want := range []string{"+WIND:1:Poweron (150410-c2e37a3-SPWF01S)\r\n", "+WIND:0:", "+WIND:32:"} {
		i := strings.Index(text, want)
		if i < 0 {
			t.Fatalf("no %q in what came before %q", want, text)
		}
		text = text[i+len(want):]
	}
	if got := b.send(0, []byte("AT\r")...); string(got) != "\r\nOK\r\n" {
		t.Errorf("AT is answered %q", got)
	}
}

func TestDelaysFollowSpeed(t *testing.T) {
	for _, tt := range []struct{ speed, want float64 }{{1, 1}, {10, 0.1}} {
		b := newBench(t, virtlab.Options{Speed: tt.speed})
		first := time.Duration(-1)
		for range 100000 {
			at, ok := b.c.Next()
			if !ok || bytes.Contains(b.out, []byte("+WIND:32:")) {
				break
			}
			b.run(at - b.now)
			if first < 0 && len(b.out) > 0 {
				first = b.now
			}
		}
		// 20 ms of the boot part, then the release's own delays.
		want := time.Duration(tt.want * float64(320*time.Millisecond))
		if first != want {
			t.Errorf("speed %v: first byte after %v, want %v", tt.speed, first, want)
		}
	}
}

func TestLinesSelectWhatStarts(t *testing.T) {
	b := newBench(t, virtlab.Options{})
	b.take()

	b.line(virtlab.LineReset, virtlab.Low)
	b.state(virtlab.StateReset)
	if got := b.send(time.Second, []byte("AT\r")...); len(got) != 0 {
		t.Errorf("held in reset the module says %q", got)
	}
	b.line(virtlab.LineBoot0, virtlab.High)
	b.state(virtlab.StateReset) // BOOT0 counts at the rising edge only
	b.line(virtlab.LineReset, virtlab.Float)
	b.state(virtlab.StateROM)
	b.line(virtlab.LineBoot0, virtlab.Low)
	b.state(virtlab.StateROM)
	if got := b.take(); len(got) != 0 {
		t.Errorf("the boot ROM says %q unasked", got)
	}
	b.reset()
	b.state(virtlab.StateApp)

	b.line(virtlab.LinePower, virtlab.Low)
	b.state(virtlab.StateOff)
	b.take()
	b.reset()
	if got := b.send(time.Second, []byte("AT\r")...); len(got) != 0 {
		t.Errorf("without power the module says %q", got)
	}
	b.line(virtlab.LinePower, virtlab.High)
	b.state(virtlab.StateApp)
	if s := b.c.Stats(); s.PowerCycles != 2 || s.Resets != 2 || s.Boots != 3 {
		t.Errorf("counted %d power cycles, %d resets, %d boots; want 2, 2, 3", s.PowerCycles, s.Resets, s.Boots)
	}
}

func TestPowerOnInReset(t *testing.T) {
	b := newBench(t, virtlab.Options{})
	b.line(virtlab.LinePower, virtlab.Low)
	b.line(virtlab.LineReset, virtlab.Low)
	b.line(virtlab.LinePower, virtlab.Float)
	b.state(virtlab.StateReset)
	b.line(virtlab.LineReset, virtlab.Float)
	b.state(virtlab.StateApp)
}

// A restart from inside pulls RESETn low; a host that drives it high keeps the
// module from coming back.
func TestRestartHangsAgainstDrivenReset(t *testing.T) {
	b := newBench(t, virtlab.Options{})
	b.line(virtlab.LineReset, virtlab.High)
	b.take()
	got := b.send(time.Minute, []byte("AT+CFUN=1\r")...)
	if !bytes.HasSuffix(got, []byte("+WIND:2:Reset\r\n")) {
		t.Fatalf("CFUN is answered %q", got)
	}
	b.state(virtlab.StateHung)
	b.line(virtlab.LineReset, virtlab.Float)
	b.state(virtlab.StateApp)
	if got := b.take(); !bytes.Contains(got, []byte("+WIND:1:")) {
		t.Errorf("after letting go: %q", got)
	}
	if got := b.send(0, []byte("AT+CFUN=1\r")...); !bytes.Contains(got, []byte("+WIND:1:")) {
		t.Errorf("with RESETn floating CFUN gives %q", got)
	}
}

func TestDamageDecidesWhatStarts(t *testing.T) {
	tests := []struct {
		name  string
		erase int
		want  virtlab.State
	}{
		{"first boot page", 0, virtlab.StateBricked},
		{"last boot page", 4, virtlab.StateBricked},
		{"first page of the application", 5, virtlab.StateBoot},
		{"last page of the application", 195, virtlab.StateBoot},
		{"behind the application", 196, virtlab.StateApp},
		{"saved configuration", chip.ConfigPage, virtlab.StateApp},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, virtlab.Options{})
			if _, err := b.c.Flash().ErasePage(tt.erase); err != nil {
				t.Fatal(err)
			}
			b.take()
			b.reset()
			b.run(time.Hour)
			b.state(tt.want)
			if said := len(b.take()) > 0; said != (tt.want == virtlab.StateApp) {
				t.Errorf("module says something: %v", said)
			}
			b.rom() // the ROM works on every module
		})
	}
}

// Only writing the boot part brings a bricked module back, which no public
// image contains.
func TestBrickedStaysBricked(t *testing.T) {
	b := newBench(t, virtlab.Options{})
	b.rom()
	b.send(0, chip.CmdErase, ^chip.CmdErase, 0xFF, 0x00)
	if err := b.c.Flash().Load(image.Address, release(t, "3.0.0")); err != nil {
		t.Fatal(err)
	}
	b.reset()
	b.state(virtlab.StateBricked)
	b.line(virtlab.LinePower, virtlab.Low)
	b.line(virtlab.LinePower, virtlab.High)
	b.state(virtlab.StateBricked)
	if err := b.c.Flash().Load(chip.FlashBase, image.Boot()); err != nil {
		t.Fatal(err)
	}
	b.reset()
	b.state(virtlab.StateApp)
}

func TestGo(t *testing.T) {
	tests := []struct {
		target []byte
		want   virtlab.State
	}{
		{[]byte{0x08, 0x00, 0x28, 0x00, 0x20}, virtlab.StateApp},
		{[]byte{0x08, 0x00, 0x00, 0x00, 0x08}, virtlab.StateApp},
		{[]byte{0x20, 0x00, 0x02, 0x00, 0x22}, virtlab.StateHung},
	}
	for _, tt := range tests {
		b := newBench(t, virtlab.Options{})
		b.rom()
		b.send(0, append([]byte{chip.CmdGo, ^chip.CmdGo}, tt.target...)...)
		b.state(tt.want)
		b.reset()
		b.state(virtlab.StateApp)
	}
}

// A power cut at any flash operation leaves the module off until its supply
// comes again, and nothing is acknowledged.
func TestPowerCutDuringFlashing(t *testing.T) {
	for _, cut := range []chip.Cut{chip.CutBefore, chip.CutTorn, chip.CutAfter} {
		b := newBench(t, virtlab.Options{})
		b.rom()
		b.c.Flash().SetHook(func(op chip.Op) chip.Cut {
			if op.Kind == chip.OpErasePage {
				return cut
			}
			return chip.CutNone
		})
		if got := b.send(time.Second, chip.CmdErase, ^chip.CmdErase, 0, 5, 5); !bytes.Equal(got, []byte{chip.Ack}) {
			t.Errorf("cut %d: answered % x, want the first ACK only", cut, got)
		}
		b.state(virtlab.StateOff)
		b.line(virtlab.LinePower, virtlab.High)
		b.state(virtlab.StateOff)
		b.c.Flash().SetHook(nil)
		b.line(virtlab.LinePower, virtlab.Low)
		b.line(virtlab.LinePower, virtlab.High)
		want := virtlab.StateBoot
		if cut == chip.CutBefore {
			want = virtlab.StateApp
		}
		b.state(want)
	}
}

// The line's own time, exactly: 11 bits a byte and 30 ms a page.
func TestPacedROM(t *testing.T) {
	b := newBench(t, virtlab.Options{Pace: true})
	b.c.SetHostBaud(115200)
	b.run(time.Minute)
	b.line(virtlab.LineBoot0, virtlab.High)
	b.reset()
	b.take()
	start := b.now
	b.c.Receive([]byte{chip.Sync})
	at, ok := b.c.Next()
	bit := time.Second / 115200
	if got, want := at-start, 2*11*bit; !ok || got < want-time.Microsecond || got > want+time.Microsecond {
		t.Errorf("sync is answered after %v, want %v", got, want)
	}
	b.run(time.Second)
	b.take()
	b.c.Receive([]byte{chip.CmdErase, ^chip.CmdErase})
	b.run(2*11*bit + 11*bit + time.Microsecond)
	if len(b.take()) != 1 {
		t.Fatal("no ACK after its time on the line")
	}
	b.c.Receive([]byte{0, 5, 5})
	due := 3*11*bit + 30*time.Millisecond + 11*bit
	b.run(due - 10*time.Microsecond)
	if len(b.take()) != 0 {
		t.Error("ACK before the erasing is over")
	}
	b.run(20 * time.Microsecond)
	if len(b.take()) != 1 {
		t.Error("no ACK when the erasing is over")
	}
}

func TestPacedConsole(t *testing.T) {
	b := newBench(t, virtlab.Options{Pace: true})
	b.c.SetHostBaud(115200)
	b.run(time.Minute)
	b.take()
	b.c.Receive([]byte("AT\r"))
	bits := func(n int) time.Duration { return time.Duration(n) * time.Second / 115200 }
	b.run(bits(30+60) - 20*time.Microsecond)
	if got := b.take(); len(got) != 0 {
		t.Errorf("%q before three bytes in and six out have passed", got)
	}
	b.run(40 * time.Microsecond)
	if got := b.take(); string(got) != "\r\nOK\r\n" {
		t.Errorf("answered %q", got)
	}
}

func TestWrongSpeedIsGarbage(t *testing.T) {
	for _, baud := range []int{9600, 57600, 230400, 921600} {
		b := newBench(t, virtlab.Options{})
		b.take()
		b.c.SetHostBaud(baud)
		if got := b.send(time.Second, []byte("AT\rAT\r")...); bytes.Contains(got, []byte("OK")) {
			t.Errorf("at %d baud the host reads %q", baud, got)
		}
		b.c.SetHostBaud(117000) // two per cent are well within a UART's reach
		b.send(0, '\r')
		if got := b.send(0, []byte("AT\r")...); !bytes.HasSuffix(got, []byte("\r\nOK\r\n")) {
			t.Errorf("back at the right speed after %d: %q", baud, got)
		}
		b.c.SetHostBaud(baud)
		b.reset()
		first := b.take()
		b.reset()
		if again := b.take(); !bytes.Equal(first, again) {
			t.Errorf("at %d baud the same banner looks different each time", baud)
		}
		if bytes.Contains(first, []byte("WIND")) {
			t.Errorf("at %d baud the banner is readable", baud)
		}
	}
}

// The boot ROM takes its speed from the first 0x7F and keeps it.
func TestROMFindsSpeedOnce(t *testing.T) {
	b := newBench(t, virtlab.Options{})
	b.c.SetHostBaud(57600)
	b.rom()
	if got := b.send(0, chip.CmdGetID, ^chip.CmdGetID); len(got) != 5 {
		t.Fatalf("at 57600: % x", got)
	}
	b.c.SetHostBaud(115200)
	if got := b.send(0, chip.CmdGetID, ^chip.CmdGetID); len(got) == 5 {
		t.Errorf("understood at another speed: % x", got)
	}
}

func TestTLSSlotsOutliveResetAndFlashing(t *testing.T) {
	b := newBench(t, virtlab.Options{})
	b.take()
	ca := strings.Repeat("A", 1500)
	if got := b.send(0, []byte("AT+S.TLSCERT=f_ca,1500\r"+ca)...); string(got) != "\r\nOK\r\n" {
		t.Fatalf("TLSCERT: %q", got)
	}
	before := bytes.Clone(b.c.Flash().View(chip.FlashBase+chip.TLSPage*chip.PageSize, chip.TLSPages*chip.PageSize))
	if bytes.Count(before, []byte{0xFF}) == len(before) {
		t.Fatal("nothing in the flash pages of the slots")
	}
	b.line(virtlab.LinePower, virtlab.Low)
	if err := b.c.Flash().Load(image.Address, release(t, "3.5.3")); err != nil {
		t.Fatal(err)
	}
	b.line(virtlab.LinePower, virtlab.High)
	after := b.c.Flash().View(chip.FlashBase+chip.TLSPage*chip.PageSize, chip.TLSPages*chip.PageSize)
	if !bytes.Equal(before, after) {
		t.Error("the slots have changed")
	}
}

// BenchmarkFlashing is one whole flashing by the shortest protocol: what a
// campaign over every flash operation pays for one run.
func BenchmarkFlashing(b *testing.B) {
	bench := newBench(b, virtlab.Options{})
	data := release(b, "3.0.0")
	for b.Loop() {
		bench.rom()
		for page := 5; page < 196; page++ {
			bench.c.Receive([]byte{chip.CmdErase, ^chip.CmdErase, 0, byte(page), byte(page)})
		}
		for off := 0; off < len(data); off += 256 {
			block := data[off:min(off+256, len(data))]
			a := image.Address + uint32(off)
			frame := []byte{chip.CmdWriteMemory, ^chip.CmdWriteMemory, byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}
			frame = append(frame, frame[2]^frame[3]^frame[4]^frame[5], byte(len(block)-1))
			sum := byte(len(block) - 1)
			for _, x := range block {
				sum ^= x
			}
			bench.c.Receive(append(append(frame, block...), sum))
			bench.out = bench.c.AppendOutput(bench.out[:0])
		}
		bench.reset()
		bench.state(virtlab.StateApp)
	}
}
