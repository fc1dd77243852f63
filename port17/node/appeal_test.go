package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"safing/netmap"
	"safing/netmap/netmaptest"
	"safing/port17/directory"
	"safing/port17/node"
	"safing/port17/testnet"
)

// What a node says of its owner is on the map, and its appeal can change while
// it runs.
func TestOwnerAndAppeal(t *testing.T) {
	owner := netmaptest.Identity("owner")
	n := testnet.Start(t, 3, func(i int, c *node.Config) {
		if i == 0 {
			c.Group = "attic"
			id := netmap.NodeID(c.Identity[32:])
			c.OwnerKey, c.OwnerProof = netmap.OwnerKey(owner[32:]), netmap.SignOwner(owner, id, c.Group)
		}
	})
	one := n.Nodes[0]
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m, err := directory.New(directory.Config{Network: n.Trust}).Fetch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if on, ok := m.Node(one.ID()); !ok || on.OwnerKey != [32]byte(owner[32:]) || on.Group != "attic" {
		t.Errorf("on the map: %+v", on)
	}
	if err := one.SetAppeal(strings.Repeat("x", 257)); !errors.Is(err, netmap.ErrDescriptor) {
		t.Errorf("one that is too long: %v", err)
	}
	if err := one.SetAppeal("it was not me"); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for one.Descriptor().Appeal != "it was not me" {
		select {
		case <-ctx.Done():
			t.Fatal("the appeal is not published")
		case <-tick.C:
		}
	}
}
