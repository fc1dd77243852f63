package node_test

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"safing/netmap/netmaptest"
	"safing/port17/cell"
	"safing/port17/node"
	"safing/port17/testnet"
)

// What a node counts is what has passed.
func TestStats(t *testing.T) {
	n := testnet.Start(t, 4)
	before := n.Nodes[3].Stats()
	if before.Neighbours != 3 || len(before.RoundTrips) != 3 || !before.OnMap || before.Refusing != 0 {
		t.Errorf("before the first circuit: %+v", before)
	}
	c, s := through(t, n, 0, 1, 3)
	const size = 1 << 20
	go s.Write(make([]byte, size))
	if _, err := io.ReadFull(s, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]node.Stats{
		0: {Circuits: 1, Handshakes: 1, Links: map[node.LinkKind]int{{}: 1}},
		1: {Circuits: 1, Handshakes: 1},
		2: {},
		3: {Circuits: 1, Handshakes: 1, Connections: 1},
	} {
		got := n.Nodes[i].Stats()
		if got.Circuits != want.Circuits || got.Handshakes != want.Handshakes || got.Connections != want.Connections || want.Links[node.LinkKind{}] > got.Links[node.LinkKind{}] {
			t.Errorf("node %d: %+v", i, got)
		}
		moved := got.Traffic.BytesSent >= size && got.Traffic.BytesReceived >= size
		if i == 2 == moved {
			t.Errorf("node %d: %+v", i, got.Traffic)
		}
		if got.Traffic.CellsSent*cell.Size > got.Traffic.BytesSent {
			t.Errorf("node %d: %+v", i, got.Traffic)
		}
	}
	c.Close()
	for deadline := time.Now().Add(5 * time.Second); ; <-time.After(time.Millisecond) {
		s := n.Nodes[3].Stats()
		if s.Circuits == 0 && s.Connections == 0 && s.Ended.Circuits[cell.Finished] == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the circuit: %+v", s)
		}
	}
	was := n.Nodes[3].Stats().Traffic
	n.Nodes[0].Close()
	n.Nodes[1].Close()
	if is := n.Nodes[3].Stats().Traffic; is.BytesSent < was.BytesSent || is.BytesReceived < was.BytesReceived {
		t.Errorf("%+v were counted, and when links had ended %+v", was, is)
	}
}

// A node whose month is over before it starts does not begin.
func TestStartsExhausted(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	spent := fmt.Sprintf(`{"month": "%s", "bytes": 1000}`, time.Now().UTC().Format("2006-01"))
	if err := os.WriteFile(filepath.Join(state, "volume"), []byte(spent), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), node.Config{
		Identity: key, Network: netmaptest.Silent(), Listen: []string{"127.0.0.1:0"},
		Name: "n", Owner: "o", State: state, MonthlyVolume: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if s := n.Stats(); s.Refusing != cell.Exhausted || s.Volume != 1000 {
		t.Errorf("%+v", s)
	}
	for deadline := time.Now().Add(5 * time.Second); !n.Descriptor().Closed; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("its descriptor does not say that it is closed")
		}
	}
}
