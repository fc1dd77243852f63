package client_test

import (
	"errors"
	"fmt"
	"testing"

	"safing/netmap"
	"safing/netmap/netmaptest"
	"safing/port17/client"
	"safing/port17/node"
	"safing/port17/testnet"
)

// What is not encrypted leaves through a trusted exit, if the first bytes show
// it. What is encrypted leaves anywhere.
func TestPlainThroughTrusted(t *testing.T) {
	c, m, trusted := trusting(t)
	to := echo(t)
	exits := make(map[bool]int)
	for i := 0; i < 60; {
		c.SetMap(m)
		first := []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01"}[i%2]
		if i%2 == 1 {
			to = echo(t)
		}
		conn := dial(t, c, client.Request{Addr: to, Isolation: fmt.Sprint(i)})
		say(t, conn, first)
		isTrusted := conn.Route()[2].ID == trusted
		if c.Map() != m {
			continue // the authority has another one, without trusted nodes
		}
		if i%2 == 0 && !isTrusted {
			t.Fatal("HTTP leaves through an exit that is not trusted")
		}
		if i%2 == 1 {
			exits[isTrusted]++
		}
		i++
	}
	if exits[false] == 0 {
		t.Error("what is encrypted leaves through the trusted exit alone")
	}
}

// A connection that turns out to be readable when its exit has connected ends, and
// the next one to the destination has another exit.
func TestPlainTooLate(t *testing.T) {
	c, m, trusted := trusting(t)
	to := echo(t)
	refused := 0
	for i := 0; i < 20; {
		c.SetMap(m)
		conn := dial(t, c, client.Request{Addr: to, Isolation: fmt.Sprint(i)})
		exit := conn.Route()[2].ID
		conn.OnStop(func(bool) {}) // waits until the exit is asked
		_, err := fmt.Fprint(conn, "EHLO example.org\r\n")
		if c.Map() != m {
			continue
		}
		switch {
		case exit == trusted && err != nil:
			t.Fatal(err)
		case exit != trusted && (!errors.Is(err, client.ErrExposed) || refused > 0):
			t.Fatalf("after %d that were refused, a connection through an exit that is not trusted: %v", refused, err)
		case exit != trusted:
			refused++
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("the connection goes on")
			}
		}
		i++
	}
	if refused > 1 {
		t.Errorf("%d connections were refused, want 1 at most", refused)
	}
}

// trusting starts a client in a network of exits, and returns a map on which one
// of them is trusted.
func trusting(t *testing.T) (*client.Client, *netmap.Map, netmap.NodeID) {
	t.Helper()
	policy, err := netmap.ParseExitPolicy([]string{"accept 127.0.0.0/8:*"})
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, testnet.Start(t, 6, func(_ int, c *node.Config) { c.Exit = policy }))
	m := c.Map()
	nodes := netmaptest.Linked(m)
	for i, n := range nodes {
		// An entry could be the exit of no route.
		if nodes[i].Flags |= netmap.FlagTrusted; !entered(t, c, n.ID) {
			m, err = netmap.New(m.Network, m.Sequence+1, m.ValidAfter, m.ValidUntil, nodes)
			if err != nil {
				t.Fatal(err)
			}
			return c, m, n.ID
		}
		nodes[i].Flags = 0
	}
	t.Fatal("all nodes are entries")
	return nil, nil, netmap.NodeID{}
}

// entered says whether the client enters the network by the node.
func entered(t *testing.T, c *client.Client, id netmap.NodeID) bool {
	t.Helper()
	e, err := c.Explain(client.Request{Addr: echo(t)})
	if err != nil {
		t.Fatal(err)
	}
	return e.Chosen.Nodes[0].ID == id
}
