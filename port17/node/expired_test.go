package node

import (
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
	"safing/port17/link"
)

// A node extends circuits for as long as the map says, also when no newer one
// comes.
func TestMapRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := netmap.NodeID{7}
		m, err := netmap.New("test", 1, time.Now(), time.Now().Add(time.Hour), []netmap.Node{{Descriptor: &netmap.Descriptor{ID: other}}})
		if err != nil {
			t.Fatal(err)
		}
		l := new(link.Link)
		n := &Node{m: m, neighbours: map[netmap.NodeID][]*link.Link{other: {l}}}
		time.Sleep(time.Hour - time.Second)
		if n.next(other) != l {
			t.Error("the node is refused while the map is valid")
		}
		time.Sleep(time.Second)
		if n.next(other) != nil {
			t.Error("circuits are extended over a map that has run out")
		}
	})
}
