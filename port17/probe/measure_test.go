package probe_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/node"
	"safing/port17/probe"
	"safing/port17/testnet"
)

const slow = 1_000_000 // bytes a second

// with returns the map with other facts about a node.
func with(t *testing.T, m *netmap.Map, id netmap.NodeID, f func(*netmap.Node)) *netmap.Map {
	t.Helper()
	i, ok := m.Index(id)
	if !ok {
		t.Fatal("the node is not on the map")
	}
	changed := *m
	changed.Nodes = append([]netmap.Node(nil), m.Nodes...)
	d := *m.Nodes[i].Descriptor
	changed.Nodes[i].Descriptor = &d
	f(&changed.Nodes[i])
	return &changed
}

// near says whether the rate is what a node that is held to another one has.
func near(got, want uint64) bool { return got > want*6/10 && got < want*15/10 }

// A node that says that it is a hundred times as fast as it is does not gain by it,
// neither in the middle nor as an exit; one that is fast is found to be.
func TestMeasure(t *testing.T) {
	n := testnet.Start(t, 6, func(i int, c *node.Config) {
		if i == 1 || i == 4 {
			c.Rate = slow
		}
	})
	m := mapOf(t, n)
	for _, i := range []int{1, 4} {
		m = with(t, m, n.Nodes[i].ID(), func(n *netmap.Node) { n.Capacity = 100 * slow })
	}
	// What was measured before keeps slow partners away.
	for _, i := range []int{0, 2, 3, 5} {
		m = with(t, m, n.Nodes[i].ID(), func(n *netmap.Node) { n.Measured = 100 << 20 })
	}
	p := probe.New(probe.Config{Server: serve(t), Transfer: 2 * time.Second})
	for _, test := range []struct {
		node int
		slow bool
		hops int
	}{{0, false, 3}, {1, true, 3}, {4, true, 2}, {5, false, 2}} {
		self := nodeOf(t, m, n.Nodes[test.node])
		const most = 20_000_000
		got, err := p.Measure(t.Context(), self, m, most)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("node %d: %d bytes a second, %d bytes in %s", test.node, got.Rate, got.Bytes, got.Took)
		if test.slow != near(got.Rate, slow) || !test.slow && got.Rate < 4*slow {
			t.Errorf("node %d: %d bytes a second, slow: %v", test.node, got.Rate, test.slow)
		}
		if len(got.Path) != test.hops || got.Bytes > most+4096 {
			t.Errorf("node %d: %+v, want %d hops and %d bytes at most", test.node, got, test.hops, most)
		}
		if test.hops == 2 && got.Path[1] != self.ID || test.hops == 3 && got.Path[1] != self.ID {
			t.Errorf("node %d is not in the second place of %v", test.node, got.Path)
		}
	}
}

// Who is not linked to anybody on the map can't be measured, and says so.
func TestMeasureNoPath(t *testing.T) {
	n := testnet.Start(t, 2)
	m := mapOf(t, n)
	alone, err := netmap.New(m.Network, 1, m.ValidAfter, m.ValidUntil, []netmap.Node{nodeOf(t, m, n.Nodes[0])})
	if err != nil {
		t.Fatal(err)
	}
	p := probe.New(probe.Config{Server: serve(t)})
	if got, err := p.Measure(t.Context(), alone.Nodes[0], alone, 1<<20); !errors.Is(err, probe.ErrNoPath) {
		t.Errorf("%+v, %v, want %v", got, err, probe.ErrNoPath)
	}
}

// Of partners, those that are fast enough come first, in any order.
func TestPartners(t *testing.T) {
	for _, test := range []struct {
		measured []uint64
		least    uint64
		first    int // of them, one may come first
	}{
		{[]uint64{0, 0, 0, 0}, 0, 3},           // nobody knows
		{[]uint64{90, 80, 70, 60, 10}, 50, 4},  // all that are fast
		{[]uint64{90, 80, 70, 60, 10}, 500, 3}, // none is
		{[]uint64{90, 80, 1, 0}, 500, 2},       // few are half as fast as the fastest
		{[]uint64{0, 90, 0, 0}, 0, 1},
	} {
		got := make(map[string]bool)
		for range 200 {
			var nodes []netmap.Node
			for i, measured := range test.measured {
				nodes = append(nodes, netmap.Node{Descriptor: &netmap.Descriptor{Name: string(rune('a' + i))}, Measured: measured})
			}
			all := probe.Partners(nodes, test.least)
			if len(all) != len(test.measured) {
				t.Fatalf("%d of %d nodes", len(all), len(test.measured))
			}
			if measured := all[0].Measured; measured*2 < slices.Max(test.measured) && measured < test.least {
				t.Errorf("%v: the first has %d", test.measured, measured)
			}
			got[all[0].Name] = true
		}
		if slices.Max(test.measured) > 0 && len(got) != test.first {
			t.Errorf("%v: %d came first, want %d", test.measured, len(got), test.first)
		}
	}
}
