package mesh_test

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/mesh"
)

// Networks are in one piece, also when a third of the nodes is gone at once,
// and no node has too many links.
func TestConnected(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for seed := range uint64(12) {
		count, links := 20+rng.IntN(600), []int{8, 12, 16, 24}[rng.IntN(4)]
		w := newTown(seed, count, links)
		for round := range 3 {
			w.choose(t)
			if parts := w.parts(nil); parts != 1 {
				t.Errorf("%d nodes with %d links are in %d parts in round %d", count, links, parts, round)
			}
		}
		if gone := w.some(0.3); w.parts(gone) != 1 && links >= 12 {
			t.Errorf("%d nodes with %d links are in %d parts without 30 %%", count, links, w.parts(gone))
		}
		least, most := count, 0
		for _, d := range w.nodes {
			least, most = min(least, len(w.linked[d.ID])), max(most, len(w.linked[d.ID]))
			if chosen := len(w.chosen[d.ID].Links); chosen > links && count > links+1 {
				t.Errorf("a node has chosen %d of %d", chosen, links)
			}
		}
		if most > 4*links || least < min(links, count-1)/6 {
			t.Errorf("%d nodes with %d links have from %d to %d", count, links, least, most)
		}
	}
}

func TestSmallNetworkIsWhole(t *testing.T) {
	for _, count := range []int{1, 2, 5, 17} {
		w := newTown(7, count, 16)
		for _, d := range w.nodes {
			d.Owner, d.ASN = "one", 1
		}
		w.choose(t)
		for _, d := range w.nodes {
			if n := len(w.linked[d.ID]); n != count-1 {
				t.Errorf("of %d nodes one has %d links", count, n)
			}
		}
	}
}

// A network in which all have the same owner, provider and /16 is one that
// somebody tries out: bounds that tell nothing bound nothing.
func TestAllAlike(t *testing.T) {
	w := newTown(8, 100, 16)
	for i, d := range w.nodes {
		d.Owner, d.Group, d.ASN, d.Country = "one", "all", 1, "DE"
		d.Addresses = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 17)}
	}
	for range 2 {
		w.choose(t)
	}
	for _, d := range w.nodes {
		if n := len(w.chosen[d.ID].Links); n != 16 {
			t.Fatalf("a node has chosen %d", n)
		}
		if n := len(w.linked[d.ID]); n < 16 {
			t.Fatalf("a node has %d links", n)
		}
	}
}

// Of three owners, each gets more than its bound, or nodes would have no links.
func TestFewOwners(t *testing.T) {
	w := newTown(9, 120, 16)
	for i, d := range w.nodes {
		d.Owner, d.Group = []string{"a", "b", "c"}[i%3], ""
	}
	w.choose(t)
	for _, d := range w.nodes {
		if n := len(w.linked[d.ID]); n < 6 {
			t.Errorf("a node has %d links", n)
		}
	}
	if w.parts(nil) != 1 {
		t.Error("the network is in parts")
	}
}

// Both ends draw the same numbers, so most random links are wanted by both; and
// one end is the first to make them.
func TestBothEndsAgree(t *testing.T) {
	w := newTown(10, 600, 16)
	w.choose(t)
	wants := func(a, b netmap.NodeID) bool {
		return slices.ContainsFunc(w.chosen[a].Links, func(c mesh.Choice) bool { return c.ID == b })
	}
	random, mutual := 0, 0
	for id, s := range w.chosen {
		for _, c := range s.Links {
			if c.Why != mesh.Random {
				continue
			}
			random++
			if wants(c.ID, id) {
				mutual++
			}
			if mesh.First(id, c.ID) == mesh.First(c.ID, id) {
				t.Fatal("both ends of a link are first, or none")
			}
		}
	}
	if 10*mutual < 6*random {
		t.Errorf("of %d random links %d are wanted by both ends", random, mutual)
	}
}

// When one node of a hundred is another, few of the other links change.
func TestChurn(t *testing.T) {
	w := newTown(11, 600, 16)
	for range 4 {
		w.choose(t)
	}
	chosen := func() map[[2]netmap.NodeID]bool {
		all := make(map[[2]netmap.NodeID]bool)
		for id, s := range w.chosen {
			for _, c := range s.Links {
				all[[2]netmap.NodeID{id, c.ID}] = true
			}
		}
		return all
	}
	before := chosen()
	w.choose(t)
	moved := 0
	for l := range chosen() {
		if !before[l] {
			moved++
		}
	}
	t.Logf("nothing happens: %.2f %% of %d choices are new", 100*float64(moved)/float64(len(before)), len(before))
	if moved*200 > len(before) {
		t.Errorf("without a change, %d of %d choices are new", moved, len(before))
	}
	before = chosen()
	gone := w.some(0.01)
	w.nodes = slices.DeleteFunc(w.nodes, func(d *netmap.Descriptor) bool { return gone[d.ID] })
	for id := range gone {
		delete(w.linked, id)
		for _, to := range w.linked {
			delete(to, id)
		}
	}
	w.grow(6)
	w.choose(t)
	lost := 0
	after := chosen()
	for l := range before {
		if !gone[l[0]] && !gone[l[1]] && !after[l] {
			lost++
		}
	}
	t.Logf("1 %% of nodes change: %.2f %% of the others' choices are given up", 100*float64(lost)/float64(len(before)))
	if lost*25 > len(before) {
		t.Errorf("with 1 %% of other nodes, %d of %d choices are gone", lost, len(before))
	}
}

// In a week every random link changes, a few in an hour.
func TestRotation(t *testing.T) {
	w := newTown(12, 400, 16)
	random := func() map[[2]netmap.NodeID]bool {
		w.linked = make(map[netmap.NodeID]map[netmap.NodeID]bool)
		w.choose(t)
		all := make(map[[2]netmap.NodeID]bool)
		for id, s := range w.chosen {
			for _, c := range s.Links {
				if c.Why == mesh.Random {
					all[[2]netmap.NodeID{id, c.ID}] = true
				}
			}
		}
		return all
	}
	kept := func(after time.Duration) float64 {
		w.at = began
		before, n := random(), 0
		w.at = began.Add(after)
		for l := range random() {
			if before[l] {
				n++
			}
		}
		return float64(n) / float64(len(before))
	}
	if k := kept(time.Hour); k < 0.97 {
		t.Errorf("after an hour %.2f of the random links are left", k)
	}
	if k := kept(8 * 24 * time.Hour); k > 0.1 {
		t.Errorf("after a week %.2f of the random links are left", k)
	}
}

// An owner of a fifth of all nodes, which link to whom they like, has few of a
// node's links.
func TestSybilOwner(t *testing.T) {
	w := newTown(13, 500, 16)
	sybil := make(map[netmap.NodeID]bool)
	for _, d := range w.nodes[400:] {
		d.Owner = "sybil"
		sybil[d.ID] = true
		w.measured[d.ID] = 1 << 30
	}
	for range 3 {
		w.choose(t)
	}
	everyone := slices.Collect(maps.Keys(w.linked))
	for _, d := range w.nodes[:400] {
		chosen, admitted := 0, 0
		s := w.chosen[d.ID]
		for _, c := range s.Links {
			if sybil[c.ID] {
				chosen++
			}
		}
		for _, id := range s.Admit(append(slices.Collect(maps.Keys(sybil)), everyone...)) {
			if sybil[id] {
				admitted++
			}
		}
		if chosen > 2 || admitted > 4 {
			t.Fatalf("the owner has %d of the links that a node has chosen, and %d of all", chosen, admitted)
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	w := newTown(1, 10_000, 16)
	w.choose(b)
	m := w.netmap(b)
	d := w.nodes[0]
	view := mesh.View{Self: d, MaxLinks: 16, Linked: w.linked[d.ID], Measured: make(map[netmap.NodeID]time.Duration)}
	for to := range w.linked[d.ID] {
		view.Measured[to] = w.rtt(d.ID, to)
	}
	b.Run("prepare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mesh.New(m)
		}
	})
	prepared := mesh.New(m)
	b.Run("choose", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			prepared.Choose(view)
		}
	})
}
