package chip

import (
	"fmt"
	"time"
)

// The option bytes (PM0075): each byte is followed by its complement.
const (
	// OptionBase is where they start, OptionBytes how many there are.
	OptionBase  uint32 = 0x1FFFF800
	OptionBytes int    = 16
)

// unlocked is the RDP value that leaves the flash readable.
const unlocked = 0xA5

func factoryOptions() [OptionBytes]byte {
	var o [OptionBytes]byte
	for i, v := range [OptionBytes / 2]byte{unlocked, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF} {
		o[2*i], o[2*i+1] = v, ^v
	}
	return o
}

// Options gives the option bytes as they are stored.
func (f *Flash) Options() [OptionBytes]byte { return f.options }

// LoadOptions makes the stored option bytes effective, as a reset does. A byte
// that does not match its complement counts as 0xFF.
func (f *Flash) LoadOptions() {
	f.locked = f.options[0] != unlocked || f.options[1] != 0xFF^unlocked
	f.wrp = 0
	for i := range 4 {
		v, c := f.options[8+2*i], f.options[9+2*i]
		if v^c != 0xFF {
			v = 0xFF
		}
		f.wrp |= uint32(v) << (8 * i)
	}
}

// Locked reports whether read-out protection is effective.
func (f *Flash) Locked() bool { return f.locked }

// WriteOptions erases all option bytes and writes p at the given offset. The
// change takes effect at the next reset.
func (f *Flash) WriteOptions(offset int, p []byte) (time.Duration, error) {
	if offset < 0 || offset%2 != 0 || offset+len(p) > OptionBytes {
		return 0, fmt.Errorf("write %d option bytes at %d: %w", len(p), offset, ErrRange)
	}
	cut, err := f.begin(OpEraseOptions, OptionBase, 0)
	f.erase(f.options[:], cut)
	if err != nil {
		return 0, err
	}
	spent := f.times.PageErase
	for i := 0; i < len(p); i += 2 {
		value := uint16(p[i]) | 0xFF00
		if i+1 < len(p) {
			value = uint16(p[i]) | uint16(p[i+1])<<8
		}
		at := offset + i
		cut, err := f.begin(OpProgramOptions, OptionBase+uint32(at), value)
		program(f.options[at:at+2], value, cut, f.ops)
		spent += f.times.HalfWord
		if err != nil {
			return spent, err
		}
	}
	return spent, nil
}

// lock sets or clears read-out protection and keeps the other options.
func (f *Flash) lock(on bool) (time.Duration, error) {
	o := f.options
	o[0], o[1] = unlocked, 0xFF^unlocked
	if on {
		o[0], o[1] = 0x00, 0xFF
	}
	return f.WriteOptions(0, o[:])
}

// protect write-protects the given sectors (4 KiB each, 31 = all above) in
// addition to nothing: AN3155 replaces the old set. No sectors clears it.
func (f *Flash) protect(sectors []byte) (time.Duration, error) {
	mask := uint32(0xFFFFFFFF)
	for _, s := range sectors {
		if s < 32 {
			mask &^= 1 << s
		}
	}
	o := f.options
	for i := range 4 {
		v := byte(mask >> (8 * i))
		o[8+2*i], o[9+2*i] = v, ^v
	}
	return f.WriteOptions(0, o[:])
}
