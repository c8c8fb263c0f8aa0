package firmware_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// fakeROM is the boot ROM of an STM32F1 of high density, written from AN3155
// for these tests: bytes in, bytes out, and how long it is busy for them. It
// has every command that stm32flash asks for.
type fakeROM struct {
	flash  []byte
	chip   uint16
	synced bool
	// erase and program are what the flash takes for a page and a half word.
	erase, program time.Duration
	// dead is a module without power; cutAt is the flash operation, counted
	// from 1, in which the power goes.
	dead  bool
	cutAt int
	ops   int
	// nack refuses a step: "cmd 31", "addr 31", "data 31", "count 11", "list 43".
	nack string
	// garble changes the n-th byte, counted from 1, that Read Memory gives.
	garble, given int

	frame   []byte
	step    func(b byte) ([]byte, time.Duration)
	command byte
	addr    uint32

	erasedPages []int
	halfWords   int
	commands    map[byte]int
}

const (
	ack  = 0x79
	nack = 0x1F
)

func newROM() *fakeROM {
	r := &fakeROM{flash: bytes.Repeat([]byte{0xFF}, 512<<10), chip: 0x414,
		erase: 30 * time.Millisecond, program: 52500 * time.Nanosecond}
	r.reset()
	return r
}

// reset is RESETn with BOOT0 high.
func (r *fakeROM) reset() {
	r.synced, r.dead, r.frame, r.cutAt, r.ops = false, false, nil, 0, 0
	r.erasedPages, r.halfWords, r.commands = nil, 0, map[byte]int{}
	r.step = r.idle
}

// feed takes one byte of the host.
func (r *fakeROM) feed(b byte) ([]byte, time.Duration) {
	if r.dead {
		return nil, 0
	}
	out, busy := r.step(b)
	if r.dead {
		return nil, 0
	}
	return out, busy
}

func (r *fakeROM) idle(b byte) ([]byte, time.Duration) {
	if !r.synced {
		if b != 0x7F {
			return nil, 0
		}
		r.synced = true
		return []byte{ack}, 0
	}
	r.command = b
	r.step = r.complement
	return nil, 0
}

func (r *fakeROM) refuse() ([]byte, time.Duration) {
	r.step, r.frame = r.idle, nil
	return []byte{nack}, 0
}

func (r *fakeROM) done(out []byte, busy time.Duration) ([]byte, time.Duration) {
	r.step, r.frame = r.idle, nil
	return out, busy
}

func (r *fakeROM) complement(b byte) ([]byte, time.Duration) {
	if b != ^r.command || r.refused("cmd") {
		return r.refuse()
	}
	r.commands[r.command]++
	switch r.command {
	case 0x00:
		return r.done([]byte{ack, 11, 0x22, 0x00, 0x01, 0x02, 0x11, 0x21, 0x31, 0x43, 0x63, 0x73, 0x82, 0x92, ack}, 0)
	case 0x01:
		return r.done([]byte{ack, 0x22, 0, 0, ack}, 0)
	case 0x02:
		return r.done([]byte{ack, 1, byte(r.chip >> 8), byte(r.chip), ack}, 0)
	case 0x11, 0x31:
		r.step = r.address
		return []byte{ack}, 0
	case 0x43:
		r.step = r.eraseList
		return []byte{ack}, 0
	}
	return r.refuse()
}

func (r *fakeROM) refused(step string) bool {
	return r.nack == fmt.Sprintf("%s %02x", step, r.command)
}

func checksum(p []byte) (x byte) {
	for _, b := range p {
		x ^= b
	}
	return x
}

func (r *fakeROM) address(b byte) ([]byte, time.Duration) {
	if r.frame = append(r.frame, b); len(r.frame) < 5 {
		return nil, 0
	}
	if checksum(r.frame) != 0 || r.refused("addr") {
		return r.refuse()
	}
	r.addr = binary.BigEndian.Uint32(r.frame)
	r.frame = nil
	r.step = r.readCount
	if r.command == 0x31 {
		r.step = r.data
	}
	return []byte{ack}, 0
}

func (r *fakeROM) readCount(b byte) ([]byte, time.Duration) {
	if r.frame = append(r.frame, b); len(r.frame) < 2 {
		return nil, 0
	}
	off, n := int(r.addr-0x08000000), int(r.frame[0])+1
	if r.frame[1] != ^r.frame[0] || r.refused("count") || off < 0 || off+n > len(r.flash) {
		return r.refuse()
	}
	out := append([]byte{ack}, r.flash[off:off+n]...)
	if k := r.garble - r.given; k > 0 && k <= n {
		out[k] ^= 0x04
	}
	r.given += n
	return r.done(out, 0)
}

func (r *fakeROM) data(b byte) ([]byte, time.Duration) {
	if r.frame = append(r.frame, b); len(r.frame) < int(r.frame[0])+3 {
		return nil, 0
	}
	p := r.frame[1 : len(r.frame)-1]
	if checksum(r.frame) != 0 || len(p)%4 != 0 || r.addr%4 != 0 || r.refused("data") {
		return r.refuse()
	}
	off := int(r.addr - 0x08000000)
	for i := 0; i < len(p); i += 2 {
		if r.operation() {
			return nil, 0
		}
		// The cells can only be cleared, and only when they were erased.
		if r.flash[off+i] == 0xFF && r.flash[off+i+1] == 0xFF {
			copy(r.flash[off+i:], p[i:i+2])
		}
	}
	r.halfWords += len(p) / 2
	return r.done([]byte{ack}, time.Duration(len(p)/2)*r.program)
}

func (r *fakeROM) eraseList(b byte) ([]byte, time.Duration) {
	r.frame = append(r.frame, b)
	if r.frame[0] == 0xFF {
		if len(r.frame) < 2 {
			return nil, 0
		}
		for i := range r.flash {
			r.flash[i] = 0xFF
		}
		r.erasedPages = append(r.erasedPages, -1)
		return r.done([]byte{ack}, r.erase)
	}
	if len(r.frame) < int(r.frame[0])+3 {
		return nil, 0
	}
	if checksum(r.frame) != 0 || r.refused("list") {
		return r.refuse()
	}
	pages := r.frame[1 : len(r.frame)-1]
	for _, p := range pages {
		if r.operation() {
			return nil, 0
		}
		copy(r.flash[int(p)*2048:], bytes.Repeat([]byte{0xFF}, 2048))
		r.erasedPages = append(r.erasedPages, int(p))
	}
	return r.done([]byte{ack}, time.Duration(len(pages))*r.erase)
}

// operation says whether the power goes in this operation.
func (r *fakeROM) operation() bool {
	r.ops++
	r.dead = r.dead || r.ops == r.cutAt
	return r.dead
}
