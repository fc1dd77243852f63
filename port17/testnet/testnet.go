// Package testnet runs a whole Port17 network in one process, for tests: one or
// more authorities, witnesses, and nodes of different owners with links on
// loopback addresses.
//
// It is used by tests only. Everything stops when the test ends.
package testnet

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/netmap"
	"safing/port17/circuit"
	"safing/port17/directory"
	"safing/port17/link"
	"safing/port17/mesh"
	"safing/port17/node"
)

// A Network is a running one.
type Network struct {
	Trust *netmap.Network
	Nodes []*node.Node

	configs     []node.Config
	authorities []*office
	cosigners   []note.Signer // of the witnesses
}

// Start runs count nodes and waits until the map says that all are linked. The
// last two are exits that connect to loopback addresses. The changes are made to
// each node's configuration before it starts.
func Start(t testing.TB, count int, changes ...func(i int, c *node.Config)) *Network {
	t.Helper()
	return StartWith(t, Options{}, count, changes...)
}

// StartWith is Start for a network of another kind.
func StartWith(t testing.TB, o Options, count int, changes ...func(i int, c *node.Config)) *Network {
	t.Helper()
	n := found(t, o)
	for i := range count {
		var rules []string
		if i >= count-2 {
			rules = []string{"reject 127.0.0.66:*", "accept 127.0.0.0/8:*", "accept [::1]/128:*"}
		}
		policy, err := netmap.ParseExitPolicy(rules)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		key, err := node.LoadIdentity(filepath.Join(dir, "identity"), "")
		if err != nil {
			t.Fatal(err)
		}
		n.configs = append(n.configs, node.Config{
			Identity: key, Network: n.Trust, Listen: at(i), ListenQUIC: at(i), ListenTLS: at(i),
			Name: fmt.Sprint("node", i), Owner: fmt.Sprint("owner", i), Country: "DE", Exit: policy, State: dir,
		})
		for _, change := range changes {
			change(i, &n.configs[i])
		}
		n.Nodes = append(n.Nodes, n.start(t, i))
	}
	n.await(t, count)
	return n
}

// at is where a node listens.
func at(i int) []string { return []string{fmt.Sprintf("127.%d.0.1:0", 21+i)} }

func (n *Network) start(t testing.TB, i int) *node.Node {
	t.Helper()
	started, err := node.Start(t.Context(), n.configs[i])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { started.Close() })
	return started
}

// Restart ends a node and starts it again at its address, with new prekeys.
func (n *Network) Restart(t testing.TB, i int) {
	t.Helper()
	c := &n.configs[i]
	c.Listen, c.ListenQUIC, c.ListenTLS = []string{n.Nodes[i].Addr().String()}, nil, nil
	for _, e := range n.Nodes[i].Descriptor().Entrances {
		if e.Wrapping == netmap.QUIC {
			c.ListenQUIC = append(c.ListenQUIC, e.Addr.String())
		} else {
			c.ListenTLS = append(c.ListenTLS, e.Addr.String())
		}
	}
	n.Nodes[i].Close()
	n.Nodes[i] = n.start(t, i)
}

// await returns when every node has published links to every other, or in a
// network that is larger than one node's links, to half of as many.
func (n *Network) await(t testing.TB, count int) {
	t.Helper()
	least := count - 1
	for _, c := range n.configs {
		if links := cmp.Or(c.MaxLinks, mesh.DefaultLinks); count > links+1 {
			least = min(least, links/2)
		}
	}
	n.Await(t, "links of all nodes", func(m *netmap.Map) bool {
		for i := range m.Nodes {
			if len(m.Edges(i)) < least {
				return false
			}
		}
		return len(m.Nodes) == count
	})
}

// Await returns when there is a map of which ok is true.
func (n *Network) Await(t testing.TB, what string, ok func(*netmap.Map) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	directory.New(directory.Config{Network: n.Trust}).Watch(ctx, func(m *netmap.Map) { //nolint:errcheck // it ends when cancelled
		if ok(m) {
			cancel()
		}
	})
	if context.Cause(ctx) == context.DeadlineExceeded {
		t.Fatalf("no map within 30 seconds has: %s", what)
	}
}

// Route makes hops of the nodes with the indexes, and a link to the first.
func (n *Network) Route(t testing.TB, nodes ...int) (*link.Link, []circuit.Hop) {
	t.Helper()
	m, err := directory.New(directory.Config{Network: n.Trust}).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var hops []circuit.Hop
	for _, i := range nodes {
		at, ok := m.Node(n.Nodes[i].ID())
		if !ok {
			t.Fatalf("node %d is not on the map", i)
		}
		to, err := at.Recipient(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		hops = append(hops, circuit.Hop{Node: at, Recipient: to})
	}
	l, err := link.Dial(t.Context(), hops[0].Node, link.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		<-l.Done()
	})
	return l, hops
}
