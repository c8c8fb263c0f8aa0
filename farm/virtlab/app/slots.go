package app

import (
	"encoding/binary"
	"strings"
)

// Slots of the TLS client. Those with f_ are in flash; the others live until
// the next reset and come first.
const (
	slotCA     = "ca"
	slotCert   = "cert"
	slotKey    = "key"
	slotDomain = "domain"
	flashSlot  = "f_"
)

func slotNames() []string { return []string{slotCA, slotCert, slotKey, slotDomain} }

// flashSlots reads AreaTLS: for each slot one byte of number in slotNames, two
// little-endian bytes of length, content. What cannot be read counts as
// erased.
func (a *App) flashSlots() map[string][]byte {
	slots := map[string][]byte{}
	p := a.host.Area(AreaTLS).Load()
	for len(p) >= 3 {
		n := int(binary.LittleEndian.Uint16(p[1:]))
		if int(p[0]) >= len(slotNames()) || n > len(p)-3 {
			return map[string][]byte{}
		}
		slots[flashSlot+slotNames()[p[0]]] = p[3 : 3+n]
		p = p[3+n:]
	}
	return slots
}

// slot is what the TLS client finds under a name.
func (a *App) slot(name string) []byte {
	if p := a.slots[name]; len(p) > 0 {
		return p
	}
	return a.flashSlots()[flashSlot+name]
}

// storeSlot keeps a slot and ends the command. Nothing looks at the content:
// mistakes show at SOCKON.
func (a *App) storeSlot(name string, p []byte) {
	if !strings.HasPrefix(name, flashSlot) {
		a.slots[name] = p
		a.ok()
		return
	}
	slots := a.flashSlots()
	slots[name] = p
	a.saveSlots(slots)
}

func (a *App) saveSlots(slots map[string][]byte) {
	var data []byte
	for i, name := range slotNames() {
		if p, ok := slots[flashSlot+name]; ok {
			data = binary.LittleEndian.AppendUint16(append(data, byte(i)), uint16(len(p)))
			data = append(data, p...)
		}
	}
	if a.host.Area(AreaTLS).Save(data) != nil {
		a.fail(a.p.Texts.WriteFailed)
		return
	}
	a.after(a.p.Timing.SlotWrite, a.ok)
}

// tlsCert is TLSCERT=<slot>,<len> with the payload right after the CR.
func (a *App) tlsCert(g arguments) {
	name := strings.ToLower(g.at(0))
	n, good := g.number(1, 0, 1<<31-1)
	base := strings.TrimPrefix(name, flashSlot)
	limit := a.p.TLS.SlotLimit
	switch {
	case !good:
		a.fail(a.p.Texts.Invalid)
		return
	case base == "content":
		a.slotContent()
		return
	case base == slotDomain && a.p.TLS.DomainByCert:
		limit = a.p.TLS.DomainLimit
	case !oneOf(base, slotCA, slotCert, slotKey):
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.takeSlot(name, n, limit)
}

func (a *App) takeSlot(name string, n, limit int) {
	a.awaitAll(n, limit, func(p []byte, over bool) {
		if over {
			a.fail(a.p.Texts.LowMemory)
			return
		}
		a.storeSlot(name, p)
	})
}

// pemData is PEMDATA, TLSCERT's predecessor.
func (a *App) pemData(g arguments) {
	name := strings.ToLower(g.at(0))
	n, good := g.number(1, 0, 1<<31-1)
	if !good || !oneOf(name, slotCA, slotCert, slotKey) {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.takeSlot(flashSlot+name, n, a.p.TLS.SlotLimit)
}

// slotContent is TLSCERT=f_content,0. It tells sizes and never a key.
func (a *App) slotContent() {
	slots := a.flashSlots()
	for _, name := range slotNames() {
		a.info(a.p.TLS.ContentFormat, flashSlot+name, len(slots[flashSlot+name]))
	}
	a.ok()
}

// tlsClean is TLSCERT2=clean,<slot|all>.
func (a *App) tlsClean(g arguments) {
	name := strings.ToLower(g.at(1))
	base := strings.TrimPrefix(name, flashSlot)
	switch {
	case !oneOf(g.at(0), "clean") || name != "all" && !oneOf(base, slotNames()...):
		a.fail(a.p.Texts.Invalid)
	case name == "all":
		clear(a.slots)
		a.saveSlots(nil)
	case name == base:
		delete(a.slots, name)
		a.ok()
	default:
		slots := a.flashSlots()
		delete(slots, name)
		a.saveSlots(slots)
	}
}

// tlsDomain is TLSDOMAIN=f_domain,<name>.
func (a *App) tlsDomain(g arguments) {
	name := strings.ToLower(g.at(0))
	if !oneOf(strings.TrimPrefix(name, flashSlot), slotDomain) ||
		len(g.at(1)) == 0 || len(g.at(1)) > a.p.TLS.DomainLimit {
		a.fail(a.p.Texts.Invalid)
		return
	}
	a.storeSlot(name, []byte(g.at(1)))
}
