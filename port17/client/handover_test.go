package client_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"safing/netmap"
	"safing/netmap/netmaptest"
	"safing/port17/client"
	"safing/port17/route"
	"safing/port17/testnet"
)

// echo sends back what it gets.
func echo(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { l.Close() })
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				io.Copy(conn, conn)
			})
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func dial(t testing.TB, c *client.Client, r client.Request) *client.Conn {
	t.Helper()
	conn, err := c.Dial(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// say sends a text and waits for its echo.
func say(t testing.TB, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(text))
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != text {
		t.Fatalf("%q, %v, want %q", b, err, text)
	}
}

// awaitCircuits waits until the circuits are as wanted.
func awaitCircuits(t testing.TB, c *client.Client, what string, ok func([]client.CircuitView) bool) []client.CircuitView {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) {
		v := c.Circuits()
		if ok(v) {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %+v", what, v)
		}
	}
}

func inState(v []client.CircuitView, state string) []client.CircuitView {
	return slices.DeleteFunc(slices.Clone(v), func(v client.CircuitView) bool { return v.State != state })
}

// After the first connection circuits are built ahead. Each is one group's.
func TestBuiltAhead(t *testing.T) {
	c := start(t, testnet.Start(t, 6))
	to := echo(t)
	if v := slices.DeleteFunc(c.Circuits(), func(v client.CircuitView) bool { return v.State == "map" }); len(v) != 0 {
		t.Errorf("before the first connection there are circuits: %+v", v)
	}
	say(t, dial(t, c, client.Request{Addr: to, App: "a"}), "a")
	ahead := inState(awaitCircuits(t, c, "none is built ahead", func(v []client.CircuitView) bool { return len(inState(v, "ahead")) == 1 }), "ahead")
	if ahead[0].RTT == 0 || ahead[0].Streams != 0 || ahead[0].App != "" {
		t.Errorf("built ahead: %+v", ahead[0])
	}
	next := dial(t, c, client.Request{Addr: to, App: "b"})
	if got := next.Route(); !slices.Equal(got, ahead[0].Nodes) {
		t.Errorf("route %v, built ahead was %v", got, ahead[0].Nodes)
	}
	say(t, next, "b")
	for i := range 5 { // faster than any is built
		say(t, dial(t, c, client.Request{Addr: to, App: "b", Isolation: fmt.Sprint(i)}), "c")
	}
	if v := inUse(c); len(v) != 7 {
		t.Errorf("%d circuits for 7 groups: %+v", len(v), v)
	}
	say(t, dial(t, c, client.Request{Addr: to, App: "a", Level: route.High}), "d")
	awaitCircuits(t, c, "no long one is built ahead", func(v []client.CircuitView) bool {
		return slices.ContainsFunc(inState(v, "ahead"), func(v client.CircuitView) bool { return v.Level == "high" && len(v.Nodes) == 4 })
	})
	say(t, dial(t, c, client.Request{Addr: to, App: "e", Level: route.High}), "e")
}

// A circuit that gets old has a successor with the same exit before anybody
// needs it. What was connected goes on.
func TestHandOver(t *testing.T) {
	c := start(t, testnet.Start(t, 6))
	r := client.Request{Addr: echo(t), App: "a"}
	old := dial(t, c, r)
	say(t, old, "old")
	c.Age(9*time.Minute + 30*time.Second)
	both := inUseOnce(awaitCircuits(t, c, "no successor", func(v []client.CircuitView) bool { return len(inUseOnce(v)) == 2 }))
	if both[0].Nodes[2].ID != both[1].Nodes[2].ID {
		t.Errorf("the successor has another exit: %+v", both)
	}
	if got := dial(t, c, r).Route(); !slices.Equal(got, old.Route()) {
		t.Errorf("a new connection takes %v, the circuit with %v still takes some", got, old.Route())
	}
	c.Age(time.Minute)
	next := dial(t, c, r)
	if got := next.Route(); !slices.Equal(got, both[1].Nodes) {
		t.Errorf("a new connection takes %v, the successor is %v", got, both[1].Nodes)
	}
	say(t, next, "next")
	say(t, old, "old")
}

func inUseOnce(v []client.CircuitView) []client.CircuitView {
	return slices.DeleteFunc(slices.Clone(v), func(v client.CircuitView) bool { return v.State == "ahead" || v.State == "map" })
}

// More connections than one circuit takes go on to another with the same exit.
func TestFullCircuit(t *testing.T) {
	c := start(t, testnet.Start(t, 6))
	r := client.Request{Addr: echo(t), App: "a"}
	exits := make(map[netmap.NodeID]bool)
	for range 201 {
		conn := dial(t, c, r)
		exits[conn.Route()[2].ID] = true
	}
	last := dial(t, c, r)
	say(t, last, "last")
	if n := len(inUse(c)); n != 2 || len(exits) != 1 {
		t.Errorf("%d circuits with %d exits, want 2 with 1", n, len(exits))
	}
}

// A circuit with a node that has left the map gets no new connections.
func TestNodeLeavesTheMap(t *testing.T) {
	for hop := range 3 {
		c := start(t, testnet.Start(t, 7))
		r := client.Request{Addr: echo(t), App: "a"}
		old := dial(t, c, r)
		say(t, old, "old")
		gone := old.Route()[hop].ID
		m := c.Map()
		c.SetMap(without(t, m, gone))
		next := dial(t, c, r)
		if slices.ContainsFunc(next.Route(), func(h client.HopInfo) bool { return h.ID == gone }) {
			t.Errorf("a new connection uses node %d, which has left the map", hop+1)
		}
		say(t, next, "next")
		say(t, old, "old")
	}
}

// without returns the map that follows if a node has gone.
func without(t *testing.T, m *netmap.Map, gone netmap.NodeID) *netmap.Map {
	t.Helper()
	nodes := slices.DeleteFunc(netmaptest.Linked(m), func(n netmap.Node) bool { return n.ID == gone })
	next, err := netmap.New(m.Network, m.Sequence+1, m.ValidAfter, m.ValidUntil, nodes)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// Somebody who isolates each of many connections does not keep circuits for all
// of them. One that is in use stays.
func TestManyGroups(t *testing.T) {
	n := testnet.Start(t, 5)
	c := start(t, n)
	to := echo(t)
	first := dial(t, c, client.Request{Addr: to, Isolation: "first"})
	say(t, first, "hello")
	most := 0
	for i := range 600 {
		conn := dial(t, c, client.Request{Addr: to, Isolation: fmt.Sprint(i)})
		say(t, conn, "x")
		conn.Close()
		most = max(most, c.Status().Circuits)
	}
	if most > 560 { // some are built while others are closed
		t.Errorf("there were %d circuits at once", most)
	}
	say(t, first, "still there")
}
