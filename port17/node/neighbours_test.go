package node

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"safing/netmap"
	"safing/port17/link"
)

// All links to one node end with this one, also those that circuits no longer
// use because there are enough newer ones.
func TestParallelLinksEndWithNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n *Node
		var links []*link.Link
		for range maxParallel + 2 {
			node, l, _ := linked(t)
			if n == nil {
				n = node
			}
			links = append(links, l)
		}
		ctx, cancel := context.WithCancel(t.Context())
		n.stop = cancel
		id := netmap.NodeID{7}
		for _, l := range links {
			n.track(ctx, l)
			n.keep(id, l)
		}
		if !slices.Equal(n.neighbours[id], links[2:]) {
			t.Errorf("%d links are used, want the newest %d", len(n.neighbours[id]), maxParallel)
		}
		links[5].Close()
		synctest.Wait()
		if slices.Contains(n.neighbours[id], links[5]) || len(n.neighbours[id]) != maxParallel-1 {
			t.Errorf("a link that has ended is used, or %d others are", len(n.neighbours[id]))
		}
		go n.Close()
		synctest.Wait()
		for i, l := range links {
			if l.Err() == nil {
				t.Errorf("link %d lives on", i)
			}
		}
		if len(n.neighbours) != 0 || len(n.links) != 0 {
			t.Errorf("%d neighbours and %d links are left", len(n.neighbours), len(n.links))
		}
	})
}
