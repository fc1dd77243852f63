package node_test

import (
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/node"
	"safing/port17/testnet"
)

// pieces returns in how many the map's nodes are that are not gone, and the least
// and most links that one has, and how many lead to those that are gone.
func pieces(m *netmap.Map, gone map[netmap.NodeID]bool) (pieces, least, most, dead int) {
	seen := make([]bool, len(m.Nodes))
	least = len(m.Nodes)
	for i, n := range m.Nodes {
		if gone[n.ID] {
			continue
		}
		least, most = min(least, len(m.Edges(i))), max(most, len(m.Edges(i)))
		if seen[i] {
			continue
		}
		pieces++
		seen[i] = true
		for queue := []int{i}; len(queue) > 0; queue = queue[1:] {
			for _, e := range m.Edges(queue[0]) {
				if gone[m.Nodes[e.To].ID] {
					dead++
				} else if !seen[e.To] {
					seen[e.To] = true
					queue = append(queue, e.To)
				}
			}
		}
	}
	return pieces, least, most, dead
}

// In a network that is larger than the links of a node, nodes choose; and those
// that are left choose again when some die.
func TestNodesChoose(t *testing.T) {
	const count, links, dead = 18, 6, 4
	n := testnet.Start(t, count, func(_ int, c *node.Config) {
		c.MaxLinks, c.ListenQUIC, c.ListenTLS = links, nil, nil
		c.Explore = 100 * time.Millisecond
	})
	gone := make(map[netmap.NodeID]bool)
	whole := func(m *netmap.Map) bool {
		pieces, least, most, dead := pieces(m, gone)
		return pieces == 1 && least >= links/2 && most <= 4*links && dead == 0
	}
	n.Await(t, "one network", whole)
	for _, dying := range n.Nodes[:dead] {
		gone[dying.ID()] = true
		dying.Close()
	}
	began := time.Now()
	n.Await(t, "one network without the dead", whole)
	t.Logf("the network is whole without them after %v", time.Since(began))
}
