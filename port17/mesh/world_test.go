package mesh_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/mesh"
)

var began = time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)

// A town is an invented network: nodes on a plane that form clusters, of owners
// and providers of which some are large. Its links are those that both ends admit.
type town struct {
	rng      *rand.Rand
	links    int // that each node chooses
	at       time.Time
	nodes    []*netmap.Descriptor
	measured map[netmap.NodeID]uint64
	x, y     map[netmap.NodeID]float64 // milliseconds
	linked   map[netmap.NodeID]map[netmap.NodeID]bool
	chosen   map[netmap.NodeID]mesh.Selection
}

func newTown(seed uint64, count, links int) *town {
	w := &town{
		rng: rand.New(rand.NewPCG(seed, 1)), links: links, at: began,
		measured: make(map[netmap.NodeID]uint64), x: make(map[netmap.NodeID]float64), y: make(map[netmap.NodeID]float64),
		linked: make(map[netmap.NodeID]map[netmap.NodeID]bool),
	}
	w.grow(count)
	return w
}

var lands = []string{"DE", "FR", "NL", "US", "US", "GB", "JP", "", "BR", "SG", "SE", "ZZ"}

func (w *town) grow(count int) {
	for range count {
		var id netmap.NodeID
		for i := range 4 {
			binary.BigEndian.PutUint64(id[8*i:], w.rng.Uint64())
		}
		// Squares make small numbers frequent: large owners and providers.
		large := func(n int) int { v := w.rng.Float64(); return int(v * v * float64(n)) }
		land, provider, who := w.rng.IntN(len(lands)), large(60), large(1+len(w.nodes)/2+count/4)
		address := netip.AddrFrom4([4]byte{byte(20 + provider), byte(w.rng.IntN(6)), byte(w.rng.IntN(256)), byte(w.rng.IntN(256))})
		d := &netmap.Descriptor{
			ID: id, Name: "n", Owner: fmt.Sprint("owner", who), ASN: uint32(1000 + provider), Country: lands[land],
			Addresses: []netip.AddrPort{netip.AddrPortFrom(address, 17)},
		}
		if w.rng.IntN(4) == 0 {
			d.Group = fmt.Sprint("group", who)
		}
		w.nodes = append(w.nodes, d)
		w.x[id] = float64(land%4)*40 + w.rng.Float64()*15
		w.y[id] = float64(land/4)*60 + w.rng.Float64()*15
		w.measured[id] = uint64(math.Exp(w.rng.NormFloat64()) * 10e6)
	}
}

func (w *town) rtt(a, b netmap.NodeID) time.Duration {
	ms := 1 + math.Hypot(w.x[a]-w.x[b], w.y[a]-w.y[b])
	return time.Duration(ms * float64(time.Millisecond))
}

// netmap returns the map, which has the links that there are now.
func (w *town) netmap(t testing.TB) *netmap.Map {
	var nodes []netmap.Node
	for _, d := range w.nodes {
		d := *d
		for to := range w.linked[d.ID] {
			d.Links = append(d.Links, netmap.Link{To: to, RTT: w.rtt(d.ID, to)})
		}
		nodes = append(nodes, netmap.Node{Descriptor: &d, Measured: w.measured[d.ID]})
	}
	m, err := netmap.New("town", 1, w.at, w.at.Add(time.Hour), nodes)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// choose has every node choose once, and makes the links. Nodes know the round
// trips to those that they are linked to.
func (w *town) choose(t testing.TB) {
	m := w.netmap(t)
	prepared := mesh.New(m)
	w.chosen = make(map[netmap.NodeID]mesh.Selection)
	links := make(map[netmap.NodeID][]netmap.NodeID)
	for _, d := range w.nodes {
		measured := make(map[netmap.NodeID]time.Duration)
		for to := range w.linked[d.ID] {
			measured[to] = w.rtt(d.ID, to)
		}
		s := prepared.Choose(mesh.View{Self: d, MaxLinks: w.links, Measured: measured, Linked: w.linked[d.ID]})
		w.chosen[d.ID] = s
		for _, l := range s.Links {
			links[d.ID] = append(links[d.ID], l.ID)
			links[l.ID] = append(links[l.ID], d.ID)
		}
	}
	w.linked = make(map[netmap.NodeID]map[netmap.NodeID]bool)
	admitted := make(map[netmap.NodeID]map[netmap.NodeID]bool)
	for _, d := range w.nodes {
		admitted[d.ID] = make(map[netmap.NodeID]bool)
		s := w.chosen[d.ID]
		for _, id := range s.Admit(unique(links[d.ID])) {
			admitted[d.ID][id] = true
		}
		w.linked[d.ID] = make(map[netmap.NodeID]bool)
	}
	for a, to := range admitted {
		for b := range to {
			if admitted[b][a] {
				w.linked[a][b] = true
			}
		}
	}
}

func unique(ids []netmap.NodeID) (all []netmap.NodeID) {
	seen := make(map[netmap.NodeID]bool)
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			all = append(all, id)
		}
	}
	return all
}

// parts returns how many pieces the network is in, without those that are gone.
func (w *town) parts(gone map[netmap.NodeID]bool) (parts int) {
	seen := make(map[netmap.NodeID]bool)
	for _, d := range w.nodes {
		if seen[d.ID] || gone[d.ID] {
			continue
		}
		parts++
		seen[d.ID] = true
		for queue := []netmap.NodeID{d.ID}; len(queue) > 0; {
			id := queue[0]
			queue = queue[1:]
			for to := range w.linked[id] {
				if !seen[to] && !gone[to] {
					seen[to] = true
					queue = append(queue, to)
				}
			}
		}
	}
	return parts
}

// some returns a part of the nodes.
func (w *town) some(part float64) map[netmap.NodeID]bool {
	some := make(map[netmap.NodeID]bool)
	for _, i := range w.rng.Perm(len(w.nodes))[:int(part*float64(len(w.nodes)))] {
		some[w.nodes[i].ID] = true
	}
	return some
}
