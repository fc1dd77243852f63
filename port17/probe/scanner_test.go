package probe_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/node"
	"safing/port17/probe"
	"safing/port17/testnet"
)

// A Scanner finds out for all nodes what they can carry: neither a slow partner
// nor what they say changes it.
func TestScanner(t *testing.T) {
	n := testnet.Start(t, 5, func(i int, c *node.Config) {
		if i == 0 || i == 3 {
			c.Rate, c.Burst = slow, 100_000
		}
	})
	m := mapOf(t, n)
	for _, i := range []int{0, 3} {
		m = with(t, m, n.Nodes[i].ID(), func(n *netmap.Node) { n.Capacity = 100 * slow })
	}
	dead := pretend(t, "tcp 127.0.0.1 silent").Node
	s, err := probe.NewScanner(t.Context(), probe.ScannerConfig{
		Prober: probe.New(probe.Config{Server: serve(t), Transfer: time.Second / 2, Timeout: 2 * time.Second, MostBytes: 20_000_000}),
		State:  t.TempDir(), MeasureEvery: time.Millisecond, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	changes := 0
	var missing string
	said := m
	s.Run(ctx, func() ([]netmap.Node, *netmap.Map) {
		missing = ""
		for i, node := range n.Nodes {
			reachable, bad, capacity := s.Opinion(node.ID())
			isSlow := i == 0 || i == 3
			if !reachable || bad || isSlow != near(capacity, slow) || !isSlow && capacity < 10*slow {
				missing = node.ID().Short()
			}
		}
		if reachable, _, _ := s.Opinion(dead.ID); missing == "" && !reachable {
			cancel()
		}
		m = said
		for _, node := range n.Nodes { // as authorities put it on the next map
			_, _, capacity := s.Opinion(node.ID())
			m = with(t, m, node.ID(), func(n *netmap.Node) { n.Measured = capacity })
		}
		return append([]netmap.Node{dead}, m.Nodes...), m
	}, func() {
		mu.Lock()
		defer mu.Unlock()
		changes++
	})
	if missing != "" {
		t.Errorf("what node %s can carry was not found out", missing)
	}
	if mu.Lock(); changes < 5 {
		t.Errorf("%d new opinions were told", changes)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
