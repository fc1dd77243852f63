package route

import (
	"fmt"
	"testing"
	"time"

	"safing/netmap"
)

// What a node says of itself does not make it an entry of more clients.
func TestEntriesAreDrawn(t *testing.T) {
	m := testMap(t, 10, func(i int, d *netmap.Descriptor) {
		for k := range d.Links {
			if i < 2 {
				d.Links[k].RTT = 0
			}
		}
		switch i {
		case 0, 1:
			d.Capacity = 1 << 40
		case 8:
			d.Links = nil
		}
	})
	m.Nodes[9].Keys.Prekeys = nil
	f := New(m)
	count := make(map[netmap.NodeID]int)
	for range 8000 {
		id, ok := f.DrawEntry(nil)
		if !ok {
			t.Fatal("no entry")
		}
		count[id]++
	}
	if len(count) != 8 {
		t.Errorf("%d nodes are entries, want 8", len(count))
	}
	for id, n := range count {
		if n < 700 || n > 1300 { // 10 standard deviations
			t.Errorf("node %s was drawn %d of 8000 times", id.Short(), n)
		}
	}
}

// Entries are of different owners, as long as there are such.
func TestEntriesOfDifferentOwners(t *testing.T) {
	f := New(testMap(t, 10, func(i int, d *netmap.Descriptor) { d.Owner = fmt.Sprint(i % 3) }))
	var ids []netmap.NodeID
	owners := make(map[string]bool)
	for range 10 {
		id, ok := f.DrawEntry(ids)
		if !ok {
			t.Fatal("no entry")
		}
		ids = append(ids, id)
		n, _ := f.Map().Node(id)
		owners[n.Owner] = true
		if want := min(len(ids), 3); len(owners) != want {
			t.Fatalf("%d entries of %d owners, want %d", len(ids), len(owners), want)
		}
	}
	if _, ok := f.DrawEntry(ids); ok {
		t.Error("an entry was drawn twice")
	}
}

// Who claims that its links take no time gains next to nothing.
func TestClaimedRoundTrips(t *testing.T) {
	f := New(testMap(t, 8, func(i int, d *netmap.Descriptor) {
		for k, l := range d.Links {
			d.Links[k].RTT = time.Millisecond
			if i < 3 && int(l.To[0])-1 < 3 {
				d.Links[k].RTT = 0
			}
		}
	}))
	liars := 0
	for range 400 {
		r, err := f.Find(Request{Destination: web()})
		if err != nil {
			t.Fatal(err)
		}
		if r.Parts.Links != 2*time.Millisecond {
			t.Fatalf("cost %v", r.Cost)
		}
		if n := r.Nodes[2].Name; n == "n0" || n == "n1" || n == "n2" {
			liars++
		}
	}
	if liars > 250 { // 150 of 400 are their share
		t.Errorf("%d of 400 routes end at nodes that claim no round trip", liars)
	}
}
