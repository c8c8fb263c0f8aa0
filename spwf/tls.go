package spwf

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Mode is how the two sides of a TLS connection prove themselves (AN4683). It
// is no parameter of any command: what the slots hold decides.
type Mode int

const (
	// Anonymous loads nothing: the module does not verify the server.
	Anonymous Mode = iota
	// OneWay loads a CA and a domain: the module verifies the server.
	OneWay
	// Mutual also loads a client certificate and its key.
	Mutual
)

// String gives the name that AN4683 uses.
func (m Mode) String() string {
	switch m {
	case OneWay:
		return "one_way"
	case Mutual:
		return "mutual"
	}
	return "anonymous"
}

// Credentials are what the TLS slots of a module hold. CA, Cert and Key are
// PEM; an empty field stays unloaded.
type Credentials struct {
	CA, Cert, Key []byte
	Domain        string
}

// Mode is the mode that a module with these credentials is in.
func (c Credentials) Mode() Mode {
	switch {
	case len(c.Cert) > 0 || len(c.Key) > 0:
		return Mutual
	case len(c.CA) > 0 || c.Domain != "":
		return OneWay
	}
	return Anonymous
}

// String tells sizes and the domain, never the contents.
func (c Credentials) String() string {
	return fmt.Sprintf("{CA: %d bytes, Cert: %d bytes, Key: %d bytes, Domain: %s}", len(c.CA), len(c.Cert), len(c.Key), printable(c.Domain))
}

// GoString is String, so that no verb of fmt prints a key.
func (c Credentials) GoString() string { return "spwf.Credentials" + c.String() }

// Storage says where credentials go.
type Storage int

const (
	// Flash slots (f_ca, f_cert, f_key) survive a reset.
	Flash Storage = iota
	// RAM slots (ca, cert, key) are gone after it.
	RAM
)

func (s Storage) slot(name string) string {
	if s == RAM {
		return name
	}
	return "f_" + name
}

// CleanTLS empties every slot (TLSCERT2=clean,all). A slot left from before
// silently changes the mode of the next connection.
func (m *Module) CleanTLS(ctx context.Context) error { return m.CleanSlot(ctx, "all") }

// CleanSlot empties one slot: f_ca, f_cert, f_key, f_domain, or all.
func (m *Module) CleanSlot(ctx context.Context, slot string) error {
	if err := checkField("the slot", slot); err != nil {
		return err
	}
	_, err := m.Do(ctx, "AT+S.TLSCERT2=clean,"+slot)
	return err
}

// LoadSlot puts content into a slot (TLSCERT=slot,length). The module does
// not look at it: a wrong content shows when a TLS socket is opened.
func (m *Module) LoadSlot(ctx context.Context, slot string, content []byte) error {
	if err := checkField("the slot", slot); err != nil {
		return err
	}
	if len(content) == 0 {
		return fmt.Errorf("spwf: slot %s: empty content: %w", slot, ErrArgument)
	}
	_, err := m.DoSized(ctx, "AT+S.TLSCERT="+slot, content, true)
	return err
}

// LoadCA puts a CA certificate in PEM into its slot.
func (m *Module) LoadCA(ctx context.Context, s Storage, pem []byte) error {
	return m.LoadSlot(ctx, s.slot("ca"), pem)
}

// LoadCert puts the client certificate in PEM into its slot.
func (m *Module) LoadCert(ctx context.Context, s Storage, pem []byte) error {
	return m.LoadSlot(ctx, s.slot("cert"), pem)
}

// LoadKey puts the client's private key in PEM into its slot.
func (m *Module) LoadKey(ctx context.Context, s Storage, pem []byte) error {
	return m.LoadSlot(ctx, s.slot("key"), pem)
}

// SetDomain sets the name that a server's certificate must have
// (TLSDOMAIN=f_domain,name). It is kept in flash; a slot in RAM is not
// documented.
func (m *Module) SetDomain(ctx context.Context, name string) error {
	if err := checkField("the domain", name); err != nil {
		return err
	}
	_, err := m.Do(ctx, "AT+S.TLSDOMAIN=f_domain,"+name)
	return err
}

// LoadOptions say how LoadWith works. The zero value lints and uses flash.
type LoadOptions struct {
	Storage Storage
	// At is the time that the module's clock is set to first and that the
	// lint holds against the certificates. The zero time leaves the clock
	// alone and checks no dates.
	At time.Time
	// Unchecked loads what the lint refuses, for tests of the module with
	// wrong credentials.
	Unchecked bool
}

// Load lints credentials and puts them into the flash slots, after emptying
// all slots.
func (m *Module) Load(ctx context.Context, c Credentials) error {
	return m.LoadWith(ctx, c, LoadOptions{})
}

// LoadWith empties all slots, sets the clock and loads in the order of ST's
// own library: CA, domain, certificate, key; what is empty is left out. When
// the lint finds something, nothing is sent and the LintErrors are returned,
// joined.
func (m *Module) LoadWith(ctx context.Context, c Credentials, opt LoadOptions) error {
	if !opt.Unchecked {
		var found []error
		for _, e := range Lint(c, c.Mode(), opt.At) {
			found = append(found, e)
		}
		found = append(found, m.lintLengths(c, opt.Storage)...)
		if len(found) > 0 {
			return errors.Join(found...)
		}
	}
	if err := m.CleanTLS(ctx); err != nil {
		return err
	}
	if !opt.At.IsZero() {
		if err := m.SetTime(ctx, opt.At); err != nil {
			return err
		}
	}
	if len(c.CA) > 0 {
		if err := m.LoadCA(ctx, opt.Storage, c.CA); err != nil {
			return err
		}
	}
	if c.Domain != "" {
		if err := m.SetDomain(ctx, c.Domain); err != nil {
			return err
		}
	}
	if len(c.Cert) > 0 {
		if err := m.LoadCert(ctx, opt.Storage, c.Cert); err != nil {
			return err
		}
	}
	if len(c.Key) > 0 {
		return m.LoadKey(ctx, opt.Storage, c.Key)
	}
	return nil
}

// lintLengths refuses contents that the n-1 dialect would cut: only a final
// line end may be lost.
func (m *Module) lintLengths(c Credentials, s Storage) []error {
	if m.opt.Lengths != LengthMinusOne {
		return nil
	}
	var found []error
	for _, item := range []struct {
		name string
		data []byte
	}{{"ca", c.CA}, {"cert", c.Cert}, {"key", c.Key}} {
		if n := len(item.data); n > 0 && item.data[n-1] != '\n' {
			if e := LintLength(s.slot(item.name), n-1, item.data); e != nil {
				found = append(found, *e)
			}
		}
	}
	return found
}

// SetTime sets the module's clock (SETTIME, whole seconds, UTC). It is needed
// before one_way and mutual, since certificates have dates. A reset of the
// module may lose it.
func (m *Module) SetTime(ctx context.Context, t time.Time) error {
	if t.Unix() < 0 {
		return fmt.Errorf("spwf: time %v is before 1970: %w", t, ErrArgument)
	}
	_, err := m.Do(ctx, "AT+S.SETTIME="+strconv.FormatInt(t.Unix(), 10))
	return err
}

// Time reads the module's clock (STS=current_time).
func (m *Module) Time(ctx context.Context) (time.Time, error) {
	v, err := m.Status(ctx, "current_time")
	if err != nil {
		return time.Time{}, err
	}
	sec, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%scurrent_time is not a number of seconds: %w", where(m.opt.Board, "AT+S.STS=current_time"), ErrReply)
	}
	return time.Unix(sec, 0).UTC(), nil
}
