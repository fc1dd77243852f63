package node_test

import (
	"crypto/ed25519"
	"net"
	"testing"
	"time"

	"safing/netmap/netmaptest"
	"safing/port17/node"
)

// The bound on links from others is the node's: one with more addresses takes
// no more of them.
func TestListenersShareSlots(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), node.Config{
		Identity: key, Network: netmaptest.Silent(), Listen: []string{"127.0.0.1:0", "127.0.0.2:0"},
		Name: "n", Owner: "o", State: t.TempDir(), MaxClients: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	refused := make(chan error, 2)
	for _, a := range n.Descriptor().Addresses {
		conn, err := net.Dial("tcp", a.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			_, err := conn.Read(make([]byte, 1))
			refused <- err
		}()
	}
	select {
	case <-refused:
	case <-time.After(5 * time.Second): // the node waits longer than that for a hello
		t.Error("both links were taken")
	}
}
