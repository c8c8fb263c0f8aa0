package chip

import "time"

// BitsPerByte is what a byte costs on the boot ROM's line: start, eight data
// bits, even parity, stop (AN3155).
const BitsPerByte = 11

// Stats counts what passed over the boot ROM's line and what it did to the
// flash. From it the time on a real line follows exactly, however fast the
// virtual part ran.
type Stats struct {
	// RxBytes came from the host, TxBytes went to it.
	RxBytes uint64 `json:"rx_bytes"`
	TxBytes uint64 `json:"tx_bytes"`
	// Commands counts the accepted ones, Nacks every refusal.
	Commands uint64 `json:"commands"`
	Nacks    uint64 `json:"nacks"`
	Syncs    uint64 `json:"syncs"`
	// Erases counts pages, MassErases whole erasures, HalfWords programmed
	// ones, ProgramErrors blocks in which a half-word was refused by the flash.
	Erases        uint64 `json:"erases"`
	MassErases    uint64 `json:"mass_erases"`
	HalfWords     uint64 `json:"half_words"`
	ProgramErrors uint64 `json:"program_errors"`
	// FlashTime is what all these operations take.
	FlashTime time.Duration `json:"flash_time"`
}

// WireTime is the time that all bytes and flash operations take at the given
// speed in bits per second, with a host that answers at once.
func (s Stats) WireTime(baud int) time.Duration {
	if baud <= 0 {
		return 0
	}
	bits := (s.RxBytes + s.TxBytes) * BitsPerByte
	return time.Duration(bits*uint64(time.Second)/uint64(baud)) + s.FlashTime
}

// Since is what happened between an earlier count and s.
func (s Stats) Since(earlier Stats) Stats {
	return Stats{
		RxBytes: s.RxBytes - earlier.RxBytes, TxBytes: s.TxBytes - earlier.TxBytes,
		Commands: s.Commands - earlier.Commands, Nacks: s.Nacks - earlier.Nacks, Syncs: s.Syncs - earlier.Syncs,
		Erases: s.Erases - earlier.Erases, MassErases: s.MassErases - earlier.MassErases,
		HalfWords: s.HalfWords - earlier.HalfWords, ProgramErrors: s.ProgramErrors - earlier.ProgramErrors,
		FlashTime: s.FlashTime - earlier.FlashTime,
	}
}
