package node

import (
	"net"
	"net/netip"
	"testing"
)

func TestSlots(t *testing.T) {
	from := func(a string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(a)) }
	s := newSlots(16)
	fill := func(a string) (n int) {
		for {
			if _, ok := s.take(from(a)); !ok {
				return n
			}
			n++
		}
	}
	for _, c := range []struct {
		address string
		want    int
	}{
		{"192.0.2.1:1", 8},
		{"192.0.2.77:5", 0}, // of the same network
		{"[::ffff:192.0.2.78]:5", 0},
		{"192.0.3.1:1", 4},
		{"[2001:db8:0:1::1]:1", 2},
		{"[2001:db8:0:2::1%eth0]:1", 0},
		{"[2001:db8:1::1]:1", 1},
		{"198.51.100.1:1", 1},
		{"198.51.101.1:1", 0}, // all are taken
	} {
		if got := fill(c.address); got != c.want {
			t.Errorf("%s has %d slots, want %d", c.address, got, c.want)
		}
	}
	network := networkOf(from("192.0.2.1:1"))
	for range 8 {
		s.free(network)
	}
	if got := fill("203.0.113.1:1"); got != 4 {
		t.Errorf("%d slots were free, want 4", got)
	}
	if _, ok := s.of[network]; ok {
		t.Error("a network without slots is remembered")
	}
}
