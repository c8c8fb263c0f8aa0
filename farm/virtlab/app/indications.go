package app

import "fmt"

// Numbers of indications (UM1695).
const (
	windConsole       = 0
	windPoweron       = 1
	windReset         = 2
	windWatchdog      = 3
	windHeap          = 4
	windTerminating   = 6
	windHardFault     = 8
	windStack         = 9
	windMalloc        = 10
	windCopyright     = 13
	windJoin          = 19
	windJoinFailed    = 20
	windScanning      = 21
	windUp            = 24
	windAssociated    = 25
	windStartedAP     = 26
	windBSSLost       = 30
	windException     = 31
	windHardware      = 32
	windNetworkLost   = 33
	windScanDone      = 35
	windPoweredDown   = 38
	windMiniAP        = 39
	windCrunching     = 46
	windHandshake     = 51
	windGPIO          = 52
	windPending       = 55
	windClosed        = 58
	windCommandMode   = 59
	windDataMode      = 60
	windClient        = 61
	windClientGone    = 62
	windDropping      = 63
	windServerPending = 64
	windFactory       = 65
	windUpdatedConfig = 73
)

// maxHeld bounds the indications that wait for a command's end.
const maxHeld = 128

// held is an indication that waits for the end of a command.
type held struct {
	n    int
	key  int // socket of a WIND 55, else -1
	text string
}

// Indication is an asynchronous indication as it looks on the UART.
func Indication(n int, text string) []byte {
	return fmt.Appendf(nil, "\r\n+WIND:%d:%s\r\n", n, text)
}

// wind raises an indication. From the first 'A' of a command to the command's
// end it waits, unless it is fatal; a masked one is lost.
func (a *App) wind(n int, text string) { a.windFor(n, -1, text) }

func (a *App) windFor(n, key int, text string) {
	if n > a.p.Console.HighestIndication || a.masked(n) {
		return
	}
	if fatal(n) || !a.quiet() {
		a.print(Indication(n, text))
		return
	}
	c := &a.console
	if n == windPending {
		for i := range c.held {
			if c.held[i].n == n && c.held[i].key == key {
				c.held[i].text = text
				return
			}
		}
	}
	if len(c.held) < maxHeld {
		c.held = append(c.held, held{n, key, text})
	}
}

// quiet says whether indications wait.
func (a *App) quiet() bool {
	c := &a.console
	return c.busy || c.payload != nil || len(c.line) > 0 ||
		c.data != nil && !a.p.Console.DataModeIndications
}

// release prints what has waited.
func (a *App) release() {
	if a.quiet() {
		return
	}
	waited := a.console.held
	a.console.held = nil
	for _, h := range waited {
		a.print(Indication(h.n, h.text))
	}
}

// masked says whether wind_off_low, _medium or _high switches n off: bit n%32
// of the word n/32.
func (a *App) masked(n int) bool {
	words := [...]string{"wind_off_low", "wind_off_medium", "wind_off_high"}
	if n/32 >= len(words) {
		return false
	}
	return a.config.number(words[n/32])>>(n%32)&1 == 1
}

// fatal says whether an indication is printed even inside an answer.
func fatal(n int) bool {
	switch n {
	case windReset, windTerminating, windHardFault, windStack, windMalloc, windHeap:
		return true
	}
	return false
}
