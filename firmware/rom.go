package firmware

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Port is the UART of a module whose boot ROM runs. Read gives what is there,
// at least one byte, or an error that is os.ErrDeadlineExceeded after the
// deadline.
type Port interface {
	io.Reader
	io.Writer
	SetReadDeadline(t time.Time) error
}

// Bytes of the USART protocol of the STM32 boot ROM (AN3155). Only the four
// commands below are ever sent: Go, the protection commands and the mass erase
// (0x43 0xFF) have no code here.
const (
	romInit  = 0x7F
	romAck   = 0x79
	romNack  = 0x1F
	romGetID = 0x02
	romRead  = 0x11
	romWrite = 0x31
	romErase = 0x43

	// chipF1HighDensity is the product id of the module's chip (AN2606).
	chipF1HighDensity = 0x0414
	// blockSize is the most that one read or write carries.
	blockSize = 256
	// maxEraseList keeps the count byte below 0xFF, which means mass erase.
	maxEraseList = 255
)

// How long the boot ROM may take, on top of the time on the wire. They are
// several times what the datasheet's slowest flash needs.
const (
	patienceSync    = 500 * time.Millisecond
	patienceCommand = time.Second
	patienceErase   = 5 * time.Second // and patiencePage for every page
	patiencePage    = 250 * time.Millisecond
	// quiet is how long a line must be silent to be empty, settle how long
	// emptying may take at most.
	quiet  = 5 * time.Millisecond
	settle = 250 * time.Millisecond
	// slice is how often a long wait looks at its ctx.
	slice = 250 * time.Millisecond
	// syncAttempts covers a boot ROM that was synchronised before: it takes the
	// first 0x7F for half a command and refuses after the second.
	syncAttempts = 3
)

// rom speaks to a boot ROM. It waits for every ACK before it sends on, since
// the ROM polls a receiver of one byte, and makes one Write per protocol step.
type rom struct {
	port Port
	baud int
	// sent and received count bytes on the wire.
	sent, received int
	erased         int // pages
	halfWords      int // programmed
	out            [1 + blockSize + 1]byte
	in             [1 + blockSize]byte
}

// wireTime is how long n bytes take at 8E1.
func (r *rom) wireTime(n int) time.Duration {
	return time.Duration(n) * bitsPerByte * time.Second / time.Duration(r.baud)
}

// fail makes an Error out of what an exchange gave.
func fail(stage Stage, addr uint32, reply byte, err error) error {
	page := -1
	if addr != 0 {
		page = pageOf(addr)
	}
	return &Error{Stage: stage, Page: page, Address: addr, Reply: reply, Err: err}
}

// erase erases the listed pages and no others (AN3155, Erase Memory).
func (r *rom) erase(ctx context.Context, pages []int) error {
	if err := allowPages(pages); err != nil {
		return &Error{Stage: StageErase, Page: firstPage(pages), Err: err}
	}
	at := pageAddress(pages[0])
	if reply, err := r.command(ctx, romErase); err != nil {
		return fail(StageErase, at, reply, err)
	}
	list := r.out[:0]
	list = append(list, byte(len(pages)-1))
	for _, p := range pages {
		list = append(list, byte(p))
	}
	list = append(list, xor(list))
	if err := r.send(list); err != nil {
		return fail(StageErase, at, 0, err)
	}
	patience := patienceErase + time.Duration(len(pages))*patiencePage
	if reply, err := r.ack(ctx, len(list), patience); err != nil {
		return fail(StageErase, at, reply, err)
	}
	r.erased += len(pages)
	return nil
}

// allowPages is the whitelist of erasing.
func allowPages(pages []int) error {
	if len(pages) == 0 || len(pages) > maxEraseList {
		return fmt.Errorf("%w: a list of %d pages", ErrForbidden, len(pages))
	}
	for _, p := range pages {
		if p < firstAppPage || p > lastAppPage {
			return fmt.Errorf("%w: page %d is not one of %d to %d", ErrForbidden, p, firstAppPage, lastAppPage)
		}
	}
	return nil
}

func firstPage(pages []int) int {
	if len(pages) == 0 {
		return -1
	}
	return pages[0]
}

// write programs up to 256 bytes, padded with 0xFF to whole words (AN3155,
// Write Memory).
func (r *rom) write(ctx context.Context, addr uint32, data []byte) error {
	padded := (len(data) + 3) &^ 3
	if len(data) == 0 || padded > blockSize || addr%4 != 0 {
		return fail(StageWrite, addr, 0, fmt.Errorf("%w: %d bytes", ErrForbidden, len(data)))
	}
	if err := checkWindow(addr, padded); err != nil {
		return fail(StageWrite, addr, 0, fmt.Errorf("%w: %w", ErrForbidden, err))
	}
	if reply, err := r.address(ctx, romWrite, addr); err != nil {
		return fail(StageWrite, addr, reply, err)
	}
	frame := append(r.out[:0], byte(padded-1))
	frame = append(frame, data...)
	for len(frame) < 1+padded {
		frame = append(frame, blank)
	}
	frame = append(frame, xor(frame))
	if err := r.send(frame); err != nil {
		return fail(StageWrite, addr, 0, err)
	}
	if reply, err := r.ack(ctx, len(frame), patienceCommand); err != nil {
		return fail(StageWrite, addr, reply, err)
	}
	r.halfWords += padded / 2
	return nil
}

// read gives n bytes of flash, n from 1 to 256, valid until the next call
// (AN3155, Read Memory).
func (r *rom) read(ctx context.Context, addr uint32, n int) ([]byte, error) {
	if reply, err := r.address(ctx, romRead, addr); err != nil {
		return nil, fail(StageVerify, addr, reply, err)
	}
	if err := r.send([]byte{byte(n - 1), ^byte(n - 1)}); err != nil {
		return nil, fail(StageVerify, addr, 0, err)
	}
	got, err := r.receive(ctx, 1+n, 2, patienceCommand)
	if err != nil {
		return nil, fail(StageVerify, addr, 0, err)
	}
	if err := checkAck(got[0]); err != nil {
		return nil, fail(StageVerify, addr, got[0], err)
	}
	return got[1:], nil
}

// command sends a command and takes its ACK.
func (r *rom) command(ctx context.Context, code byte) (reply byte, err error) {
	if err := r.send([]byte{code, ^code}); err != nil {
		return 0, err
	}
	return r.ack(ctx, 2, patienceCommand)
}

// address sends a command and the address that it is for.
func (r *rom) address(ctx context.Context, code byte, addr uint32) (reply byte, err error) {
	if reply, err = r.command(ctx, code); err != nil {
		return reply, err
	}
	p := append(r.out[:0], byte(addr>>24), byte(addr>>16), byte(addr>>8), byte(addr))
	p = append(p, xor(p))
	if err := r.send(p); err != nil {
		return 0, err
	}
	return r.ack(ctx, len(p), patienceCommand)
}

func xor(p []byte) byte {
	var x byte
	for _, b := range p {
		x ^= b
	}
	return x
}
