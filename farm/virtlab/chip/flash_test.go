package chip_test

import (
	"errors"
	"testing"

	"hil-runner/farm/virtlab/chip"
)

func TestProgramRules(t *testing.T) {
	tests := []struct {
		name string
		addr uint32
		old  uint16
		new  uint16
		want uint16
		err  error
	}{
		{"erased takes everything", 0x08002800, 0xFFFF, 0x1234, 0x1234, nil},
		{"not erased keeps its value", 0x08002800, 0x1234, 0x1230, 0x1234, chip.ErrNotErased},
		{"not erased takes zero", 0x08002800, 0x1234, 0x0000, 0x0000, nil},
		{"half erased is not erased", 0x08002800, 0xFF34, 0x0034, 0xFF34, chip.ErrNotErased},
		{"odd address", 0x08002801, 0xFFFF, 0x1234, 0xFFFF, chip.ErrRange},
		{"outside", 0x08080000, 0xFFFF, 0x1234, 0xFFFF, chip.ErrRange},
		{"below", 0x07FFFFFE, 0xFFFF, 0x1234, 0xFFFF, chip.ErrRange},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := chip.NewFlash(chip.Times{})
			if f.View(tt.addr, 2) != nil {
				if err := f.Load(tt.addr, []byte{byte(tt.old), byte(tt.old >> 8)}); err != nil {
					t.Fatal(err)
				}
			}
			_, err := f.ProgramHalfWord(tt.addr, tt.new)
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if p := f.View(tt.addr, 2); p != nil {
				if got := uint16(p[0]) | uint16(p[1])<<8; got != tt.want {
					t.Errorf("reads %04x, want %04x", got, tt.want)
				}
			}
		})
	}
}

func TestCuts(t *testing.T) {
	tests := []struct {
		cut  chip.Cut
		page func(old byte) bool // what a byte of the erased page may be
		cell func(v uint16) bool // what the half-word may be
	}{
		{chip.CutBefore, func(b byte) bool { return b == 0x21 }, func(v uint16) bool { return v == 0xFFFF }},
		{chip.CutTorn, func(b byte) bool { return b&0x21 == 0x21 }, func(v uint16) bool { return v&0x1234 == 0x1234 }},
		{chip.CutAfter, func(b byte) bool { return b == 0xFF }, func(v uint16) bool { return v == 0x1234 }},
	}
	for _, tt := range tests {
		f := chip.NewFlash(chip.Times{})
		page := make([]byte, chip.PageSize)
		for i := range page {
			page[i] = 0x21
		}
		if err := f.Load(0x08003000, page); err != nil {
			t.Fatal(err)
		}
		f.SetHook(func(chip.Op) chip.Cut { return tt.cut })
		if _, err := f.ErasePage(6); !errors.Is(err, chip.ErrPowerCut) || !f.Cut() {
			t.Fatalf("cut %d: error %v", tt.cut, err)
		}
		for _, b := range f.View(0x08003000, chip.PageSize) {
			if !tt.page(b) {
				t.Fatalf("cut %d: page reads %02x", tt.cut, b)
			}
		}
		if _, err := f.ProgramHalfWord(0x08002800, 0x1234); !errors.Is(err, chip.ErrPowerCut) {
			t.Errorf("cut %d: without power programming gives %v", tt.cut, err)
		}
		f.Restore()
		if _, err := f.ProgramHalfWord(0x08002800, 0x1234); !errors.Is(err, chip.ErrPowerCut) {
			t.Fatalf("cut %d: error %v", tt.cut, err)
		}
		p := f.View(0x08002800, 2)
		if v := uint16(p[0]) | uint16(p[1])<<8; !tt.cell(v) {
			t.Errorf("cut %d: half-word reads %04x", tt.cut, v)
		}
	}
}

func TestHookSeesEveryOperation(t *testing.T) {
	f := chip.NewFlash(chip.Times{})
	var seen []chip.Op
	f.SetHook(func(op chip.Op) chip.Cut {
		seen = append(seen, op)
		return chip.CutNone
	})
	if _, err := f.ErasePage(5); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Program(0x08002800, []byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.MassErase(); err != nil {
		t.Fatal(err)
	}
	want := []chip.Op{
		{Number: 1, Kind: chip.OpErasePage, Address: 0x08002800},
		{Number: 2, Kind: chip.OpProgram, Address: 0x08002800, Value: 0x0201},
		{Number: 3, Kind: chip.OpProgram, Address: 0x08002802, Value: 0xFF03},
		{Number: 4, Kind: chip.OpMassErase, Address: chip.FlashBase},
	}
	if len(seen) != len(want) {
		t.Fatalf("%d operations, want %d", len(seen), len(want))
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Errorf("operation %d: %+v, want %+v", i, seen[i], want[i])
		}
	}
}
