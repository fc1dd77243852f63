package probe_test

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"safing/netmap"
	"safing/port17/probe"
	"safing/port17/testnet"
)

// forward passes connections on from another address, and returns where it
// listens.
func forward(t *testing.T, from netip.Addr, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.99.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer client.Close()
				server, err := dialer.Dial("tcp", to)
				if err != nil {
					t.Error(err)
					return
				}
				defer server.Close()
				running.Go(func() {
					io.Copy(server, client)
					server.Close()
				})
				io.Copy(client, server)
			})
		}
	})
	return l.Addr().String()
}

// An exit that connects from another owner's node is bad. One is not whose source
// another node publishes, and does not answer at.
func TestBorrowedAddress(t *testing.T) {
	n := testnet.Start(t, 4)
	m := mapOf(t, n)
	exit, other := nodeOf(t, m, n.Nodes[3]), nodeOf(t, m, n.Nodes[1])
	elsewhere := netip.MustParseAddr("127.99.0.77")
	lie := with(t, m, other.ID, func(o *netmap.Node) {
		d := *o.Descriptor
		d.Entrances = []netmap.Entrance{{Wrapping: netmap.QUIC, Addr: netip.AddrPortFrom(elsewhere, 443)}}
		o.Descriptor = &d
	})
	for _, test := range []struct {
		what string
		from netip.Addr
		m    *netmap.Map
		bad  bool
	}{
		{"it is the other's", other.Addresses[0].Addr(), m, true},
		{"the other only says so", elsewhere, lie, false},
		{"it is nobody's", elsewhere, m, false},
	} {
		server := serve(t)
		probe.SetTargets(t, server, forward(t, test.from, probe.ListenAddr(server)))
		r, err := probe.New(probe.Config{Server: server}).Probe(t.Context(), exit, test.m)
		if err != nil || r.Exit == nil {
			t.Fatalf("%s: %+v, %v", test.what, r, err)
		}
		if got := r.Exit.Bad != nil; got != test.bad || got && !strings.Contains(r.Exit.Bad.Error(), "address of node") {
			t.Errorf("%s: %+v", test.what, r.Exit)
		}
	}
}
