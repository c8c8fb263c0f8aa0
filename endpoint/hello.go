package endpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Extension numbers (IANA TLS ExtensionType values) that are looked into.
const (
	extServerName        = 0
	extGroups            = 10
	extPointFormats      = 11
	extSignatures        = 13
	extALPN              = 16
	extSupportedVersions = 43
)

// ClientHello is what a client offered (RFC 5246 7.4.1.2, RFC 8446 4.1.2).
type ClientHello struct {
	// SHA256 is the hash, in hex, of the whole handshake message with its four
	// bytes of header.
	SHA256 string `json:"sha256"`
	// Size is the message's size in bytes.
	Size int `json:"size"`
	// SSLv2 is set for a hello in the format of SSL 2.0, which has only
	// Version, Suites and a random of 16 to 32 bytes.
	SSLv2 bool `json:"sslv2,omitempty"`
	// Version is legacy_version: 0x0301 for TLS 1.0 to 0x0303 for TLS 1.2.
	Version uint16 `json:"version"`
	// Random is 32 bytes in hex. The first four were once the client's clock.
	Random          string `json:"random"`
	SessionIDLength int    `json:"session_id_length"`
	// Suites are in the client's order.
	Suites       []uint16 `json:"suites"`
	Compressions []uint8  `json:"compressions,omitempty"`
	// Extensions are the numbers of the extensions in the client's order.
	Extensions   []uint16 `json:"extensions,omitempty"`
	ServerName   string   `json:"server_name,omitempty"`
	ALPN         []string `json:"alpn,omitempty"`
	Groups       []uint16 `json:"groups,omitempty"`
	PointFormats []uint8  `json:"point_formats,omitempty"`
	Signatures   []uint16 `json:"signatures,omitempty"`
	// SupportedVersions is the extension of TLS 1.3.
	SupportedVersions []uint16 `json:"supported_versions,omitempty"`
}

// Fingerprint names what this client can do: version, suites, extensions,
// groups, point formats and signatures in order, and nothing that changes from
// one connection to the next.
func (h *ClientHello) Fingerprint() string {
	var b strings.Builder
	fmt.Fprintf(&b, "v=%04x", h.Version)
	list := func(name string, values []uint16) {
		fmt.Fprintf(&b, ";%s=", name)
		for i, v := range values {
			if i > 0 {
				b.WriteByte('-')
			}
			fmt.Fprintf(&b, "%04x", v)
		}
	}
	list("suites", h.Suites)
	list("ext", h.Extensions)
	list("groups", h.Groups)
	list("sig", h.Signatures)
	list("versions", h.SupportedVersions)
	fmt.Fprintf(&b, ";points=%x;compression=%x;alpn=%q", h.PointFormats, h.Compressions, h.ALPN)
	return b.String()
}

var errShort = errors.New("endpoint: handshake message ends too early")

// ParseClientHello reads a ClientHello handshake message, header included.
// Unknown extensions are noted and skipped.
func ParseClientHello(msg []byte) (*ClientHello, error) {
	h := &ClientHello{SHA256: hexSum(msg), Size: len(msg)}
	r := reader{data: msg}
	if r.u8() != msgClientHello || r.u24() != len(r.data) {
		return nil, errors.New("endpoint: not a ClientHello")
	}
	h.Version = r.u16()
	h.Random = hex.EncodeToString(r.take(32))
	h.SessionIDLength = len(r.vec8())
	suites := r.vec16()
	h.Suites = suites.list16()
	h.Compressions = append([]uint8(nil), r.vec8()...)
	if r.failed || suites.failed {
		return nil, errShort
	}
	if len(r.data) == 0 {
		return h, nil // no extensions at all, as TLS 1.0 allows
	}
	exts := r.vec16()
	for !r.failed && len(exts.data) > 0 {
		id, body := exts.u16(), exts.vec16()
		if exts.failed {
			break
		}
		h.Extensions = append(h.Extensions, id)
		if err := h.extension(id, body); err != nil {
			return nil, err
		}
	}
	if r.failed || exts.failed {
		return nil, errShort
	}
	return h, nil
}

func (h *ClientHello) extension(id uint16, r reader) error {
	switch id {
	case extServerName:
		names := r.vec16()
		for len(names.data) > 0 && !names.failed {
			kind, name := names.u8(), names.vec16()
			if kind == 0 && h.ServerName == "" {
				h.ServerName = string(name.data)
			}
		}
		r.failed = r.failed || names.failed
	case extALPN:
		protos := r.vec16()
		for len(protos.data) > 0 && !protos.failed {
			h.ALPN = append(h.ALPN, string(protos.vec8()))
		}
		r.failed = r.failed || protos.failed
	case extGroups:
		v := r.vec16()
		h.Groups, r.failed = v.list16(), r.failed || v.failed
	case extSignatures:
		v := r.vec16()
		h.Signatures, r.failed = v.list16(), r.failed || v.failed
	case extPointFormats:
		h.PointFormats = append([]uint8(nil), r.vec8()...)
	case extSupportedVersions:
		v := reader{data: r.vec8()}
		h.SupportedVersions, r.failed = v.list16(), r.failed || v.failed
	}
	if r.failed {
		return fmt.Errorf("endpoint: extension %d of the ClientHello: %w", id, errShort)
	}
	return nil
}

// parseSSLv2Hello reads the CLIENT-HELLO of SSL 2.0 without its two bytes of
// record header (RFC 5246 E.2). Suites that do not exist in TLS are left out.
func parseSSLv2Hello(msg []byte) (*ClientHello, error) {
	h := &ClientHello{SHA256: hexSum(msg), Size: len(msg), SSLv2: true}
	r := reader{data: msg}
	r.u8()
	h.Version = r.u16()
	suites, session, challenge := int(r.u16()), int(r.u16()), int(r.u16())
	list := r.take(suites)
	h.SessionIDLength = len(r.take(session))
	h.Random = hex.EncodeToString(r.take(challenge))
	if r.failed {
		return nil, errShort
	}
	for ; len(list) >= 3; list = list[3:] {
		if list[0] == 0 {
			h.Suites = append(h.Suites, binary.BigEndian.Uint16(list[1:]))
		}
	}
	return h, nil
}

// serverHello is what the server chose.
type serverHello struct {
	version, suite uint16
}

func parseServerHello(msg []byte) (serverHello, error) {
	r := reader{data: msg}
	if r.u8() != msgServerHello || r.u24() != len(r.data) {
		return serverHello{}, errors.New("endpoint: not a ServerHello")
	}
	var h serverHello
	h.version = r.u16()
	r.take(32)
	r.vec8()
	h.suite = r.u16()
	r.u8()
	if r.failed {
		return serverHello{}, errShort
	}
	exts := r.vec16()
	for !r.failed && len(exts.data) > 0 && !exts.failed {
		id, body := exts.u16(), exts.vec16()
		if id == extSupportedVersions && len(body.data) == 2 {
			h.version = body.u16()
		}
	}
	return h, nil
}

// parseCertificates reads the Certificate message of TLS 1.0 to 1.2 and gives
// the DER forms; none at all for a client that has no certificate.
func parseCertificates(msg []byte) ([][]byte, error) {
	r := reader{data: msg}
	if r.u8() != msgCertificate || r.u24() != len(r.data) || r.u24() != len(r.data) {
		return nil, errors.New("endpoint: not a Certificate message")
	}
	var chain [][]byte
	for len(r.data) > 0 && !r.failed {
		chain = append(chain, r.take(r.u24()))
	}
	if r.failed {
		return nil, errShort
	}
	return chain, nil
}

func hexSum(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}

// reader takes fields from a message. After the first field that is not there,
// it gives zeroes and failed is set.
type reader struct {
	data   []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || n < 0 || n > len(r.data) {
		r.failed, r.data = true, nil
		return nil
	}
	p := r.data[:n]
	r.data = r.data[n:]
	return p
}

func (r *reader) uint(n int) int {
	v := 0
	for _, b := range r.take(n) {
		v = v<<8 | int(b)
	}
	return v
}

func (r *reader) u8() uint8    { return uint8(r.uint(1)) }
func (r *reader) u16() uint16  { return uint16(r.uint(2)) }
func (r *reader) u24() int     { return r.uint(3) }
func (r *reader) vec8() []byte { return r.take(r.uint(1)) }
func (r *reader) vec16() reader {
	p := r.take(r.uint(2))
	return reader{data: p, failed: r.failed}
}

// list16 takes all that is left as 16-bit numbers.
func (r *reader) list16() []uint16 {
	var list []uint16
	for len(r.data) > 0 && !r.failed {
		list = append(list, r.u16())
	}
	return list
}
