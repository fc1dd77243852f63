package node

import (
	"net"
	"net/netip"
	"sync"
)

// Slots are for links from others. A network, which is an IPv4 /24 or an IPv6
// /48, may have one more while it has fewer than are free, as with circuits: so
// nobody keeps others out with the addresses of a few networks.
type slots struct {
	quota quota

	mu sync.Mutex
	of map[netip.Prefix]*int
}

func newSlots(limit int) *slots {
	return &slots{quota: quota{limit: limit}, of: make(map[netip.Prefix]*int)}
}

// take takes a slot for a connection from the address, and says whether there
// was one.
func (s *slots) take(from net.Addr) (network netip.Prefix, ok bool) {
	network = networkOf(from)
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.of[network]
	if held == nil {
		held = new(int)
	}
	if ok = s.quota.take(held, 1); ok {
		s.of[network] = held
	}
	return network, ok
}

// free gives the slot of a network back.
func (s *slots) free(network netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.of[network]
	if s.quota.give(held, 1); *held == 0 {
		delete(s.of, network)
	}
}

// networkOf returns the network of an address; zero if it has none.
func networkOf(a net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	address, bits := at.Addr().Unmap().WithZone(""), 24
	if address.Is6() {
		bits = 48
	}
	network, _ := address.Prefix(bits) // it fits the address
	return network
}
