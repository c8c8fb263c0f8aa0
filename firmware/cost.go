package firmware

import "time"

// What flashing takes on a real board: AN3155's 8E1 is eleven bits a byte, and
// the datasheet of the STM32F103xC/D/E gives typical times for its flash.
const (
	bitsPerByte = 11
	defaultBaud = 115200
	timeProgram = 52500 * time.Nanosecond // a half word
	timeErase   = 30 * time.Millisecond   // a page
	// frameBytes is what a read or a write of a block costs on the wire, both
	// ways, beside the bytes of the block.
	frameBytes = 12
)

// at115200 is the time of bytes on the wire and operations in flash at 115200
// baud 8E1.
func at115200(wireBytes, halfWords, pages int) time.Duration {
	return time.Duration(wireBytes)*bitsPerByte*time.Second/defaultBaud +
		time.Duration(halfWords)*timeProgram + time.Duration(pages)*timeErase
}

// readCost is that of reading n bytes in blocks.
func readCost(n int) time.Duration {
	blocks := (n + blockSize - 1) / blockSize
	return at115200(n+blocks*frameBytes, 0, 0)
}

// renewCost is that of erasing and writing a page, without the reading that
// proves it.
func renewCost(page []byte) time.Duration {
	wire, halfWords := 0, 0
	for b := range blocks(page) {
		if !isBlank(b.data) {
			wire += frameBytes + len(b.data)
			halfWords += (len(b.data) + 1) / 2
		}
	}
	return at115200(wire, halfWords, 1)
}
