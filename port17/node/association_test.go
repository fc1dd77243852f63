package node_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/node"
	"safing/port17/testnet"
)

// listenUDP returns a socket with a free port of the address.
func listenUDP(t testing.TB, address string) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// echoUDP sends datagrams back, and notes who has sent them.
func echoUDP(t testing.TB, address string) (netip.AddrPort, <-chan netip.AddrPort) {
	t.Helper()
	c, at := listenUDP(t, address)
	from := make(chan netip.AddrPort, 1000)
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, a, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			c.WriteToUDPAddrPort(b[:n], a)
			select {
			case from <- a:
			default:
			}
		}
	}()
	return at, from
}

// associate opens an association over two nodes, the second of which it
// returns.
func associate(t testing.TB, n *testnet.Network) (*circuit.Circuit, *stream.Datagrams, *node.Node) {
	t.Helper()
	l, hops := n.Route(t, 0, 1)
	c, s, err := circuit.Dial(l, hops, &cell.Target{UDP: true}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, use(t, s), n.Nodes[1]
}

func use(t testing.TB, s *stream.Stream) *stream.Datagrams {
	t.Helper()
	s.SetReadDeadline(time.Now().Add(20 * time.Second))
	d := stream.NewDatagrams(s)
	ended := make(chan struct{})
	go func() {
		d.Run()
		close(ended)
	}()
	t.Cleanup(func() {
		d.Close()
		<-ended
	})
	return d
}

func sendTo(t testing.TB, d *stream.Datagrams, to cell.Target, p []byte) {
	t.Helper()
	if err := d.Send(to, p); err != nil {
		t.Fatal(err)
	}
}

func wantFrom(t testing.TB, d *stream.Datagrams, from netip.AddrPort, want []byte) {
	t.Helper()
	b := make([]byte, cell.MaxDatagram)
	n, a, err := d.Receive(b)
	if err != nil || a != target(from) || !bytes.Equal(b[:n], want) {
		t.Fatalf("%d bytes from %v, %v, want %d from %v", n, a, err, len(want), from)
	}
}

func TestAssociation(t *testing.T) {
	_, d, exit := associate(t, testnet.Start(t, 3))
	one, from := echoUDP(t, "127.0.0.1")
	two, _ := echoUDP(t, "127.0.0.2")
	three, _ := echoUDP(t, "::1")
	data := make([]byte, 60000)
	rand.Read(data)
	for _, to := range []netip.AddrPort{one, two, three} {
		for _, size := range []int{0, 1, 1200, 9000, 60000} {
			first, second := data[:size], data[len(data)-size:]
			sendTo(t, d, target(to), first)
			sendTo(t, d, target(to), second)
			wantFrom(t, d, to, first)
			wantFrom(t, d, to, second)
		}
	}
	name, err := cell.NewTarget("localhost", one.Port())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // looked up, and remembered
		sendTo(t, d, name, []byte("name"))
		wantFrom(t, d, one, []byte("name"))
	}
	if a := <-from; a.Addr() != exit.Addr().Addr() {
		t.Errorf("the server saw %s, the exit is %s", a, exit.Addr())
	}
	if got := exit.Drops(); got != (node.Drops{}) {
		t.Errorf("dropped: %+v", got)
	}
}

// Where the policy does not lead, no datagram goes, and the others do.
func TestAssociationPolicy(t *testing.T) {
	_, d, exit := associate(t, testnet.Start(t, 3))
	server, _ := echoUDP(t, "127.0.0.1")
	refused, at := listenUDP(t, "127.0.0.66")
	sendTo(t, d, target(at), []byte("refused"))
	sendTo(t, d, cell.Target{Addr: netip.MustParseAddr("10.0.0.1"), Port: 53}, []byte("refused"))
	sendTo(t, d, target(server), []byte("allowed"))
	wantFrom(t, d, server, []byte("allowed"))
	if got, want := exit.Drops(), (node.Drops{Policy: 2}); got != want {
		t.Errorf("dropped: %+v, want %+v", got, want)
	}
	us, _ := listenUDP(t, "127.0.0.1")
	us.WriteToUDPAddrPort([]byte("ours"), at)
	b := make([]byte, 100)
	if n, err := refused.Read(b); err != nil || string(b[:n]) != "ours" {
		t.Errorf("%q, %v", b[:n], err)
	}
}

// Answers come from where something was sent to, and from nobody else.
func TestAssociationStranger(t *testing.T) {
	_, d, exit := associate(t, testnet.Start(t, 3))
	server, from := echoUDP(t, "127.0.0.1")
	sendTo(t, d, target(server), []byte("one"))
	wantFrom(t, d, server, []byte("one"))
	stranger, _ := listenUDP(t, "127.0.0.1") // of the same address, with another port
	stranger.WriteToUDPAddrPort([]byte("stranger"), <-from)
	sendTo(t, d, target(server), []byte("two"))
	wantFrom(t, d, server, []byte("two"))
	if got, want := exit.Drops(), (node.Drops{Stranger: 1}); got != want {
		t.Errorf("dropped: %+v, want %+v", got, want)
	}
}

// One datagram is not made many.
func TestAssociationBroadcast(t *testing.T) {
	_, d, exit := associate(t, testnet.Start(t, 3))
	server, _ := echoUDP(t, "127.0.0.1")
	sendTo(t, d, target(netip.AddrPortFrom(netip.MustParseAddr("127.255.255.255"), server.Port())), []byte("all"))
	sendTo(t, d, target(server), []byte("one"))
	wantFrom(t, d, server, []byte("one"))
	if got, want := exit.Drops(), (node.Drops{Failed: 1}); got != want {
		t.Errorf("dropped: %+v, want %+v", got, want)
	}
}

// Datagrams without end, both ways, that nobody takes: what they hold is
// bounded, and a stream on the same circuit goes on.
func TestAssociationFlood(t *testing.T) {
	c, d, exit := associate(t, testnet.Start(t, 3))
	flooder, at := listenUDP(t, "127.0.0.1")
	sendTo(t, d, target(at), nil)
	_, back, err := flooder.ReadFromUDPAddrPort(nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	flood := func(send func(b []byte)) {
		for b := make([]byte, 1200); ; {
			select {
			case <-stop:
				done <- struct{}{}
				return
			default:
				send(b)
			}
		}
	}
	go flood(func(b []byte) { d.Send(target(at), b) })
	go flood(func(b []byte) { flooder.WriteToUDPAddrPort(b, back) })
	server, _ := echo(t)
	s, err := c.Open(target(server), nil)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 4<<20)
	rand.Read(data)
	go func() {
		s.Write(data)
		s.CloseWrite()
	}()
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	for exit.Drops().Full == 0 { // the flood has filled all that holds it
		<-time.After(time.Millisecond)
	}
	if n := exit.CellsUsed(); n > 1000 {
		t.Errorf("%d cells are in use", n)
	}
	close(stop)
	<-done
	<-done
}

// One bound holds for connections and sockets, another for associations.
func TestAssociationBounds(t *testing.T) {
	n := testnet.Start(t, 3)
	n.Nodes[1].LimitConnections(1)
	n.Nodes[1].LimitAssociations(1)
	c, d, exit := associate(t, n)
	four, _ := echoUDP(t, "127.0.0.1")
	six, _ := echoUDP(t, "::1")
	sendTo(t, d, target(four), []byte("x"))
	wantFrom(t, d, four, []byte("x"))
	sendTo(t, d, target(six), []byte("no slot"))
	sendTo(t, d, target(four), []byte("y"))
	wantFrom(t, d, four, []byte("y"))
	if got, want := exit.Drops(), (node.Drops{Failed: 1}); got != want {
		t.Errorf("dropped: %+v, want %+v", got, want)
	}
	second, err := c.Open(cell.Target{UDP: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantEnd(t, use(t, second), cell.ExitFull)
	d.Close()
	for deadline := time.Now().Add(5 * time.Second); ; {
		again, err := c.Open(cell.Target{UDP: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-again.Opened():
			d := use(t, again)
			sendTo(t, d, target(six), []byte("z"))
			wantFrom(t, d, six, []byte("z"))
			return
		case <-again.Done():
		}
		if time.Now().After(deadline) {
			t.Fatal("there was no room after the first had ended")
		}
	}
}

func wantEnd(t testing.TB, d *stream.Datagrams, reason cell.Reason) {
	t.Helper()
	var err error
	for err == nil {
		_, _, err = d.Receive(nil)
	}
	var end *stream.Error
	if !errors.As(err, &end) || end.Reason != reason {
		t.Errorf("the association ended: %v, want %v", err, reason)
	}
}

// Without datagrams an association ends, one with resolvers sooner.
func TestAssociationIdle(t *testing.T) {
	n := testnet.Start(t, 3)
	n.Nodes[1].SetIdle(time.Hour, time.Millisecond)
	_, d, _ := associate(t, n)
	wantEnd(t, d, cell.Idle)

	n = testnet.Start(t, 3)
	n.Nodes[1].SetIdle(10*time.Millisecond, time.Hour)
	_, d, _ = associate(t, n)
	server, _ := echoUDP(t, "127.0.0.1")
	sendTo(t, d, target(server), []byte("x"))
	wantEnd(t, d, cell.Idle)
}

func TestAssociationExitCloses(t *testing.T) {
	_, d, exit := associate(t, testnet.Start(t, 3))
	server, _ := echoUDP(t, "127.0.0.1")
	sendTo(t, d, target(server), []byte("x"))
	wantFrom(t, d, server, []byte("x"))
	exit.Close()
	if _, _, err := d.Receive(nil); err == nil {
		t.Error("a datagram arrived")
	}
	if err := d.Send(target(server), nil); err == nil {
		t.Error("a datagram was sent")
	}
}
