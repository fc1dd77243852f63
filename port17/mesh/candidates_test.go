package mesh_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/mesh"
)

// What a node measures leads it to those that are nearer.
func TestCandidatesLeadNearer(t *testing.T) {
	w := newTown(20, 500, 16)
	for range 3 {
		w.choose(t)
	}
	prepared, self := mesh.New(w.netmap(t)), w.nodes[0]
	rng := rand.New(rand.NewPCG(1, 1))
	v := mesh.View{Self: self, MaxLinks: 16, Measured: make(map[netmap.NodeID]time.Duration), Linked: make(map[netmap.NodeID]bool)}
	near := func(s mesh.Selection) (sum time.Duration) {
		for _, c := range s.Links {
			if c.Why == mesh.Near {
				sum += w.rtt(self.ID, c.ID)
			}
		}
		return sum
	}
	s := prepared.Choose(v)
	before := near(s)
	for range 20 {
		for _, c := range s.Links {
			v.Measured[c.ID], v.Linked[c.ID] = w.rtt(self.ID, c.ID), true
		}
		for _, id := range s.Candidates(4, rng) {
			if _, ok := v.Measured[id]; ok || id == self.ID {
				t.Fatal("a candidate is known already")
			}
			v.Measured[id] = w.rtt(self.ID, id)
		}
		s = prepared.Choose(v)
	}
	if after := near(s); after > before {
		t.Errorf("near neighbours are %v away together, and were %v", after, before)
	} else {
		t.Logf("near neighbours are %v away together, and were %v", after, before)
	}
}

// Those that could not be reached stay chosen, and others come in addition.
func TestUnreachable(t *testing.T) {
	w := newTown(21, 200, 16)
	prepared, self := mesh.New(w.netmap(t)), w.nodes[0]
	v := mesh.View{Self: self}
	gone := prepared.Choose(v).Links[2].ID
	v.Unreachable = map[netmap.NodeID]bool{gone: true}
	s := prepared.Choose(v)
	if len(s.Links) != mesh.DefaultLinks+1 || !slices.ContainsFunc(s.Links, func(c mesh.Choice) bool { return c.ID == gone }) {
		t.Errorf("%d are chosen, and the one that can't be reached is among them: %t", len(s.Links),
			slices.ContainsFunc(s.Links, func(c mesh.Choice) bool { return c.ID == gone }))
	}
	for _, d := range w.nodes {
		v.Unreachable[d.ID] = true
	}
	if s := prepared.Choose(v); len(s.Links) != mesh.DefaultLinks {
		t.Errorf("%d are chosen of whom none can be reached", len(s.Links))
	}
}

// A newcomer knows countries, and nothing else.
func TestNewcomerChoosesByCountry(t *testing.T) {
	w := newTown(22, 300, 16)
	self := &netmap.Descriptor{ID: netmap.NodeID{1}, Owner: "new", Country: "DE"}
	near, same := 0, 0
	for _, c := range mesh.New(w.netmap(t)).Choose(mesh.View{Self: self}).Links {
		if c.Why != mesh.Near {
			continue
		}
		near++
		i := slices.IndexFunc(w.nodes, func(d *netmap.Descriptor) bool { return d.ID == c.ID })
		if w.nodes[i].Country == "DE" {
			same++
		}
	}
	if near == 0 || same < near {
		t.Errorf("of %d near neighbours %d are of the same country", near, same)
	}
}
