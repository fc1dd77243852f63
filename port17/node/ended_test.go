package node_test

import (
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

// await waits until the node has counted what is wanted.
func await(t *testing.T, n *node.Node, what string, done func(node.Ended) bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !done(n.Ended()); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: the node counts %+v", what, n.Ended())
		}
		<-time.After(time.Millisecond)
	}
}

// A node counts why circuits, streams and links have ended. A reason that it
// does not know, and that anybody may give, is no key of its own.
func TestEnded(t *testing.T) {
	n := testnet.Start(t, 2)
	server, _ := echo(t)
	l, hops := n.Route(t, 1)
	exit := n.Nodes[1]
	c, _, err := circuit.Dial(l, hops, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	open := func(to cell.Target) *stream.Stream {
		t.Helper()
		s, err := c.Open(to, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		s.Read(make([]byte, 1))
		return s
	}
	streams := func(r cell.Reason) {
		t.Helper()
		await(t, exit, "a stream that has ended: "+r.String(), func(e node.Ended) bool { return e.Streams[r] == 1 })
	}
	open(target(netip.MustParseAddrPort("127.0.0.66:80")))
	streams(cell.Policy)
	s := open(target(server))
	s.CloseWrite()
	io.Copy(io.Discard, s)
	s.Close()
	streams(cell.Finished)
	open(target(server))
	c.Close()
	await(t, exit, "a circuit that was closed", func(e node.Ended) bool {
		return e.Circuits[cell.Finished] == 1 && e.Streams[cell.Finished] == 2
	})
	leg, err := l.Open(make(ending, 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := l.Pool().Get()
	clear(b[:])
	b[cell.HeaderSize] = cell.LeastBurst
	if err := leg.Push(cell.Create, b); err != nil {
		t.Fatal(err)
	}
	leg.Close(99, 0)
	await(t, exit, "a circuit that ends for a reason of its own", func(e node.Ended) bool { return e.Circuits[0] == 1 && e.Circuits[99] == 0 })

	links := func(r cell.Reason, count uint64) {
		t.Helper()
		await(t, exit, "a link that has ended: "+r.String(), func(e node.Ended) bool { return e.Links[r] == count })
	}
	was := exit.Ended().Links[cell.Finished]
	l.Close()
	links(cell.Finished, was+1)
	conn, err := net.Dial("tcp", exit.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write(append([]byte{0, 1}, make([]byte, cell.Size-2)...)) //nolint:errcheck // the count tells
	io.ReadFull(conn, make([]byte, cell.Size))                     //nolint:errcheck // the count tells
	conn.Close()
	links(cell.UnknownPrekey, 1)
}
