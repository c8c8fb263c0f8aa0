package chip_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hil-runner/farm/virtlab/chip"
)

// host speaks to a ROM as a flasher does.
type host struct {
	t     testing.TB
	flash *chip.Flash
	rom   *chip.ROM
	busy  time.Duration
	last  chip.Action
}

func newHost(t testing.TB) *host {
	t.Helper()
	f := chip.NewFlash(chip.TypicalTimes())
	h := &host{t: t, flash: f, rom: chip.NewROM(f, [12]byte{1, 2, 3})}
	h.rom.Start()
	h.want([]byte{chip.Sync}, chip.Ack)
	return h
}

// send feeds bytes and gives all that comes back.
func (h *host) send(p ...byte) []byte {
	var out []byte
	h.busy, h.last = 0, chip.Stay
	for _, b := range p {
		r := h.rom.Feed(b)
		out = append(append(out, r.Ahead...), r.Out...)
		h.busy += r.Busy
		if r.Action != chip.Stay {
			h.last = r.Action
		}
		if r.Action == chip.Reset {
			h.rom.Start()
		}
	}
	return out
}

func (h *host) want(p []byte, out ...byte) {
	h.t.Helper()
	if got := h.send(p...); !bytes.Equal(got, out) {
		h.t.Fatalf("sent % x: got % x, want % x", p, got, out)
	}
}

func (h *host) command(c byte) { h.t.Helper(); h.want([]byte{c, ^c}, chip.Ack) }

func address(a uint32) []byte {
	p := binary.BigEndian.AppendUint32(nil, a)
	return append(p, p[0]^p[1]^p[2]^p[3])
}

// counted is a number, the bytes, and the XOR of all.
func counted(p ...byte) []byte {
	out := append([]byte{byte(len(p) - 1)}, p...)
	var sum byte
	for _, b := range out {
		sum ^= b
	}
	return append(out, sum)
}

func (h *host) write(a uint32, p ...byte) {
	h.t.Helper()
	h.command(chip.CmdWriteMemory)
	h.want(address(a), chip.Ack)
	h.want(counted(p...), chip.Ack)
}

func (h *host) read(a uint32, n int) []byte {
	h.t.Helper()
	h.command(chip.CmdReadMemory)
	h.want(address(a), chip.Ack)
	got := h.send(byte(n-1), ^byte(n-1))
	if len(got) != n+1 || got[0] != chip.Ack {
		h.t.Fatalf("read %d at 0x%08x: % x", n, a, got)
	}
	return got[1:]
}

func TestCommandsAnswer(t *testing.T) {
	tests := []struct {
		name  string
		steps [][]byte // sent and answered in turn
	}{
		{"get", [][]byte{{0x00, 0xFF}, {0x79, 11, 0x22, 0x00, 0x01, 0x02, 0x11, 0x21, 0x31, 0x43, 0x63, 0x73, 0x82, 0x92, 0x79}}},
		{"get version", [][]byte{{0x01, 0xFE}, {0x79, 0x22, 0, 0, 0x79}}},
		{"get id", [][]byte{{0x02, 0xFD}, {0x79, 1, 0x04, 0x14, 0x79}}},
		{"wrong complement", [][]byte{{0x00, 0xFE}, {0x1F}}},
		{"unknown command", [][]byte{{0x44, 0xBB}, {0x1F}}},
		{"second sync waits for one more byte", [][]byte{{0x7F}, {}, {0x00}, {0x1F}, {0x02, 0xFD}, {0x79, 1, 0x04, 0x14, 0x79}}},
		{"read: bad address sum", [][]byte{{0x11, 0xEE}, {0x79}, {8, 0, 0, 0, 9}, {0x1F}}},
		{"read: no such memory", [][]byte{{0x11, 0xEE}, {0x79}, address(0x40000000), {0x1F}}},
		{"read: below the host's RAM", [][]byte{{0x11, 0xEE}, {0x79}, address(0x200001FC), {0x1F}}},
		{"read: bad length complement", [][]byte{{0x11, 0xEE}, {0x79}, address(0x08000000), {0x79}, {0, 0}, {0x1F}}},
		{"read: past the end", [][]byte{{0x11, 0xEE}, {0x79}, address(0x0807FFFF), {0x79}, {1, 0xFE}, {0x1F}}},
		{"read: last byte", [][]byte{{0x11, 0xEE}, {0x79}, address(0x0807FFFF), {0x79}, {0, 0xFF}, {0x79, 0xFF}}},
		{"write: not on a word", [][]byte{{0x31, 0xCE}, {0x79}, address(0x08000002), {0x1F}}},
		{"write: system memory", [][]byte{{0x31, 0xCE}, {0x79}, address(0x1FFFF000), {0x1F}}},
		{"write: bad sum", [][]byte{{0x31, 0xCE}, {0x79}, address(0x08002800), {0x79}, {1, 0xAA, 0xBB, 0}, {0x1F}}},
		{"go: nowhere", [][]byte{{0x21, 0xDE}, {0x79}, address(0x1FFFF000), {0x1F}}},
		{"erase: bad sum", [][]byte{{0x43, 0xBC}, {0x79}, {0, 7, 8}, {0x1F}}},
		{"mass erase: bad check", [][]byte{{0x43, 0xBC}, {0x79}, {0xFF, 1}, {0x1F}}},
		{"write protect: bad sum", [][]byte{{0x63, 0x9C}, {0x79}, {0, 7, 8}, {0x1F}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			sum := h.flash.Sum()
			for i := 0; i < len(tt.steps); i += 2 {
				h.want(tt.steps[i], tt.steps[i+1]...)
			}
			if h.flash.Sum() != sum {
				t.Error("the flash has changed")
			}
			h.want([]byte{0x02, 0xFD}, 0x79, 1, 0x04, 0x14, 0x79) // the loader takes commands again
		})
	}
}

func TestBeforeSyncNothingAnswers(t *testing.T) {
	f := chip.NewFlash(chip.TypicalTimes())
	rom := chip.NewROM(f, [12]byte{})
	rom.Start()
	for b := range 256 {
		if byte(b) == chip.Sync {
			continue
		}
		if r := rom.Feed(byte(b)); len(r.Out)+len(r.Ahead) != 0 {
			t.Fatalf("byte %02x before sync is answered", b)
		}
	}
	if rom.Synced() {
		t.Error("synced without 0x7F")
	}
}

func TestEraseAndWrite(t *testing.T) {
	h := newHost(t)
	if err := h.flash.Load(0x08002800, bytes.Repeat([]byte{0x55}, 3*chip.PageSize)); err != nil {
		t.Fatal(err)
	}
	h.command(chip.CmdErase)
	h.want(counted(5, 7), chip.Ack)
	if h.busy != 60*time.Millisecond {
		t.Errorf("two pages take %v, want 60ms", h.busy)
	}
	for page, want := range map[int]byte{5: 0xFF, 6: 0x55, 7: 0xFF} {
		for i, b := range h.flash.View(chip.FlashBase+uint32(page*chip.PageSize), chip.PageSize) {
			if b != want {
				t.Fatalf("page %d byte %d is %02x, want %02x", page, i, b, want)
			}
		}
	}
	h.write(0x08002800, 1, 2, 3, 4, 5)
	if want := 3 * 52500 * time.Nanosecond; h.busy != want {
		t.Errorf("three half-words take %v, want %v", h.busy, want)
	}
	if diff := cmp.Diff([]byte{1, 2, 3, 4, 5, 0xFF}, h.read(0x08002800, 6)); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	// What is not erased keeps its value, and the loader does not tell.
	h.write(0x08002800, 9, 9, 0, 0)
	if diff := cmp.Diff([]byte{1, 2, 0, 0}, h.read(0x08002800, 4)); diff != "" {
		t.Errorf("programmed over (-want +got):\n%s", diff)
	}
	if got := h.rom.Stats(); got.ProgramErrors != 1 || got.Erases != 2 || got.HalfWords != 4 {
		t.Errorf("counted %+v", got)
	}
}

func TestMassErase(t *testing.T) {
	h := newHost(t)
	h.write(0x08000000, 0, 0, 0, 0)
	h.command(chip.CmdErase)
	h.want([]byte{0xFF, 0x00}, chip.Ack)
	if h.busy != 40*time.Millisecond {
		t.Errorf("takes %v, want 40ms", h.busy)
	}
	if fresh := chip.NewFlash(chip.Times{}); h.flash.Sum() != fresh.Sum() {
		t.Error("something is left in the flash")
	}
}

func TestMemories(t *testing.T) {
	h := newHost(t)
	h.write(0x20000200, 1, 2, 3, 4)
	if got := h.read(0x20000200, 4); !bytes.Equal(got, []byte{1, 2, 3, 4}) {
		t.Errorf("RAM reads % x", got)
	}
	if got := h.read(0x1FFFF7E0, 2); !bytes.Equal(got, []byte{0x00, 0x02}) {
		t.Errorf("size register reads % x, want 512 KiB", got)
	}
	if got := h.read(0x1FFFF7E8, 3); !bytes.Equal(got, []byte{1, 2, 3}) {
		t.Errorf("unique id reads % x", got)
	}
	if got := h.read(0x1FFFF800, 2); !bytes.Equal(got, []byte{0xA5, 0x5A}) {
		t.Errorf("option bytes read % x", got)
	}
}

func TestGoJumps(t *testing.T) {
	for _, target := range []uint32{0x08002800, 0x20000200} {
		h := newHost(t)
		h.command(chip.CmdGo)
		h.want(address(target), chip.Ack)
		if h.last != chip.Jump {
			t.Errorf("go 0x%08x: action %v, want a jump", target, h.last)
		}
	}
}

func TestWriteProtection(t *testing.T) {
	h := newHost(t)
	h.command(chip.CmdWriteProtect)
	h.want(counted(2, 31), chip.Ack) // pages 4 and 5, and 62 to 255
	if h.last != chip.Reset {
		t.Fatal("no reset after write protection")
	}
	h.want([]byte{chip.Sync}, chip.Ack)
	for page, want := range map[int]bool{3: false, 4: true, 5: true, 6: false, 61: false, 62: true, 255: true} {
		if h.flash.Protected(page) != want {
			t.Errorf("page %d protected: %v, want %v", page, !want, want)
		}
	}
	h.write(0x08002800, 1, 2, 3, 4) // acknowledged and without effect
	if got := h.read(0x08002800, 4); !bytes.Equal(got, []byte{0xFF, 0xFF, 0xFF, 0xFF}) {
		t.Errorf("protected page reads % x", got)
	}
	h.want([]byte{chip.CmdWriteUnprotect, ^chip.CmdWriteUnprotect}, chip.Ack, chip.Ack)
	h.want([]byte{chip.Sync}, chip.Ack)
	h.write(0x08002800, 1, 2, 3, 4)
	if got := h.read(0x08002800, 4); !bytes.Equal(got, []byte{1, 2, 3, 4}) {
		t.Errorf("after unprotecting reads % x", got)
	}
}

func TestReadoutProtection(t *testing.T) {
	h := newHost(t)
	h.write(0x08002800, 1, 2, 3, 4)
	h.want([]byte{chip.CmdReadoutProtect, ^chip.CmdReadoutProtect}, chip.Ack, chip.Ack)
	h.want([]byte{chip.Sync}, chip.Ack)
	for _, c := range []byte{chip.CmdReadMemory, chip.CmdGo, chip.CmdWriteMemory, chip.CmdErase,
		chip.CmdWriteProtect, chip.CmdWriteUnprotect, chip.CmdReadoutProtect} {
		h.want([]byte{c, ^c}, chip.Nack)
	}
	h.want([]byte{chip.CmdGetID, ^chip.CmdGetID}, 0x79, 1, 0x04, 0x14, 0x79)
}

func TestReadoutUnprotectErasesEverything(t *testing.T) {
	h := newHost(t)
	h.write(0x08002800, 1, 2, 3, 4)
	h.want([]byte{chip.CmdReadoutProtect, ^chip.CmdReadoutProtect}, chip.Ack, chip.Ack)
	h.want([]byte{chip.Sync}, chip.Ack)
	h.want([]byte{chip.CmdReadoutUnprotect, ^chip.CmdReadoutUnprotect}, chip.Ack, chip.Ack)
	if h.last != chip.Reset {
		t.Error("no reset")
	}
	h.want([]byte{chip.Sync}, chip.Ack)
	if got := h.read(0x08002800, 4); !bytes.Equal(got, []byte{0xFF, 0xFF, 0xFF, 0xFF}) {
		t.Errorf("reads % x", got)
	}
}

func TestWireTime(t *testing.T) {
	h := newHost(t) // 1 in, 1 out
	h.command(chip.CmdErase)
	h.want(counted(5), chip.Ack) // 2+3 in, 2 out
	s := h.rom.Stats()
	if s.RxBytes != 6 || s.TxBytes != 3 {
		t.Fatalf("counted %d in, %d out; want 6 and 3", s.RxBytes, s.TxBytes)
	}
	if got, want := s.WireTime(110), 900*time.Millisecond+30*time.Millisecond; got != want {
		t.Errorf("wire time at 110 baud %v, want %v", got, want)
	}
}

// FuzzROM: whatever is fed, the loader neither panics nor answers without
// being asked, and after enough bytes of rest it takes commands again.
func FuzzROM(f *testing.F) {
	f.Add([]byte{0x7F, 0x00, 0xFF})
	f.Add(append([]byte{0x7F, 0x31, 0xCE}, address(0x08002800)...))
	f.Add(append(append([]byte{0x7F, 0x43, 0xBC}, counted(1, 2, 3)...), 0x11, 0xEE))
	f.Add([]byte{0x7F, 0x82, 0x7D, 0x7F, 0x92, 0x6D, 0x7F})
	f.Fuzz(func(t *testing.T, p []byte) {
		flash := chip.NewFlash(chip.TypicalTimes())
		rom := chip.NewROM(flash, [12]byte{})
		rom.Start()
		for _, b := range p {
			synced := rom.Synced()
			r := rom.Feed(b)
			if !synced && b != chip.Sync && len(r.Out) != 0 {
				t.Fatal("answers before sync")
			}
			if len(r.Ahead)+len(r.Out) > 1+257 {
				t.Fatalf("answer of %d bytes", len(r.Out))
			}
			if r.Action != chip.Stay {
				rom.Start()
			}
		}
		if !rom.Synced() {
			rom.Feed(chip.Sync)
		}
		// At most a data frame is open: it ends, and the next command is refused.
		answered := false
		for range 264 {
			r := rom.Feed(0x55)
			answered = answered || len(r.Out) > 0
			if r.Action != chip.Stay {
				rom.Start()
				rom.Feed(chip.Sync)
			}
		}
		if !answered {
			t.Fatal("264 bytes without an answer")
		}
		if s := rom.Stats(); s.RxBytes < uint64(len(p)) {
			t.Fatalf("%d bytes counted, %d fed", s.RxBytes, len(p))
		}
	})
}
