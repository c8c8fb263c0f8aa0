package virtlab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"hil-runner/farm/virtlab/app"
)

// HostAddress is where a host serves endpoints for virtual modules.
const HostAddress = "127.0.0.1"

// maxNames bounds a module's table of names.
const maxNames = 1024

// radio is the virtual radio and IP stack of one module: genuine sockets from
// an address of its own, so that a server can tell modules apart, and a table
// of names in place of DNS. It is safe for concurrent use.
type radio struct {
	mac     string
	address netip.Addr
	outside bool

	mu     sync.Mutex
	access app.AccessPoint
	names  map[string]string
}

// ModuleAddress is the loopback address of a lab's nth module: 127.1.x.y.
func ModuleAddress(number int) string {
	return netip.AddrFrom4([4]byte{127, 1, byte((number - 1) / 250), byte((number-1)%250 + 1)}).String()
}

func newRadio(opt Options) *radio {
	r := &radio{
		access:  opt.Access,
		mac:     fmt.Sprintf("00:80:E1:%02X:%02X:%02X", byte(opt.Seed)|0x80, byte(opt.Number>>8), byte(opt.Number)),
		address: netip.MustParseAddr(ModuleAddress(opt.Number)),
		outside: opt.Outside,
		names:   map[string]string{},
	}
	for name, addr := range opt.Names {
		r.names[strings.ToLower(name)] = addr
	}
	return r
}

func (r *radio) setName(name, addr string) error {
	if name == "" || len(name) > 253 || strings.ContainsAny(name, " \t\r\n\x00") {
		return fmt.Errorf("name %q: want a host name", name)
	}
	name = strings.ToLower(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if addr == "" {
		delete(r.names, name)
		return nil
	}
	if _, err := netip.ParseAddr(addr); err != nil {
		return fmt.Errorf("name %s: address %q: want an IP address", name, addr)
	}
	if _, known := r.names[name]; !known && len(r.names) >= maxNames {
		return fmt.Errorf("name %s: the table is full with %d names", name, maxNames)
	}
	r.names[name] = addr
	return nil
}

// Access is the access point in reach.
func (r *radio) Access() app.AccessPoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.access
}

// Address is the module's own IP address.
func (r *radio) Address() string { return r.address.String() }

// MAC is the module's hardware address.
func (r *radio) MAC() string { return r.mac }

// Resolve looks a name up in the table; addresses pass. A look-up never
// leaves the machine.
func (r *radio) Resolve(_ context.Context, name string) (string, error) {
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.String(), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	addr, ok := r.names[strings.ToLower(strings.TrimSuffix(name, "."))]
	if !ok {
		return "", &net.DNSError{Err: "no such name in the lab's table", Name: name, IsNotFound: true}
	}
	return addr, nil
}

// Dial connects to an address and port. Addresses outside the machine are
// unreachable unless the lab allows them.
func (r *radio) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("connect %s: want an IP address and a port", address)
	}
	var d net.Dialer
	switch ip := target.Addr().Unmap(); {
	case ip.IsLoopback() && ip.Is4():
		d.LocalAddr = r.local(network, 0)
	case ip.IsLoopback() || r.outside:
	default:
		return nil, fmt.Errorf("connect %s: the virtual network does not reach outside this machine", address)
	}
	return d.DialContext(ctx, network, address)
}

// Listen serves a port on the module's own address.
func (r *radio) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, network, net.JoinHostPort(r.address.String(), port))
}

func (r *radio) local(network string, port int) net.Addr {
	if strings.HasPrefix(network, "udp") {
		return &net.UDPAddr{IP: r.address.AsSlice(), Port: port}
	}
	return &net.TCPAddr{IP: r.address.AsSlice(), Port: port}
}

func (r *radio) setAccess(ap app.AccessPoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.access = ap
}
