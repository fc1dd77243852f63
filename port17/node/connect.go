package node

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"safing/internal/dial"
	"safing/port17/cell"
)

const (
	lookupTimeout  = 10 * time.Second
	connectTimeout = 20 * time.Second
	maxAddresses   = 4 // of a name that are tried
)

// A resolver is a [net.Resolver].
type resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// connect returns a connection to the target, or why there is none.
func (e *exit) connect(ctx context.Context, to cell.Target, b *budget) (*net.TCPConn, cell.Reason) {
	if !e.policy.AllowsPort(to.Port) {
		return nil, cell.Policy
	}
	if limited(to) && !b.take() {
		return nil, cell.TooFast
	}
	addresses, reason := e.resolve(ctx, to)
	if reason != 0 {
		return nil, reason
	}
	conn, err := dial.Any(ctx, addresses, e.dial)
	if err != nil {
		return nil, dialReason(err)
	}
	return conn.(*net.TCPConn), 0
}

// resolve returns where the target is, as far as the policy leads there, or why
// it is nowhere. What the policy says of a name is what it says of each of its
// addresses.
func (e *exit) resolve(ctx context.Context, to cell.Target) ([]netip.AddrPort, cell.Reason) {
	own, err := e.own()
	if err != nil {
		return nil, cell.Failed
	}
	found := []netip.Addr{to.Addr}
	if to.Host != "" {
		select {
		case e.naming <- struct{}{}:
		case <-ctx.Done():
			return nil, cell.ExitFull
		}
		found, err = e.lookup(ctx, to.Host)
		<-e.naming
		if err != nil {
			return nil, cell.NoSuchName
		}
	}
	var addresses []netip.AddrPort
	for _, a := range dial.Alternate(found) {
		address := netip.AddrPortFrom(a.Unmap(), to.Port)
		if e.policy.Allows(address, own...) && len(addresses) < maxAddresses {
			addresses = append(addresses, address)
		}
	}
	if len(addresses) == 0 {
		return nil, cell.Policy
	}
	return addresses, 0
}

// reached is what the origin learns of where its stream leads: for a name the
// address, of which it is told the network.
func reached(to cell.Target, conn *net.TCPConn) netip.Addr {
	if to.Host == "" {
		return netip.Addr{}
	}
	return conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
}

// dial connects to one address.
func (e *exit) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if !e.destinations.take(to.Addr()) {
		return nil, errCrowded
	}
	var dialer net.Dialer
	if from := e.source(to.Addr()); from.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return dialer.DialContext(ctx, "tcp", to.String())
}

// lookup returns a name's addresses. The name is absolute, so that it means the
// same at every exit: no domain of the operator's search list is tried behind
// it. Localhost is no name of the DNS (RFC 6761, 6.3).
func (e *exit) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if isLocalhost(name) {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addresses, err := e.resolver.LookupNetIP(ctx, "ip", name+".")
	e.names.count(err)
	return addresses, err
}

func isLocalhost(name string) bool { return strings.EqualFold(name, "localhost") }

// own returns the machine's addresses: those that the node publishes, which may
// be on another machine that passes on, and those of its interfaces now.
func (e *exit) own() ([]netip.Addr, error) {
	interfaces, err := net.InterfaceAddrs()
	own := slices.Clone(e.from)
	for _, i := range interfaces {
		if n, ok := i.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(n.IP); ok {
				own = append(own, a.Unmap())
			}
		}
	}
	return own, err
}

// source is the address to connect from: the node's own of the same family, so
// that what an exit does is seen to come from the exit. Without one it is not
// valid, and the system chooses.
func (e *exit) source(to netip.Addr) netip.Addr {
	for _, a := range e.from {
		if a.Is4() == to.Is4() && a.IsLoopback() == to.IsLoopback() {
			return a
		}
	}
	return netip.Addr{}
}

func dialReason(err error) cell.Reason {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, errCrowded):
		return cell.Crowded
	case errors.Is(err, syscall.ECONNREFUSED):
		return cell.Refused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return cell.Unreachable
	case errors.As(err, &timeout) && timeout.Timeout():
		return cell.TimedOut
	}
	return cell.Failed
}
