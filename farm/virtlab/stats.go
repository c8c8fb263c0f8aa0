package virtlab

import "hil-runner/farm/virtlab/chip"

// Stats is what a module counts about itself since it was made.
type Stats struct {
	Board string `json:"board"`
	State State  `json:"state"`
	// Release and Build are of the application that was started last.
	Release string `json:"release,omitempty"`
	Build   string `json:"build,omitempty"`
	// Boots counts starts of the application, Resets falling edges of RESETn,
	// PowerCycles how often power came on, Restarts those from inside.
	Boots       uint64 `json:"boots"`
	Resets      uint64 `json:"resets"`
	PowerCycles uint64 `json:"power_cycles"`
	Restarts    uint64 `json:"restarts"`
	// RxBytes and TxBytes passed on the UART in any state. Lost were printed
	// but found no room because nobody read.
	RxBytes uint64 `json:"rx_bytes"`
	TxBytes uint64 `json:"tx_bytes"`
	Lost    uint64 `json:"lost_bytes"`
	// Garbled counts bytes that passed while the host's speed was wrong.
	Garbled uint64 `json:"garbled_bytes"`
	// Commands counts AT command lines.
	Commands uint64 `json:"commands"`
	// Baud is the module's speed, HostBaud the host's, 0 when unknown.
	Baud     int `json:"baud"`
	HostBaud int `json:"host_baud"`
	// ROM counts the boot ROM's traffic and its flash operations; its
	// WireTime gives what a flashing takes on a real line.
	ROM chip.Stats `json:"rom"`
	// FlashOps counts every erase and program operation, FlashCRC is the
	// CRC-32 of the whole flash.
	FlashOps uint64 `json:"flash_ops"`
	FlashCRC uint32 `json:"flash_crc"`
	// Faults counts the injected faults that have shown themselves, by kind.
	Faults map[FaultKind]uint64 `json:"faults,omitempty"`
}
