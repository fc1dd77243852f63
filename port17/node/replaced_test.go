package node

import (
	"context"
	"testing"
	"testing/synctest"

	"safing/netmap"
)

// Two links to one node can meet, as when each has dialled the other. Circuits
// take the newer one, and both end with the node.
func TestReplacedLinkEndsWithNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, older, _ := linked(t)
		_, newer, _ := linked(t)
		ctx, cancel := context.WithCancel(t.Context())
		n.stop = cancel
		id := netmap.NodeID{7}
		n.keep(ctx, id, older)
		n.keep(ctx, id, newer)
		if n.neighbours[id] != newer {
			t.Error("the newer link is not used")
		}
		go n.Close()
		synctest.Wait()
		if older.Err() == nil || newer.Err() == nil {
			t.Errorf("after the node was closed: %v and %v", older.Err(), newer.Err())
		}
	})
}
