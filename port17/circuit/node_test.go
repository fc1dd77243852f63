package circuit_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"safing/port17/authority"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/port17/testnet"
)

// Through real nodes: whoever writes when one dies learns which it was.
func TestNodeDiesWhileWriting(t *testing.T) {
	n := testnet.Start(t, 4)
	m, err := authority.NewClient(n.Trust, "", nil).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var hops []circuit.Hop
	for _, i := range []int{0, 1, 3} {
		at, ok := m.Node(n.Nodes[i].ID())
		if !ok {
			t.Fatalf("node %d is not on the map", i)
		}
		to, err := at.Recipient(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		hops = append(hops, circuit.Hop{Node: at, Recipient: to})
	}
	l, err := link.Dial(t.Context(), hops[0].Node, link.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	address := server.Addr().(*net.TCPAddr).AddrPort()
	to := cell.Target{Addr: address.Addr(), Port: address.Port()}
	ended := make(chan error, 1)
	_, s, err := circuit.Dial(l, hops, &to, []byte("early"), func(err error) { ended <- err })
	if err != nil {
		t.Fatal(err)
	}
	conn, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go io.Copy(io.Discard, conn)
	written := make(chan error)
	go func() {
		for {
			if _, err := s.Write(make([]byte, 100_000)); err != nil {
				written <- err
				return
			}
		}
	}()
	<-s.Opened()
	n.Nodes[1].Close()
	for _, err := range []error{<-written, <-ended} {
		var e *circuit.Error
		if !errors.As(err, &e) || e.Hop != 1 {
			t.Errorf("error %v, want one at node 2", err)
		}
	}
}
