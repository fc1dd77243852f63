package profile

import "net/netip"

// A Scope is a part of the address space that has a name.
type Scope string

// The scopes that rules can name. Every address is in exactly one.
const (
	Localhost Scope = "localhost" // this machine
	LAN       Scope = "lan"       // not routed on the Internet
	Internet  Scope = "internet"  // everything else
)

// ScopeOf returns the scope of an address; IPv4 addresses written as IPv6 are
// IPv4 addresses.
func ScopeOf(a netip.Addr) Scope {
	a = a.Unmap().WithZone("")
	switch {
	case a.IsLoopback(), a.IsUnspecified():
		return Localhost
	case a.IsPrivate(), a.IsLinkLocalUnicast(), a.IsMulticast(),
		a.Is4() && (prefix4(100, 64, 0, 0, 10).Contains(a) || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})),
		a.Is6() && prefix6(0xfec0, 0, 10).Contains(a):
		return LAN
	default:
		return Internet
	}
}

// Prefixes lists the networks of Localhost and LAN, which are disjoint. It is
// empty for Internet, which is what the two leave over.
//
// The sources are the IANA special-purpose address registries (RFC 6890).
// Linux takes a connection to 0.0.0.0 or :: to this machine.
func (s Scope) Prefixes() []netip.Prefix {
	switch s {
	case Localhost:
		return []netip.Prefix{prefix4(0, 0, 0, 0, 32), prefix4(127, 0, 0, 0, 8), prefix6(0, 0, 128), prefix6(0, 1, 128)}
	case LAN:
		return []netip.Prefix{
			prefix4(10, 0, 0, 0, 8), prefix4(100, 64, 0, 0, 10), prefix4(169, 254, 0, 0, 16),
			prefix4(172, 16, 0, 0, 12), prefix4(192, 168, 0, 0, 16),
			prefix4(224, 0, 0, 0, 4), prefix4(255, 255, 255, 255, 32),
			prefix6(0xfc00, 0, 7), prefix6(0xfe80, 0, 10), prefix6(0xfec0, 0, 10), prefix6(0xff00, 0, 8),
		}
	default:
		return nil
	}
}

func prefix4(a, b, c, d byte, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, d}), bits)
}

// prefix6 has the first 16 bits and the last 8 bits of the address.
func prefix6(first uint16, last byte, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: byte(first >> 8), 1: byte(first), 15: last}), bits)
}
