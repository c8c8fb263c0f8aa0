package chip

import "time"

// Bytes of the boot ROM's protocol (AN3155).
const (
	Sync byte = 0x7F
	Ack  byte = 0x79
	Nack byte = 0x1F
)

// Commands of the boot ROM (AN3155, version 2.2 as in the STM32F1).
const (
	CmdGet              byte = 0x00
	CmdGetVersion       byte = 0x01
	CmdGetID            byte = 0x02
	CmdReadMemory       byte = 0x11
	CmdGo               byte = 0x21
	CmdWriteMemory      byte = 0x31
	CmdErase            byte = 0x43
	CmdWriteProtect     byte = 0x63
	CmdWriteUnprotect   byte = 0x73
	CmdReadoutProtect   byte = 0x82
	CmdReadoutUnprotect byte = 0x92
)

const (
	romVersion = 0x22
	productID  = 0x0414 // high-density STM32F1
)

// Action is what the part does after a reply has left.
type Action int

const (
	// Stay keeps the loader running.
	Stay Action = iota
	// Reset restarts the part.
	Reset
	// Jump leaves the loader for the code at Reply.Target.
	Jump
	// PowerLost means that a hook cut the supply: nothing more is sent.
	PowerLost
)

// Reply is the part's answer to one byte. The slices are valid until the next
// Feed.
type Reply struct {
	// Ahead leaves at once, Out only after Busy has passed.
	Ahead  []byte
	Busy   time.Duration
	Out    []byte
	Action Action
	Target uint32
}

// step says what the next byte is.
type step int

const (
	stepSync step = iota
	stepCommand
	stepComplement
	stepAddress
	stepLength
	stepLengthCheck
	stepData
	stepEraseCount
	stepMassCheck
	stepList
)

// ROM is the boot loader in the part's system memory. It starts when BOOT0 is
// high at the rising edge of RESETn. It is not safe for concurrent use.
type ROM struct {
	flash *Flash
	ram   []byte
	uid   [12]byte
	stats Stats

	step    step
	command byte
	address uint32
	sum     byte
	want    int // bytes still to come in this step
	buf     []byte
	out     []byte
	single  [1]byte
}

// NewROM gives the loader of a part with this flash and unique id.
func NewROM(f *Flash, uid [12]byte) *ROM {
	return &ROM{flash: f, uid: uid, ram: make([]byte, RAMSize), buf: make([]byte, 0, 260), out: make([]byte, 0, 260)}
}

// Start is the reset of the part into the loader: it waits for 0x7F again.
func (r *ROM) Start() {
	r.flash.LoadOptions()
	r.step = stepSync
}

// Synced reports whether 0x7F was seen since Start, so that the speed of the
// line is known.
func (r *ROM) Synced() bool { return r.step != stepSync }

// Stats counts since the ROM was made.
func (r *ROM) Stats() Stats { return r.stats }

// Feed takes one byte from the host.
func (r *ROM) Feed(b byte) Reply {
	r.stats.RxBytes++
	reply := r.take(b)
	r.stats.TxBytes += uint64(len(reply.Ahead) + len(reply.Out))
	r.stats.FlashTime += reply.Busy
	return reply
}

// Absorb takes bytes that cannot be answered yet, the inside of a data frame
// or a list, and gives how many there were. It is Feed for many bytes at once.
func (r *ROM) Absorb(p []byte) int {
	if r.step != stepData && r.step != stepList {
		return 0
	}
	n := min(len(p), r.want-len(r.buf))
	for _, b := range p[:n] {
		r.sum ^= b
	}
	r.buf = append(r.buf, p[:n]...)
	r.stats.RxBytes += uint64(n)
	return n
}

func (r *ROM) take(b byte) Reply {
	switch r.step {
	case stepSync:
		if b != Sync {
			return Reply{}
		}
		r.stats.Syncs++
		r.step = stepCommand
		return r.ack()
	case stepCommand:
		r.command, r.step = b, stepComplement
		return Reply{}
	case stepComplement:
		r.step = stepCommand
		if b != ^r.command {
			return r.nack()
		}
		return r.start()
	case stepAddress:
		return r.takeAddress(b)
	case stepLength:
		r.want, r.sum = int(b)+1, b
		if r.command == CmdReadMemory {
			r.step = stepLengthCheck
			return Reply{}
		}
		r.collect(stepData)
		return Reply{}
	case stepLengthCheck:
		r.step = stepCommand
		if b != ^r.sum {
			return r.nack()
		}
		return r.read()
	case stepEraseCount:
		return r.takeEraseCount(b)
	case stepMassCheck:
		r.step = stepCommand
		if b != 0x00 {
			return r.nack()
		}
		return r.massErase()
	default:
		return r.takeList(b)
	}
}

// collect prepares for want bytes and a checksum.
func (r *ROM) collect(s step) {
	r.buf = r.buf[:0]
	r.step = s
}

// takeList gathers the data of a write or a list of pages or sectors, and then
// its checksum.
func (r *ROM) takeList(b byte) Reply {
	if len(r.buf) < r.want {
		r.buf = append(r.buf, b)
		r.sum ^= b
		return Reply{}
	}
	s := r.step
	r.step = stepCommand
	if b != r.sum {
		return r.nack()
	}
	switch {
	case s == stepData:
		return r.write()
	case r.command == CmdErase:
		return r.erasePages()
	default:
		return r.finish(r.flash.protect(r.buf))
	}
}

func (r *ROM) takeAddress(b byte) Reply {
	if r.want > 0 {
		r.address = r.address<<8 | uint32(b)
		r.sum ^= b
		r.want--
		return Reply{}
	}
	r.step = stepCommand
	if b != r.sum || !r.addressAllowed() {
		return r.nack()
	}
	if r.command == CmdGo {
		reply := r.ack()
		reply.Action, reply.Target = Jump, r.address
		return reply
	}
	r.step = stepLength
	return r.ack()
}

func (r *ROM) takeEraseCount(b byte) Reply {
	if b == 0xFF && r.command == CmdErase {
		r.step = stepMassCheck
		return Reply{}
	}
	r.want, r.sum = int(b)+1, b
	r.collect(stepList)
	return Reply{}
}

// start begins a command whose code and complement agree. With read-out
// protection only the commands that say nothing of the memory are answered.
func (r *ROM) start() Reply {
	switch r.command {
	case CmdGet, CmdGetVersion, CmdGetID, CmdReadoutUnprotect:
	case CmdReadMemory, CmdGo, CmdWriteMemory, CmdErase, CmdWriteProtect, CmdWriteUnprotect, CmdReadoutProtect:
		if r.flash.Locked() {
			return r.nack()
		}
	default:
		return r.nack()
	}
	r.stats.Commands++
	switch r.command {
	case CmdGet:
		return r.send(Ack, 11, romVersion, CmdGet, CmdGetVersion, CmdGetID, CmdReadMemory, CmdGo, CmdWriteMemory,
			CmdErase, CmdWriteProtect, CmdWriteUnprotect, CmdReadoutProtect, CmdReadoutUnprotect, Ack)
	case CmdGetVersion:
		return r.send(Ack, romVersion, 0x00, 0x00, Ack)
	case CmdGetID:
		return r.send(Ack, 1, productID>>8, productID&0xFF, Ack)
	case CmdReadMemory, CmdGo, CmdWriteMemory:
		r.step, r.want, r.address, r.sum = stepAddress, 4, 0, 0
		return r.ack()
	case CmdErase, CmdWriteProtect:
		r.step = stepEraseCount
		return r.ack()
	case CmdWriteUnprotect:
		return r.second(r.finish(r.flash.protect(nil)))
	case CmdReadoutProtect:
		return r.second(r.finish(r.flash.lock(true)))
	default:
		return r.second(r.unlock())
	}
}

func (r *ROM) send(p ...byte) Reply {
	r.out = append(r.out[:0], p...)
	return Reply{Out: r.out}
}

func (r *ROM) ack() Reply { return r.send(Ack) }

func (r *ROM) nack() Reply {
	r.stats.Nacks++
	return r.send(Nack)
}

// second puts the command's own acknowledgement ahead of the one that follows
// the work.
func (r *ROM) second(reply Reply) Reply {
	r.single[0] = Ack
	reply.Ahead = r.single[:]
	return reply
}

// finish acknowledges an option-byte operation and restarts the part.
func (r *ROM) finish(busy time.Duration, err error) Reply {
	if r.flash.Cut() {
		return Reply{Busy: busy, Action: PowerLost}
	}
	reply := r.ack()
	if err != nil {
		reply = r.nack()
	}
	reply.Busy, reply.Action = busy, Reset
	return reply
}
