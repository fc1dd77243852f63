package probe_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/directory"
	"safing/port17/node"
	"safing/port17/probe"
	"safing/port17/testnet"
)

// mapOf fetches the network's map.
func mapOf(t *testing.T, n *testnet.Network) *netmap.Map {
	t.Helper()
	m, err := directory.New(directory.Config{Network: n.Trust}).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func nodeOf(t *testing.T, m *netmap.Map, n *node.Node) netmap.Node {
	t.Helper()
	found, ok := m.Node(n.ID())
	if !ok {
		t.Fatalf("node %s is not on the map", n.ID().Short())
	}
	return found
}

// serve starts a server at an address that the exits of a testnet lead to, and
// says to the prober that exits reach it at others, if there are any.
func serve(t *testing.T, addresses ...string) *probe.Server {
	t.Helper()
	s, err := probe.NewServer(t.Context(), probe.ServerConfig{Listen: []string{"127.99.0.1:0"}, Addresses: addresses})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A node that was restarted has newer keys than the map, and proves itself with
// them.
func TestReachRestarted(t *testing.T) {
	n := testnet.Start(t, 2)
	m := mapOf(t, n)
	n.Restart(t, 0)
	for deadline := time.Now().Add(10 * time.Second); n.Nodes[0].Public().Keys == nil; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the node has no keys")
		}
	}
	r, err := probe.New(probe.Config{}).Probe(t.Context(), nodeOf(t, m, n.Nodes[0]), m)
	if err != nil || !r.Reachable() {
		t.Errorf("%+v, %v", r, err)
	}
}

// A probe ends with its context.
func TestProbeEnds(t *testing.T) {
	self := pretend(t, "tcp 127.0.0.1 silent").Node
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := probe.New(probe.Config{Timeout: time.Hour}).Probe(ctx, self, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want %v", err, context.DeadlineExceeded)
	}
}
