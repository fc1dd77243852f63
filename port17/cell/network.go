package cell

import "net/netip"

// The bytes of an OPENED's network: of an IPv4 address, and of an IPv6 address.
const (
	network4 = 3
	network6 = 6
)

// NetworkOf returns what an OPENED says of the address that the exit has
// connected to: its /24 (IPv4) or /48 (IPv6), which tells where it is. It is nil
// for an address that is not valid.
func NetworkOf(a netip.Addr) []byte {
	switch a = a.Unmap(); {
	case a.Is4():
		b := a.As4()
		return b[:network4]
	case a.Is6():
		b := a.As16()
		return b[:network6]
	}
	return nil
}

// Network returns the network of an OPENED; one that is not valid if the exit has
// not named any.
func (f Frame) Network() netip.Prefix {
	if f.Type != OpenedFrame {
		return netip.Prefix{}
	}
	switch len(f.Data) {
	case network4:
		var b [4]byte
		copy(b[:], f.Data)
		return netip.PrefixFrom(netip.AddrFrom4(b), 8*network4)
	case network6:
		var b [16]byte
		copy(b[:], f.Data)
		return netip.PrefixFrom(netip.AddrFrom16(b), 8*network6)
	}
	return netip.Prefix{}
}
