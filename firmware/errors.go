package firmware

import (
	"errors"
	"fmt"
)

// Reasons to refuse an image. They are wrapped with the place and what was
// found there.
var (
	// ErrRange is data outside the application area.
	ErrRange = errors.New("image is out of range")
	// ErrOverlap is an address that is given twice.
	ErrOverlap = errors.New("image overlaps itself")
	// ErrTruncated is an image that ends before it says it does.
	ErrTruncated = errors.New("image is truncated")
	// ErrEmpty is an image without data, or with nothing but 0xFF.
	ErrEmpty = errors.New("image is empty")
	// ErrFormat is a file that is not what its format demands.
	ErrFormat = errors.New("image is malformed")
	// ErrChecksum is a wrong checksum of an Intel HEX record.
	ErrChecksum = errors.New("wrong checksum in image")
	// ErrModel is an image for another kind of module or processor.
	ErrModel = errors.New("image is for another model")
	// ErrTooBig is a file that cannot hold an image for this module.
	ErrTooBig = errors.New("file is too big for an image")
	// ErrHash is an image whose SHA-256 is not the promised one.
	ErrHash = errors.New("image has the wrong SHA-256")
	// ErrUnsigned is an image without a signature where one is needed.
	ErrUnsigned = errors.New("image is not signed")
	// ErrSignature is a signature that does not hold.
	ErrSignature = errors.New("image has a wrong signature")
	// ErrUnknownRelease is a release that the catalogue does not have.
	ErrUnknownRelease = errors.New("unknown release")
	// ErrMethod is an image that is not for the UART boot ROM.
	ErrMethod = errors.New("image is not for the UART boot ROM")
)

// Reasons for which a flashing fails, inside an Error.
var (
	// ErrForbidden is a page or address that the flasher may not touch. It is
	// a second guard behind the checks of the image.
	ErrForbidden = errors.New("flash address is not on the whitelist")
	// ErrNack is a refusal by the boot ROM; a read or write that is refused
	// means that the flash is protected.
	ErrNack = errors.New("boot ROM refused (NACK)")
	// ErrReply is an answer that is neither ACK nor NACK.
	ErrReply = errors.New("unexpected answer")
	// ErrSilent is an answer that did not come in time.
	ErrSilent = errors.New("boot ROM is silent")
	// ErrChip is a chip that is not the module's.
	ErrChip = errors.New("wrong chip")
	// ErrMismatch is flash that does not hold what was written to it.
	ErrMismatch = errors.New("flash differs from the image")
)

// Stage is a part of flashing.
type Stage string

// The stages of flashing. An error's code is "flash_" and its stage.
const (
	StageSync     Stage = "sync"
	StageIdentify Stage = "identify"
	StageErase    Stage = "erase"
	StageWrite    Stage = "write"
	StageVerify   Stage = "verify"
)

// Error is a flashing that failed.
type Error struct {
	Stage Stage
	// Page is the flash page, counted from 0x08000000, or -1.
	Page int
	// Address is the flash address, or 0.
	Address uint32
	// Reply is the byte that the boot ROM sent instead of the expected one,
	// 0 when it sent nothing.
	Reply byte
	Err   error
}

// Error names the stage, the place and the reply.
func (e *Error) Error() string {
	s := "flash " + string(e.Stage)
	if e.Page >= 0 {
		s += fmt.Sprintf(" page %d", e.Page)
	}
	if e.Address != 0 {
		s += fmt.Sprintf(" at 0x%08X", e.Address)
	}
	if e.Reply != 0 {
		s += fmt.Sprintf(" (reply 0x%02X)", e.Reply)
	}
	return s + ": " + e.Err.Error()
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }
