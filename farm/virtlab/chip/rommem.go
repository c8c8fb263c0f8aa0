package chip

import (
	"bytes"
	"encoding/binary"
	"time"
)

// Memory that the loader reaches besides the flash (AN2606, AN3155).
const (
	// RAMBase is the first byte that the loader leaves to the host: it uses
	// what is below for itself.
	RAMBase  uint32 = 0x20000200
	RAMStart uint32 = 0x20000000
	RAMSize         = 64 << 10
	// SystemBase is the loader's own memory, readable only.
	SystemBase uint32 = 0x1FFFF000
	SystemSize        = 2 << 10

	sizeRegister = 0x1FFFF7E0 - SystemBase // flash size in KiB
	uidRegister  = 0x1FFFF7E8 - SystemBase // 96-bit unique id
)

// area names what an address belongs to.
type area int

const (
	nowhere area = iota
	inFlash
	inRAM
	inSystem
	inOptions
)

// locate finds the area of an address and how many bytes it has from there.
func locate(addr uint32) (area, int) {
	within := func(base uint32, size int) (int, bool) {
		if addr < base || uint64(addr) >= uint64(base)+uint64(size) {
			return 0, false
		}
		return size - int(addr-base), true
	}
	if n, ok := within(FlashBase, FlashSize); ok {
		return inFlash, n
	}
	if n, ok := within(RAMBase, RAMSize-int(RAMBase-RAMStart)); ok {
		return inRAM, n
	}
	if n, ok := within(SystemBase, SystemSize); ok {
		return inSystem, n
	}
	if n, ok := within(OptionBase, OptionBytes); ok {
		return inOptions, n
	}
	return nowhere, 0
}

// addressAllowed checks the address that was just received for its command.
func (r *ROM) addressAllowed() bool {
	where, _ := locate(r.address)
	switch r.command {
	case CmdReadMemory:
		return where != nowhere
	case CmdGo:
		return where == inFlash || where == inRAM
	default:
		return (where == inFlash || where == inRAM || where == inOptions) && r.address%4 == 0
	}
}

func (r *ROM) read() Reply {
	where, left := locate(r.address)
	if r.want > left {
		return r.nack()
	}
	r.out = append(r.out[:0], Ack)
	off := r.address
	switch where {
	case inFlash:
		r.out = append(r.out, r.flash.View(r.address, r.want)...)
	case inRAM:
		off -= RAMStart
		r.out = append(r.out, r.ram[off:int(off)+r.want]...)
	case inOptions:
		o := r.flash.Options()
		off -= OptionBase
		r.out = append(r.out, o[off:int(off)+r.want]...)
	default:
		off -= SystemBase
		system := r.system()
		r.out = append(r.out, system[off:int(off)+r.want]...)
	}
	return Reply{Out: r.out}
}

// system is the loader's memory as a host may read it: the code is not
// modelled, the registers at its end are.
func (r *ROM) system() []byte {
	p := make([]byte, SystemSize)
	noise := tear{state: 0x1FFFF000}
	for i := range p {
		p[i] = byte(noise.next())
	}
	binary.LittleEndian.PutUint16(p[sizeRegister:], FlashSize>>10)
	copy(p[uidRegister:], r.uid[:])
	return p
}

// write carries out Write Memory. As on the part, a write-protected page or a
// half-word that is not erased is not reported: only reading back shows it.
func (r *ROM) write() Reply {
	where, left := locate(r.address)
	if len(r.buf) > left {
		return r.nack()
	}
	switch where {
	case inRAM:
		copy(r.ram[r.address-RAMStart:], r.buf)
		return r.ack()
	case inOptions:
		return r.finish(r.flash.WriteOptions(int(r.address-OptionBase), r.buf))
	}
	before := r.flash.Ops()
	busy, err := r.flash.Program(r.address, r.buf)
	r.stats.HalfWords += r.flash.Ops() - before
	if err != nil {
		r.stats.ProgramErrors++
	}
	return r.done(busy)
}

func (r *ROM) erasePages() Reply {
	var busy time.Duration
	for _, page := range r.buf {
		d, err := r.flash.ErasePage(int(page))
		busy += d
		if err == nil {
			r.stats.Erases++
		}
		if r.flash.Cut() {
			break
		}
	}
	return r.done(busy)
}

func (r *ROM) massErase() Reply {
	busy, err := r.flash.MassErase()
	if err == nil {
		r.stats.MassErases++
	}
	return r.done(busy)
}

// unlock lifts read-out protection, which costs the whole flash.
func (r *ROM) unlock() Reply {
	spent := r.flash.times.MassErase
	cut, err := r.flash.begin(OpMassErase, FlashBase, 0)
	r.flash.erase(r.flash.mem, cut)
	if err != nil {
		return Reply{Busy: spent, Action: PowerLost}
	}
	r.stats.MassErases++
	d, err := r.flash.lock(false)
	return r.finish(spent+d, err)
}

// done acknowledges work on the flash unless the power went away.
func (r *ROM) done(busy time.Duration) Reply {
	if r.flash.Cut() {
		return Reply{Busy: busy, Action: PowerLost}
	}
	reply := r.ack()
	reply.Busy = busy
	return reply
}

// The application interrupt and reset control register of a Cortex-M3, and
// what is written to it for a system reset (ARMv7-M architecture, B3.2.6).
const (
	aircr        = 0xE000ED0C
	sysResetWord = 0x05FA0004
)

// ResetsAt says whether code that a host has put into RAM asks for a system
// reset. No code is executed here: a stub shows itself by the register and the
// key among its first words, wherever they are.
func (r *ROM) ResetsAt(addr uint32) bool {
	where, left := locate(addr)
	if where != inRAM {
		return false
	}
	code := r.ram[addr-RAMStart:][:min(left, 64)]
	has := func(word uint32) bool {
		return bytes.Contains(code, binary.LittleEndian.AppendUint32(nil, word))
	}
	return has(aircr) && has(sysResetWord)
}
