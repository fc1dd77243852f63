package client_test

import (
	"errors"
	"fmt"
	"testing"

	"safing/netmap"
	"safing/netmap/netmaptest"
	"safing/port17/client"
	"safing/port17/node"
	"safing/port17/route"
	"safing/port17/testnet"
)

// What is not encrypted leaves through a trusted exit, if the first bytes show
// it, or not at all. What is encrypted leaves anywhere.
func TestPlainThroughTrusted(t *testing.T) {
	c, m, trusted := trusting(t)
	for i, test := range []struct {
		first   string
		avoided bool // the trusted exit
		fails   bool
	}{
		{"GET / HTTP/1.1\r\n\r\n", false, false},
		{"GET / HTTP/1.1\r\n\r\n", true, true},
		{"\x16\x03\x01", true, false},
		{"\x16\x03\x01", false, false},
		{"USER ann\r\n", false, false},
		{"USER ann\r\n", true, true},
	} {
		for range 5 {
			var conn *client.Conn
			var err error
			for again := true; again; again = c.Map() != m { // as the authority has another one, without trusted nodes
				c.SetMap(m)
				r := client.Request{Addr: echo(t), Isolation: fmt.Sprint(i)}
				if test.avoided {
					r.AvoidExits = []netmap.NodeID{trusted}
				}
				conn = dial(t, c, r)
				_, err = fmt.Fprint(conn, test.first)
			}
			exit := conn.Route()[2].ID
			switch {
			case test.fails && !errors.Is(err, route.ErrNoRoute) && !errors.Is(err, client.ErrExposed):
				t.Fatalf("%q: error %v", test.first, err)
			case !test.fails && errors.Is(err, client.ErrExposed):
				t.Log("the exit had connected before the first bytes came")
			case !test.fails && err != nil:
				t.Fatalf("%q: %v", test.first, err)
			case !test.fails && test.first[0] != 0x16 && exit != trusted:
				t.Fatalf("%q leaves through an exit that is not trusted", test.first)
			}
		}
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
