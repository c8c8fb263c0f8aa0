package app

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// chunk is how many payload bytes the console hands on at once.
const chunk = 4096

// console is the state of the command parser on the UART.
type console struct {
	commands []command
	active   bool // after WIND 0
	mute     bool // flow control holds the transmitter

	in        []byte // received, not yet looked at
	consuming bool
	line      []byte // the command from its first 'A'
	overlong  bool
	busy      bool // a command runs
	payload   *payload
	held      []held
	data      *dataMode // nil in command mode
}

// payload is what follows a command's CR.
type payload struct {
	left int
	buf  []byte
	// sink takes up to chunk bytes. It then calls more, or if last ends the
	// command.
	sink func(p []byte, last bool)
}

// Input takes bytes from the UART. It keeps what a running command cannot take
// yet, up to the profile's limit, and loses the rest as the module does.
func (a *App) Input(p []byte) {
	c := &a.console
	if !c.active || a.exiting {
		return
	}
	room := max(a.p.Console.Input-len(c.in), 0)
	c.in = append(c.in, p[:min(len(p), room)]...)
	a.consume()
}

// Room is how many bytes Input will not lose now. A host that models the
// module's RTS line stops sending when it is small.
func (a *App) Room() int { return max(a.p.Console.Input-len(a.console.in), 0) }

// consume works through the input as far as the running command allows.
func (a *App) consume() {
	c := &a.console
	if c.consuming {
		return
	}
	c.consuming = true
	life, off := a.life, 0
	for off < len(c.in) && !c.busy && c.active {
		switch {
		case c.payload != nil:
			off += a.takePayload(c.in[off:])
		case c.data != nil:
			off += a.takeData(c.in[off:])
		default:
			off += a.takeLine(c.in[off:])
		}
		if a.life != life {
			return // a command restarted the module: this input is gone
		}
	}
	c.in = c.in[:copy(c.in, c.in[off:])]
	c.consuming = false
}

// takeLine reads bytes of a command up to and with its CR.
func (a *App) takeLine(p []byte) int {
	c := &a.console
	end := bytes.IndexByte(p, '\r')
	n := end + 1
	if end < 0 {
		end, n = len(p), len(p)
	}
	if a.config.number("localecho1") == 1 {
		a.print(p[:n])
	}
	for _, b := range p[:end] {
		switch {
		case b == '\n':
		case len(c.line) == 0 && b != 'A' && b != 'a':
			// Noise, or the rest of a payload whose length was short.
		case len(c.line) >= a.p.Console.MaxLine:
			c.overlong = true
		default:
			c.line = append(c.line, b)
		}
	}
	if n > end && len(c.line) > 0 {
		line, long := string(c.line), c.overlong
		c.line, c.overlong = c.line[:0], false
		a.execute(line, long)
	}
	return n
}

// takePayload hands payload bytes to the command that waits for them.
func (a *App) takePayload(p []byte) int {
	c := &a.console
	n := min(len(p), c.payload.left, chunk-len(c.payload.buf))
	if a.p.Console.EchoPayload && a.config.number("localecho1") == 1 {
		a.print(p[:n])
	}
	c.payload.buf = append(c.payload.buf, p[:n]...)
	c.payload.left -= n
	if c.payload.left == 0 || len(c.payload.buf) == chunk {
		a.sinkPayload()
	}
	return n
}

func (a *App) sinkPayload() {
	c := &a.console
	take := c.payload
	data, last := take.buf, take.left == 0
	take.buf = nil
	if last {
		c.payload = nil
	}
	c.busy = true
	take.sink(data, last)
}

// await makes the running command wait for n bytes of payload. Until they
// have come everything received counts as payload: a length that is too large
// hangs the console, as on the module.
func (a *App) await(n int, sink func(p []byte, last bool)) {
	c := &a.console
	c.payload = &payload{left: n, sink: sink}
	if n == 0 {
		a.sinkPayload()
		return
	}
	c.busy = false
	a.consume()
}

// awaitAll gathers a whole payload. What is over limit is thrown away and
// told.
func (a *App) awaitAll(n, limit int, done func(p []byte, over bool)) {
	var all []byte
	a.await(n, func(p []byte, last bool) {
		all = append(all, p[:min(len(p), max(limit-len(all), 0))]...)
		if !last {
			a.more()
			return
		}
		done(all, n > limit)
	})
}

// more lets the console read on in a payload.
func (a *App) more() {
	a.console.busy = false
	a.consume()
}

// execute runs one command line.
func (a *App) execute(line string, overlong bool) {
	a.console.busy = true
	if overlong || len(line) < 2 || !strings.EqualFold(line[:2], "AT") {
		a.fail(a.p.Texts.Unknown)
		return
	}
	name, arg, has := strings.Cut(line[2:], "=")
	name = strings.ToUpper(strings.TrimRight(name, " "))
	for _, c := range a.console.commands {
		if c.name == name {
			a.run(c, arg, has)
			return
		}
	}
	a.fail(a.p.Texts.Unknown)
}

// run checks what every command of c's kind needs and starts it.
func (a *App) run(c command, arg string, has bool) {
	args := arguments{text: arg, given: has}
	if has {
		args.list = strings.Split(arg, a.delimiter())
	}
	switch {
	case c.radio && !a.radio.hardware:
		a.fail(a.p.Texts.Starting)
	case len(args.list) < c.min || c.min > 0 && arg == "":
		a.fail(a.p.Texts.Missing)
	case c.max >= 0 && len(args.list) > c.max:
		a.fail(a.p.Texts.TooMany)
	default:
		c.run(a, args)
	}
}

// delimiter separates arguments: a comma unless console1_delimiter says
// otherwise.
func (a *App) delimiter() string {
	if !a.p.Console.NumberedErrors {
		return ","
	}
	if d := a.config.number("console1_delimiter"); d > ' ' && d < 0x7f {
		return string(rune(d))
	}
	return ","
}

// ok ends the running command well.
func (a *App) ok() {
	a.print([]byte("\r\nOK\r\n"))
	a.finish()
}

// fail ends the running command with a text.
func (a *App) fail(text string) {
	if a.p.Console.NumberedErrors && a.config.number("console1_errs") == 1 {
		text = fmt.Sprintf(a.p.Console.NumberedFormat, errorNumber(a.p.Texts, text), text)
	}
	a.print([]byte("\r\nERROR: " + text + "\r\n"))
	a.finish()
}

// finish ends the running command without a word of its own.
func (a *App) finish() {
	a.console.busy = false
	a.release()
	a.consume()
}

// info prints one line of an answer.
func (a *App) info(format string, args ...any) {
	a.print(fmt.Appendf(nil, format+"\r\n", args...))
}

// print sends bytes to the UART.
func (a *App) print(p []byte) {
	if !a.console.mute && !a.exiting && len(p) > 0 {
		a.host.Print(p)
	}
}

// arguments are what follows a command's equals sign.
type arguments struct {
	text  string
	given bool
	list  []string
}

// at is argument i, empty when it was left out.
func (g arguments) at(i int) string {
	if i < len(g.list) {
		return g.list[i]
	}
	return ""
}

// number reads argument i as a decimal number from low to high. Blanks before
// it do not count: one driver takes the id of a socket with the blank of
// " ID: 00" and sends it back so.
func (g arguments) number(i, low, high int) (int, bool) {
	n, err := strconv.Atoi(strings.TrimLeft(g.at(i), " "))
	return n, err == nil && n >= low && n <= high
}

// errorNumber is the number of a text in the next model's table; this model's
// own numbers are not public.
func errorNumber(t Texts, text string) int {
	switch text {
	case t.Unknown:
		return 1
	case t.Missing:
		return 2
	case t.NoVariable, t.NoKey:
		return 4
	case t.TooMany:
		return 6
	case t.Invalid:
		return 7
	case t.RadioOff:
		return 18
	case t.ScanBusy:
		return 40
	case t.ScanFailed:
		return 41
	case t.Starting:
		return 43
	case t.NoIP:
		return 60
	case t.Resolve:
		return 64
	case t.LowMemory:
		return 91
	default:
		return 111
	}
}
