package client_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"safing/port17/client"
	"safing/port17/route"
	"safing/port17/testnet"
)

// echoUDP sends datagrams back, and notes who has sent them.
func echoUDP(t testing.TB, address string) (*net.UDPAddr, <-chan netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(address)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	from := make(chan netip.AddrPort, 1000)
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, a, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			c.WriteToUDPAddrPort(b[:n], a)
			from <- a
		}
	}()
	return c.LocalAddr().(*net.UDPAddr), from
}

func listenPacket(t testing.TB, c *client.Client, r client.Request) *client.PacketConn {
	t.Helper()
	p, err := c.ListenPacket(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	p.SetReadDeadline(time.Now().Add(20 * time.Second))
	return p
}

func wantFrom(t testing.TB, p net.PacketConn, from net.Addr, want []byte) {
	t.Helper()
	b := make([]byte, 1<<16)
	n, a, err := p.ReadFrom(b)
	if err != nil || a.String() != from.String() || !bytes.Equal(b[:n], want) {
		t.Fatalf("%d bytes from %v, %v, want %d from %v", n, a, err, len(want), from)
	}
}

func TestListenPacket(t *testing.T) {
	n := testnet.Start(t, 6)
	c := start(t, n)
	one, from := echoUDP(t, "127.0.0.1")
	two, _ := echoUDP(t, "::1")
	data := make([]byte, 60000)
	rand.Read(data)
	for _, level := range []route.Level{route.Normal, route.High} {
		p := listenPacket(t, c, client.Request{Level: level})
		for _, to := range []net.Addr{one, two} {
			for _, size := range []int{0, 1, 1200, 9000, 60000} {
				for _, b := range [][]byte{data[:size], data[len(data)-size:]} {
					if n, err := p.WriteTo(b, to); n != size || err != nil {
						t.Fatal(n, err)
					}
				}
				wantFrom(t, p, to, data[:size])
				wantFrom(t, p, to, data[len(data)-size:])
			}
		}
		name := client.HostAddr(net.JoinHostPort("localhost", one.AddrPort().String()[len("127.0.0.1:"):]))
		if _, err := p.WriteTo([]byte("name"), name); err != nil {
			t.Fatal(err)
		}
		wantFrom(t, p, one, []byte("name"))
		hops := p.Route()
		if len(hops) != level.Nodes() {
			t.Errorf("%v: route of %d nodes", level, len(hops))
		}
		seen := <-from
		for _, node := range n.Nodes {
			if node.ID() == hops[len(hops)-1].ID && node.Addr().Addr() != seen.Addr() {
				t.Errorf("%v: the server saw %s, the exit is %s", level, seen, node.Addr())
			}
		}
		for len(from) > 0 {
			<-from
		}
		if p.Dropped() != 0 {
			t.Errorf("%d datagrams were dropped", p.Dropped())
		}
	}
}

func TestListenPacketErrors(t *testing.T) {
	c := start(t, testnet.Start(t, 6))
	server, _ := echoUDP(t, "127.0.0.1")
	if _, err := c.ListenPacket(t.Context(), client.Request{Addr: netip.MustParseAddrPort("10.0.0.1:53")}); !errors.Is(err, route.ErrNoRoute) {
		t.Errorf("a destination that no exit allows: %v", err)
	}
	p := listenPacket(t, c, client.Request{Addr: server.AddrPort()})
	for to, want := range map[net.Addr]error{
		client.HostAddr("10.0.0.1:53"):    client.ErrNotAllowed,
		client.HostAddr("127.0.0.66:53"):  client.ErrNotAllowed,
		client.HostAddr("no port"):        nil,
		client.HostAddr("127.0.0.1:0"):    nil,
		client.HostAddr("spa ce:1"):       nil,
		&net.UDPAddr{IP: nil, Port: 1000}: nil,
	} {
		if _, err := p.WriteTo(nil, to); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%v: %v", to, err)
		}
	}
	if _, err := p.WriteTo(make([]byte, 65508), server); err == nil {
		t.Error("a datagram that is too long was sent")
	}
	p.SetDeadline(time.Unix(1, 0))
	if _, _, err := p.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if _, err := p.WriteTo(nil, server); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	p.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := p.WriteTo([]byte("x"), server); err != nil {
		t.Error(err)
	}
	wantFrom(t, p, server, []byte("x"))
	p.Close()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.WriteTo(nil, server); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	if _, _, err := p.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

// What is written faster than the network takes it is dropped and counted.
func TestListenPacketFlood(t *testing.T) {
	c := start(t, testnet.Start(t, 6))
	sink, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	p := listenPacket(t, c, client.Request{})
	for b := make([]byte, 1200); p.Dropped() == 0; {
		if _, err := p.WriteTo(b, sink.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever waits for datagrams learns that the route has broken, and the next
// one avoids the node.
func TestListenPacketExitDies(t *testing.T) {
	n := testnet.Start(t, 7)
	c := start(t, n)
	server, _ := echoUDP(t, "127.0.0.1")
	p := listenPacket(t, c, client.Request{})
	if _, err := p.WriteTo([]byte("x"), server); err != nil {
		t.Fatal(err)
	}
	wantFrom(t, p, server, []byte("x"))
	dead := p.Route()[2].ID
	for _, node := range n.Nodes {
		if node.ID() == dead {
			node.Close()
		}
	}
	if _, _, err := p.ReadFrom(nil); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the exit died: %v", err)
	}
	if _, err := p.WriteTo([]byte("x"), server); err == nil {
		t.Error("a datagram was written after the exit had died")
	}
	next := listenPacket(t, c, client.Request{})
	if next.Route()[2].ID == dead {
		t.Error("the next route has the dead exit")
	}
	if _, err := next.WriteTo([]byte("y"), server); err != nil {
		t.Fatal(err)
	}
	wantFrom(t, next, server, []byte("y"))
}

// A client that is closed ends what is open.
func TestListenPacketClientCloses(t *testing.T) {
	c := start(t, testnet.Start(t, 6))
	server, _ := echoUDP(t, "127.0.0.1")
	p := listenPacket(t, c, client.Request{})
	if _, err := p.WriteTo([]byte("x"), server); err != nil {
		t.Fatal(err)
	}
	wantFrom(t, p, server, []byte("x"))
	late, err := c.ListenPacket(context.Background(), client.Request{})
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	c.Close()
	for _, p := range []*client.PacketConn{p, late} {
		if _, _, err := p.ReadFrom(nil); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the client is closed: %v", err)
		}
	}
}
