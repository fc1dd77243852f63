package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link"
	"safing/port17/node"
	"safing/port17/testnet"
	"safing/tinker"
	"safing/tinker/policy"
)

// A network changes from one suite to another while it runs.
func TestSwitchSuites(t *testing.T) {
	n := testnet.StartWith(t, testnet.Options{Period: time.Second, Validity: time.Minute}, 4)
	state := t.TempDir()
	c := openClient(t, n, state)
	c.wantSuites(t, tinker.TK1)
	n.Await(t, "prekeys of TK1 alone", publishing(4, tinker.TK1))

	first := n.SignPolicy(t, 1, policy.Rule{Suite: tinker.TK1, Status: policy.Preferred}, policy.Rule{Suite: tinker.TK2, Status: policy.Allowed})
	n.SetPolicy(t, first)
	n.Await(t, "prekeys of both suites", publishing(4, tinker.TK2, tinker.TK1))
	c.wantSuites(t, tinker.TK1)
	_, hops := n.Route(t, 0, 1)
	old := hops[0]
	if old.Recipient.Prekey.Suite != tinker.TK1 {
		t.Fatalf("without a policy, a prekey of %s is taken", old.Recipient.Prekey.Suite)
	}

	n.SetPolicy(t, n.SignPolicy(t, 2, policy.Rule{Suite: tinker.TK2, Status: policy.Preferred}, policy.Rule{Suite: tinker.TK1, Status: policy.Forbidden}))
	n.Await(t, "that nodes publish prekeys of TK2 alone", nodesPublish(n, tinker.TK2))
	c.await(t, func(*netmap.Map) bool { return c.policies.Newest().Version == 2 })
	c.wantSuites(t, tinker.TK2)
	c.echo(t)

	// A hello for a prekey from before gets no session, but the newer prekeys.
	conn, err := net.Dial("tcp", old.Node.Addresses[0].String())
	if err != nil {
		t.Fatal(err)
	}
	l, err := link.Initiate(conn, old.Node.ID, old.Recipient, link.Config{})
	if err != nil {
		t.Fatal(err)
	}
	<-l.Done()
	var retry *tinker.RetryError
	if !errors.As(l.Err(), &retry) {
		t.Fatalf("a node takes a hello of a forbidden suite: %v", l.Err())
	}
	k, err := netmap.OpenKeys(retry.Descriptor)
	if err != nil || k.Prekeys[0].Suite != tinker.TK2 {
		t.Errorf("the node sends %v, %v", k, err)
	}
	if _, err := link.Initiate(conn, old.Node.ID, old.Recipient, link.Config{Policies: c.policies}); !errors.Is(err, policy.ErrForbidden) {
		t.Errorf("the client makes a hello of a forbidden suite: %v", err)
	}

	// After a restart a policy from before counts as little.
	c.Close()
	c = openClient(t, n, state)
	if err := c.policies.Update(first); !errors.Is(err, policy.ErrRollback) {
		t.Errorf("the client takes an older policy: %v", err)
	}
	c.wantSuites(t, tinker.TK2)
	n.Restart(t, 0)
	n.Await(t, "that the node publishes the same after a restart", nodesPublish(n, tinker.TK2))

	// In a hurry, nodes and clients change to what nobody has used before.
	n.SetPolicy(t, n.SignPolicy(t, 3, policy.Rule{Suite: tinker.TK3, Status: policy.Preferred}))
	c.await(t, publishing(4, tinker.TK3))
	c.wantSuites(t, tinker.TK3)
	c.echo(t)
}

// nodesPublish says of which suite all nodes publish prekeys, by now.
func nodesPublish(n *testnet.Network, suite tinker.SuiteID) func(*netmap.Map) bool {
	return func(*netmap.Map) bool {
		return !slices.ContainsFunc(n.Nodes, func(n *node.Node) bool {
			k := n.Public().Keys
			return k == nil || !publishes(k, []tinker.SuiteID{suite})
		})
	}
}

// publishing says whether the map has all nodes with prekeys of these suites, in that order.
func publishing(nodes int, suites ...tinker.SuiteID) func(*netmap.Map) bool {
	return func(m *netmap.Map) bool {
		for _, n := range m.Nodes {
			if n.Keys == nil || !publishes(n.Keys, suites) {
				return false
			}
		}
		return len(m.Nodes) == nodes
	}
}

func publishes(k *netmap.Keys, suites []tinker.SuiteID) bool {
	for _, p := range k.Prekeys {
		for len(suites) > 0 && suites[0] != p.Suite {
			suites = suites[1:]
		}
		if len(suites) == 0 {
			return false
		}
	}
	return len(suites) == 1
}

type suiteClient struct{ *Client }

func openClient(t *testing.T, n *testnet.Network, state string) suiteClient {
	t.Helper()
	c, err := New(t.Context(), Config{Network: n.Trust, State: state})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	suiteClient{c}.ready(t)
	return suiteClient{c}
}

// ready returns when the client has nodes of which it may use a suite.
func (c suiteClient) ready(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}

// await returns when the client has a map of which ok is true.
func (c suiteClient) await(t *testing.T, ok func(*netmap.Map) bool) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		f, news := c.current()
		if f != nil && ok(f.Map()) {
			return
		}
		select {
		case <-news:
		case <-timeout:
			t.Fatal("the client has not the map that it should have")
		}
	}
}

// wantSuites checks of which suite hellos for new circuits are.
func (c suiteClient) wantSuites(t *testing.T, want tinker.SuiteID) {
	t.Helper()
	c.ready(t)
	f, err := c.usable()
	if err != nil {
		t.Fatal(err)
	}
	need := c.need(Request{}, cell.Target{Port: 443})
	w, err := c.plan(t.Context(), f, need.request, group{})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range w.hops {
		if got := h.Recipient.Prekey.Suite; got != want {
			t.Errorf("a hello is of %s, want %s", got, want)
		}
	}
}

// echo sends something through a circuit, and gets it back.
func (c suiteClient) echo(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.Write([]byte("x")) //nolint:errcheck // the other side notices
	}()
	conn, err := c.Dial(t.Context(), Request{Addr: netip.MustParseAddrPort(l.Addr().String())})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 1)
	if _, err := conn.Read(b); err != nil || b[0] != 'x' {
		t.Errorf("%q, %v", b, err)
	}
}
