package node_test

import (
	"errors"
	"testing"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/testnet"
	"safing/tinker"
)

// A node that can't answer a hello says so at once: nobody has to wait for the
// reply until that times out, and what is blamed is the reason.
func TestRefusedHello(t *testing.T) {
	n := testnet.Start(t, 3)
	stale, err := tinker.NewPrekeys(tinker.PrekeyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for refusing := range 2 {
		l, hops := n.Route(t, 0, 1, 2)
		hops[refusing].Recipient.Prekey = stale.Public()[0]
		c, _, err := circuit.Dial(l, hops, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.Done():
		case <-time.After(5 * time.Second):
			t.Fatalf("node %d said nothing", refusing)
		}
		var ended *circuit.Error
		if err := c.Err(); !errors.As(err, &ended) || ended.Reason != cell.UnknownPrekey || ended.Hop != refusing {
			t.Errorf("node %d refused: %v", refusing, err)
		}
	}
}
