package client_test

import (
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/client"
	"safing/port17/directory"
	"safing/port17/node"
	"safing/port17/testnet"
)

// awaitMap waits until a node has a map as wanted.
func awaitMap(t *testing.T, n *testnet.Network, state string, ok func(*netmap.Map) bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
		if m := directory.New(directory.Config{Network: n.Trust, State: state}).Map(); m != nil && ok(m) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the node has no such map")
		}
	}
}

// When the authorities have died, a client gets newer maps than it has from the
// nodes: through circuits if its map is valid, and from its entries if that has
// expired, even if those have other keys by now.
func TestMapFromNodes(t *testing.T) {
	for name, ago := range map[string]time.Duration{"valid": 0, "expired": 4 * time.Hour, "expired long ago": 100 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			var states []string
			n := testnet.Start(t, 6, func(_ int, c *node.Config) { states = append(states, c.State) })
			state := t.TempDir()
			m, err := directory.New(directory.Config{Network: n.Trust, State: state}).Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if ago > 0 {
				state = t.TempDir()
				n.Expired(t, m, ago, state)
			}
			n.Restart(t, 0) // so that there is a newer map
			for i := range n.Nodes {
				awaitMap(t, n, states[i], func(newer *netmap.Map) bool { return newer.Sequence > m.Sequence })
			}
			n.StopAuthority(0)
			c := startWith(t, client.Config{Network: n.Trust, State: state})
			for deadline := time.Now().Add(20 * time.Second); c.Map().Sequence <= m.Sequence; <-time.After(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("the client has map %d, the nodes have newer ones than %d", c.Map().Sequence, m.Sequence)
				}
			}
		})
	}
}
