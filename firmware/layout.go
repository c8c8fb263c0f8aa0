// Package firmware holds what may be flashed onto a module and how: the
// catalogue of releases and builds, reading and checking of images, their
// signatures, the passport of each module, and the flasher for the UART boot
// ROM of the module's STM32F1 (AN3155).
//
// Two rules bind all of it. Only pages of the application area are ever erased
// or written, whatever an image says: below it lies a boot part that cannot be
// restored over the air, above it the module's own configuration. And a hash or
// a signature holds for bytes in memory that were read once; those bytes, and
// not the file, are what is flashed.
package firmware

import (
	"encoding/binary"
	"fmt"
)

// The module's flash: a high-density STM32F1 with 512 KiB in pages of 2 KiB
// (RM0008 3.3.3), of which the application may use pages 5 to 249.
const (
	// PageSize is the unit of erasing, in bytes.
	PageSize = 2048
	// FlashStart and FlashEnd bound the whole flash; FlashEnd is exclusive.
	FlashStart uint32 = 0x08000000
	FlashEnd   uint32 = 0x08080000
	// AppStart is where the application begins. The boot part in pages 0-4
	// before it is in no public image.
	AppStart uint32 = 0x08002800
	// AppEnd is exclusive. Pages 250-255 after it hold the configuration and
	// the TLS slots.
	AppEnd uint32 = 0x0807D000
	// MaxImage is the size of the application area in bytes.
	MaxImage = int(AppEnd - AppStart)

	firstAppPage = int(AppStart-FlashStart) / PageSize
	lastAppPage  = int(AppEnd-FlashStart)/PageSize - 1
)

// pageOf gives the number of the page that holds addr, counted from the start
// of the flash as AN3155's erase command does.
func pageOf(addr uint32) int { return int(addr-FlashStart) / PageSize }

// pageAddress gives the first address of a page.
func pageAddress(page int) uint32 { return FlashStart + uint32(page)*PageSize }

// checkWindow refuses every range that is not wholly in the application area.
func checkWindow(addr uint32, size int) error {
	end := uint64(addr) + uint64(size)
	if size >= 0 && addr >= AppStart && end <= uint64(AppEnd) {
		return nil
	}
	why := "outside the flash"
	switch {
	case addr >= FlashStart && addr < AppStart:
		why = "it touches the boot part in pages 0-4, which no public image can restore"
	case addr >= AppStart && addr < FlashEnd && end > uint64(AppEnd) && end <= uint64(FlashEnd):
		why = "it touches the configuration in pages 250-255"
	}
	return fmt.Errorf("%w: 0x%08X..0x%08X: %s; allowed is 0x%08X..0x%08X",
		ErrRange, addr, end, why, AppStart, AppEnd)
}

// The RAM of the chip (STM32F103xE datasheet, memory map); a stack may begin
// right behind its end.
const (
	ramStart = 0x20000000
	ramEnd   = 0x20010000
)

// checkVectors refuses a file that cannot be an application: what a Cortex-M3
// starts from is a stack pointer into RAM and the address, with the Thumb bit
// set, of code in the image (PM0056, vector table). A catalogued image is known
// by its hash instead.
func checkVectors(img Image) error {
	if len(img.Data) < 8 {
		return fmt.Errorf("%w: %d bytes are no application", ErrTruncated, len(img.Data))
	}
	stack, reset := binary.LittleEndian.Uint32(img.Data), binary.LittleEndian.Uint32(img.Data[4:])
	end := img.Address + uint32(len(img.Data))
	if stack < ramStart || stack > ramEnd || reset&1 == 0 || reset < img.Address || reset >= end {
		return fmt.Errorf("%w: it does not begin with the vector table of an application at 0x%08X (stack 0x%08X, reset 0x%08X)",
			ErrFormat, img.Address, stack, reset)
	}
	return nil
}
