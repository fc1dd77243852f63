package audit_test

import (
	"slices"
	"testing"
	"time"

	"safing/netmap"
	"safing/netmap/netmaptest"
	"safing/port17/audit"
)

// What an hour changes is found again.
func TestCompare(t *testing.T) {
	old := netmaptest.World(1, 300)
	next := netmaptest.Hour(2, old)
	network := &netmap.Network{Name: "test"}
	quiet, all := audit.Compare(network, old, next, false), audit.Compare(network, old, next, true)
	if quiet.Empty() || len(quiet.Joined) == 0 || len(quiet.Joined) != len(quiet.Left) || len(quiet.Linked) == 0 || len(quiet.Unlinked) == 0 {
		t.Errorf("%d joined, %d left, %d linked, %d unlinked", len(quiet.Joined), len(quiet.Left), len(quiet.Linked), len(quiet.Unlinked))
	}
	if len(quiet.Changed) != 0 || len(all.Changed) < 100 {
		t.Errorf("%d changes, and %d with what changes all the time", len(quiet.Changed), len(all.Changed))
	}
	back := audit.Compare(network, next, old, false)
	if !slices.Equal(back.Joined, quiet.Left) || !slices.Equal(back.Unlinked, quiet.Linked) {
		t.Error("the other way round it is something else")
	}
	if same := audit.Compare(network, next, next, true); !same.Empty() {
		t.Errorf("%+v", same)
	}
}

// No map, however broken, does more than to be refused.
func FuzzCheck(f *testing.F) {
	at := time.Now().UTC().Truncate(time.Second)
	m, err := netmap.New("test", 2, at, at.Add(time.Hour), netmaptest.World(1, 2).Nodes)
	if err != nil {
		f.Fatal(err)
	}
	network, signer := newNetwork(f)
	signed, err := netmaptest.Sign(m, signer)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add(signed[:len(signed)/2])
	f.Add([]byte("port17 map v2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := audit.Check(network, b, at)
		_, err := network.Verify(b, at)
		if (err == nil) != (r.Err == nil) {
			t.Errorf("clients say %v, and the report %v", err, r.Err)
		}
		if len(r.Steps) == 0 {
			t.Error("there are no steps")
		}
	})
}
