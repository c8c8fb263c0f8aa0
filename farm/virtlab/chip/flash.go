// Package chip models the silicon inside an SPWF01SA module: the embedded
// flash of a high-density STM32F103 with its programming rules, and the
// system-memory boot loader that speaks over the UART. It is a pure model:
// nothing here starts a goroutine or reads a clock, so a flashing can be
// replayed as often and as fast as a test likes.
package chip

import (
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// The memory map of the part (STM32F103xC/D/E reference manual, AN2606).
const (
	// FlashBase is where the embedded flash starts, FlashSize its length in
	// bytes, PageSize the unit of erasing.
	FlashBase uint32 = 0x08000000
	FlashSize        = 512 << 10
	PageSize         = 2 << 10
	Pages            = FlashSize / PageSize
	// BootPages is the number of pages at FlashBase that hold the module's
	// own boot part. The application starts behind them, at AppBase.
	BootPages        = 5
	AppBase   uint32 = FlashBase + BootPages*PageSize
	// ConfigPage and TLSPage are the first pages of the module's
	// non-volatile areas at the end of the flash.
	ConfigPage  = 250
	ConfigPages = 2
	TLSPage     = 252
	TLSPages    = 4
)

// Times are the durations of flash operations.
type Times struct {
	PageErase time.Duration `json:"page_erase"`
	MassErase time.Duration `json:"mass_erase"`
	HalfWord  time.Duration `json:"half_word"`
}

// TypicalTimes are the typical figures of the part: 30 ms a page, 40 ms for
// the whole flash, 52.5 us a half-word.
func TypicalTimes() Times {
	return Times{PageErase: 30 * time.Millisecond, MassErase: 40 * time.Millisecond, HalfWord: 52500 * time.Nanosecond}
}

// Errors of flash operations. All but ErrPowerCut leave the flash as it was.
var (
	// ErrRange is an address outside the flash or not on a half-word.
	ErrRange = errors.New("address outside the flash")
	// ErrNotErased is the PGERR of PM0075: a half-word that is not erased
	// takes no value but 0x0000.
	ErrNotErased = errors.New("half-word is not erased")
	// ErrProtected is the WRPRTERR of PM0075.
	ErrProtected = errors.New("page is write-protected")
	// ErrPowerCut reports that the supply went away during or before the
	// operation. Every later operation fails with it until Restore.
	ErrPowerCut = errors.New("power was cut")
)

// OpKind names what an operation does to the flash.
type OpKind int

// The kinds of operation that a hook sees.
const (
	OpErasePage OpKind = iota
	OpMassErase
	OpProgram
	OpEraseOptions
	OpProgramOptions
)

var opNames = [...]string{"erase_page", "mass_erase", "program", "erase_options", "program_options"}

func (k OpKind) String() string {
	if k < 0 || int(k) >= len(opNames) {
		return fmt.Sprintf("OpKind(%d)", int(k))
	}
	return opNames[k]
}

// Op is one operation about to happen.
type Op struct {
	// Number counts operations from 1 over the life of the Flash.
	Number  uint64
	Kind    OpKind
	Address uint32
	// Value is what a programming writes.
	Value uint16
}

// Cut says what happens to the supply at an operation.
type Cut int

const (
	// CutNone lets the operation happen.
	CutNone Cut = iota
	// CutBefore takes the power away before the operation.
	CutBefore
	// CutTorn takes it away in the middle: some bits have changed.
	CutTorn
	// CutAfter takes it away when the operation is done and nobody knows yet.
	CutAfter
)

// Hook is asked at every operation.
type Hook func(Op) Cut

// Flash is the embedded flash with its option bytes. It is not safe for
// concurrent use: the module's loop owns it.
type Flash struct {
	mem     []byte
	options [OptionBytes]byte
	locked  bool   // read-out protection, as loaded at the last reset
	wrp     uint32 // write protection, as loaded at the last reset: bit clear = protected
	times   Times
	ops     uint64
	hook    Hook
	dead    bool
}

// NewFlash gives an erased flash with factory option bytes.
func NewFlash(t Times) *Flash {
	f := &Flash{mem: make([]byte, FlashSize), times: t}
	fill(f.mem)
	f.options = factoryOptions()
	f.LoadOptions()
	return f
}

func fill(p []byte) {
	if len(p) == 0 {
		return
	}
	p[0] = 0xFF
	for n := 1; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
}

// SetHook sets the hook; nil removes it.
func (f *Flash) SetHook(h Hook) { f.hook = h }

// Ops is the number of operations so far.
func (f *Flash) Ops() uint64 { return f.ops }

// Times gives the durations of the operations.
func (f *Flash) Times() Times { return f.times }

// SetTimes changes the durations of the operations.
func (f *Flash) SetTimes(t Times) { f.times = t }

// Cut reports whether a hook cut the power and nobody restored it yet.
func (f *Flash) Cut() bool { return f.dead }

// Restore brings the power back after a cut.
func (f *Flash) Restore() { f.dead = false }

// View gives n bytes at addr, nil when they are not all in the flash. The
// slice shows the flash itself: it must not be written and changes with it.
func (f *Flash) View(addr uint32, n int) []byte {
	if addr < FlashBase || n < 0 || uint64(addr-FlashBase)+uint64(n) > FlashSize {
		return nil
	}
	off := int(addr - FlashBase)
	return f.mem[off : off+n : off+n]
}

// Load puts bytes into the flash as a factory does: no operation is counted
// and nothing needs to be erased.
func (f *Flash) Load(addr uint32, p []byte) error {
	if f.View(addr, len(p)) == nil {
		return fmt.Errorf("load %d bytes at 0x%08x: %w", len(p), addr, ErrRange)
	}
	copy(f.mem[addr-FlashBase:], p)
	return nil
}

// begin counts an operation and asks the hook.
func (f *Flash) begin(kind OpKind, addr uint32, value uint16) (Cut, error) {
	if f.dead {
		return CutBefore, ErrPowerCut
	}
	f.ops++
	if f.hook == nil {
		return CutNone, nil
	}
	cut := f.hook(Op{Number: f.ops, Kind: kind, Address: addr, Value: value})
	if cut == CutNone {
		return CutNone, nil
	}
	f.dead = true
	return cut, ErrPowerCut
}

// ErasePage sets one page to 0xFF and gives the time that takes.
func (f *Flash) ErasePage(page int) (time.Duration, error) {
	if page < 0 || page >= Pages {
		return 0, fmt.Errorf("erase page %d: %w", page, ErrRange)
	}
	if f.Protected(page) {
		return 0, fmt.Errorf("erase page %d: %w", page, ErrProtected)
	}
	at := page * PageSize
	cut, err := f.begin(OpErasePage, FlashBase+uint32(at), 0)
	f.erase(f.mem[at:at+PageSize], cut)
	return f.times.PageErase, err
}

// MassErase sets the whole flash to 0xFF; the option bytes stay. It does
// nothing while a page is write-protected.
func (f *Flash) MassErase() (time.Duration, error) {
	if f.wrp != 0xFFFFFFFF {
		return 0, fmt.Errorf("mass erase: %w", ErrProtected)
	}
	cut, err := f.begin(OpMassErase, FlashBase, 0)
	f.erase(f.mem, cut)
	return f.times.MassErase, err
}

func (f *Flash) erase(p []byte, cut Cut) {
	switch cut {
	case CutNone, CutAfter:
		fill(p)
	case CutTorn:
		noise := tear{state: uint32(f.ops)*2654435761 + 1}
		for i := range p {
			p[i] |= byte(noise.next())
		}
	}
}

// ProgramHalfWord writes one half-word. An erased one takes every value, any
// other takes only 0x0000 (PM0075).
func (f *Flash) ProgramHalfWord(addr uint32, value uint16) (time.Duration, error) {
	if addr%2 != 0 || f.View(addr, 2) == nil {
		return 0, fmt.Errorf("program 0x%08x: %w", addr, ErrRange)
	}
	off := addr - FlashBase
	if f.Protected(int(off / PageSize)) {
		return 0, fmt.Errorf("program 0x%08x: %w", addr, ErrProtected)
	}
	if f.dead {
		return 0, ErrPowerCut
	}
	if (f.mem[off] != 0xFF || f.mem[off+1] != 0xFF) && value != 0 {
		return 0, fmt.Errorf("program 0x%08x: %w", addr, ErrNotErased)
	}
	cut, err := f.begin(OpProgram, addr, value)
	program(f.mem[off:off+2], value, cut, f.ops)
	return f.times.HalfWord, err
}

// program clears bits as the cell does; a torn one clears only some of them.
func program(cell []byte, value uint16, cut Cut, op uint64) {
	if cut == CutBefore {
		return
	}
	if cut == CutTorn {
		noise := tear{state: uint32(op)*2654435761 + 1}
		value |= uint16(noise.next())
	}
	cell[0] &= byte(value)
	cell[1] &= byte(value >> 8)
}

// Program writes p from addr on, padding an odd last byte with 0xFF, and gives
// the time that takes. The first error is kept, but as on the part the
// remaining half-words are still tried; only a power cut ends it.
func (f *Flash) Program(addr uint32, p []byte) (time.Duration, error) {
	var spent time.Duration
	var first error
	for i := 0; i < len(p); i += 2 {
		value := uint16(p[i]) | 0xFF00
		if i+1 < len(p) {
			value = uint16(p[i]) | uint16(p[i+1])<<8
		}
		d, err := f.ProgramHalfWord(addr+uint32(i), value)
		spent += d
		if err != nil && first == nil {
			first = err
		}
		if f.dead {
			return spent, ErrPowerCut
		}
	}
	return spent, first
}

// Sum is the CRC-32 of the whole flash, for comparing two states.
func (f *Flash) Sum() uint32 { return crc32.ChecksumIEEE(f.mem) }

// Protected reports whether a page is write-protected. In a high-density part
// bits 0-30 stand for two pages each, bit 31 for all above (PM0075).
func (f *Flash) Protected(page int) bool {
	return f.wrp&(1<<min(page/2, 31)) == 0
}

// tear is a small generator (xorshift32) for the bits that a cut leaves behind.
type tear struct{ state uint32 }

func (t *tear) next() uint32 {
	if t.state == 0 {
		t.state = 0x9E3779B9
	}
	t.state ^= t.state << 13
	t.state ^= t.state >> 17
	t.state ^= t.state << 5
	return t.state >> 8
}
