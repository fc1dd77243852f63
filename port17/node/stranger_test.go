package node_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/directory"
	"safing/port17/link"
	"safing/port17/node"
	"safing/port17/testnet"
)

// Who links to a node and is not on the map does not make it publish: the whole
// network would fetch a new map every time.
func TestStrangerDoesNotPublish(t *testing.T) {
	n := testnet.Start(t, 2)
	m, err := directory.New(directory.Config{Network: n.Trust}).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at, _ := m.Node(n.Nodes[0].ID())
	was := settled(n.Nodes[0])
	for range 3 {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		l, err := link.Dial(t.Context(), at, link.Config{Identity: key})
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(5 * time.Second); l.RTT() == 0 && time.Now().Before(deadline); {
			<-time.After(10 * time.Millisecond)
		}
		defer l.Close()
	}
	if settled(n.Nodes[0]) != was {
		t.Error("the node has published again")
	}
}

// settled waits until the node has published nothing for a time.
func settled(n *node.Node) *netmap.Descriptor {
	for {
		d := n.Descriptor()
		<-time.After(time.Second)
		if n.Descriptor() == d {
			return d
		}
	}
}
