package node_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/directory"
	"safing/port17/testnet"
)

// drain begins to drain a node, and returns what ends that early and what is
// closed once it is over. It has begun when the node is off the map.
func drain(t *testing.T, n *testnet.Network, i int) (context.CancelFunc, <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	over := make(chan struct{})
	go func() {
		n.Nodes[i].Drain(ctx)
		close(over)
	}()
	off, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	directory.New(directory.Config{Network: n.Trust}).Watch(off, func(m *netmap.Map) { //nolint:errcheck // it ends when cancelled
		if _, ok := m.Node(n.Nodes[i].ID()); !ok {
			done()
		}
	})
	if context.Cause(off) == context.DeadlineExceeded {
		t.Fatal("the node stays on the map")
	}
	return cancel, over
}

func through(t *testing.T, n *testnet.Network, nodes ...int) (*circuit.Circuit, *stream.Stream) {
	t.Helper()
	server, _ := echo(t)
	l, hops := n.Route(t, nodes...)
	to := target(server)
	c, s, err := circuit.Dial(l, hops, &to, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c, s
}

// A node that is told to stop finishes what it has begun, and begins nothing.
func TestDrain(t *testing.T) {
	n := testnet.Start(t, 4)
	used, hops := n.Route(t, 1)
	c, s := through(t, n, 0, 1, 3)
	_, over := drain(t, n, 1)

	if conn, err := net.Dial("tcp", n.Nodes[1].Addr().String()); err == nil {
		conn.Close()
		t.Error("it takes connections")
	}
	fresh, _, err := circuit.Dial(used, hops, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-fresh.Done()
	var ended *circuit.Error
	if err := fresh.Err(); !errors.As(err, &ended) || ended.Reason != cell.ShuttingDown {
		t.Errorf("a new circuit: %v, want %q", err, cell.ShuttingDown)
	}
	go s.Write(make([]byte, 1<<20))
	if _, err := io.ReadFull(s, make([]byte, 1<<20)); err != nil {
		t.Errorf("a circuit that it has: %v", err)
	}
	select {
	case <-over:
		t.Fatal("the node did not wait for its circuit")
	default:
	}
	c.Close()
	select {
	case <-over:
	case <-time.After(10 * time.Second):
		t.Fatal("the node waits on without circuits")
	}
	n.Restart(t, 1) // at the same address, and it comes back onto the map
	back, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	directory.New(directory.Config{Network: n.Trust}).Watch(back, func(m *netmap.Map) { //nolint:errcheck // it ends when cancelled
		if _, ok := m.Node(n.Nodes[1].ID()); ok {
			done()
		}
	})
	if context.Cause(back) == context.DeadlineExceeded {
		t.Error("the node did not come back onto the map")
	}
}

// When the time is over, what is left ends, and its origin learns why and where.
func TestDrainEnds(t *testing.T) {
	n := testnet.Start(t, 4)
	for hop, draining := range []int{0, 1, 3} {
		if hop > 0 {
			n = testnet.Start(t, 4)
		}
		c, _ := through(t, n, 0, 1, 3)
		enough, over := drain(t, n, draining)
		enough()
		<-c.Done()
		var ended *circuit.Error
		if err := c.Err(); !errors.As(err, &ended) || ended.Reason != cell.ShuttingDown || ended.Hop != hop {
			t.Errorf("node %d: %v, want %q", hop+1, err, cell.ShuttingDown)
		}
		<-over
	}
}
