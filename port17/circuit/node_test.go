package circuit_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"

	"safing/netmap"
	"safing/tinker"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/port17/testnet"
)

// real makes a link and hops of real nodes, and a server.
func real(t *testing.T) (*testnet.Network, *link.Link, []circuit.Hop, net.Listener, cell.Target) {
	t.Helper()
	n := testnet.Start(t, 4)
	l, hops := n.Route(t, 0, 1, 3)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	address := server.Addr().(*net.TCPAddr).AddrPort()
	return n, l, hops, server, cell.Target{Addr: address.Addr(), Port: address.Port()}
}

// Through real nodes: whoever writes when one dies learns which it was.
func TestNodeDiesWhileWriting(t *testing.T) {
	n, l, hops, server, to := real(t)
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

// Through real nodes: keys are renewed under a stream in both directions.
func TestRenewUnderLoad(t *testing.T) {
	_, l, hops, server, to := real(t)
	c, s, err := circuit.Dial(l, hops, &to, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go io.Copy(conn, conn) //nolint:errcheck // the stream tells
	const size, half = 64 << 20, 32 << 20
	source := rand.New(rand.NewPCG(1, 2))
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(source.Uint32())
	}
	go func() {
		for range size / len(sent) {
			if _, err := s.Write(sent); err != nil {
				return
			}
		}
		s.CloseWrite()
	}()
	got := make([]byte, len(sent))
	for n := 0; n < size; n += len(got) {
		if n == half {
			c.Renew()
		}
		if _, err := io.ReadFull(s, got); err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("after %d bytes: others than were sent", n)
		}
	}
	if n := c.Renewed(); n != len(hops) {
		t.Errorf("keys were renewed with %d nodes, want %d", n, len(hops))
	}
}

// A node that has restarted sends its new keys to those who ask for its
// old prekeys: over a link, and through a circuit.
func TestNodeRestarted(t *testing.T) {
	n, _, hops, _, to := real(t)
	old := hops[2]
	n.Restart(t, 3)
	isNew := func(retry *tinker.RetryError) {
		t.Helper()
		if retry == nil {
			t.Fatal("there are no keys")
		}
		k, err := netmap.OpenKeys(retry.Descriptor)
		if err != nil || k.ID != old.Node.ID || slices.ContainsFunc(k.Prekeys, func(p tinker.Prekey) bool {
			return p.ID() == old.Recipient.Prekey.ID()
		}) {
			t.Errorf("keys of %v, %v", k, err)
		}
	}
	var retry *tinker.RetryError
	for retry == nil { // until the node has signed its first keys
		l, err := link.Dial(t.Context(), old.Node, link.Config{})
		if err != nil {
			t.Fatal(err)
		}
		<-l.Done()
		if !errors.As(l.Err(), &retry) && t.Context().Err() != nil {
			t.Fatal(l.Err())
		}
	}
	isNew(retry)

	l, err := link.Dial(t.Context(), n.Nodes[3].Public(), link.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, _, err := circuit.Dial(l, []circuit.Hop{old}, &to, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	var end *circuit.Error
	if !errors.As(c.Err(), &end) || end.Reason != cell.UnknownPrekey || end.Hop != 0 {
		t.Fatalf("the circuit: %v", c.Err())
	}
	isNew(end.Retry)
}
