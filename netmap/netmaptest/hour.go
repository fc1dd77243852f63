package netmaptest

import (
	"fmt"
	"slices"
	"time"

	"safing/netmap"
	"safing/tinker"
)

// Hour returns what a World could be an hour later: one node in a hundred has
// left, and as many have come; one in twenty has another link, and round trips
// and a capacity that are a step off; half of the loads are others. It has no
// keys.
func Hour(seed uint64, m *netmap.Map) *netmap.Map {
	w := newWorld(seed)
	gone := make(map[netmap.NodeID]bool)
	var nodes []netmap.Node
	var all []*netmap.Descriptor
	for _, n := range m.Nodes {
		if w.IntN(100) == 0 {
			gone[n.ID] = true
			continue
		}
		d := *n.Descriptor
		d.Links = slices.Clone(d.Links)
		n.Descriptor, n.Keys = &d, nil
		if w.IntN(2) == 0 {
			d.Load = 10 * w.IntN(11)
		}
		nodes, all = append(nodes, n), append(all, &d)
	}
	byID := make(map[netmap.NodeID]*netmap.Descriptor, len(all))
	for _, d := range all {
		d.Links = slices.DeleteFunc(d.Links, func(l netmap.Link) bool { return gone[l.To] })
		byID[d.ID] = d
	}
	for i := range nodes {
		if w.IntN(20) == 0 {
			w.change(&nodes[i], all, byID)
		}
	}
	for range len(gone) {
		d := w.node(int(m.Sequence)*1_000_000 + len(all)) // as nobody was called before
		all = append(all, d)
		nodes = append(nodes, netmap.Node{Descriptor: d})
		w.link(all, len(all)-1)
	}
	return finish(m.Sequence+1, m.ValidAfter.Add(time.Hour), nodes)
}

// change replaces one of the node's links and measures the others and its
// capacity anew.
func (w *world) change(n *netmap.Node, all []*netmap.Descriptor, byID map[netmap.NodeID]*netmap.Descriptor) {
	n.Measured = n.Measured * 108 / 100
	if len(n.Links) == 0 {
		return
	}
	for i := range n.Links {
		if other := byID[n.Links[i].To]; other != nil {
			for k := range other.Links {
				if other.Links[k].To == n.ID {
					other.Links[k].RTT = other.Links[k].RTT * 104 / 100
				}
			}
		}
	}
	at := w.IntN(len(n.Links))
	if old := byID[n.Links[at].To]; old != nil {
		old.Links = slices.DeleteFunc(old.Links, func(l netmap.Link) bool { return l.To == n.ID })
	}
	n.Links = slices.Delete(n.Links, at, at+1)
	w.join(n.Descriptor, all[w.IntN(len(all))])
}

// WithKeys returns the map with keys of all nodes, which are valid at the time.
// They are no keys that anyone has: hellos for them are lost.
func WithKeys(seed uint64, m *netmap.Map, now time.Time) *netmap.Map {
	w := newWorld(seed)
	keys, err := tinker.NewPrekeys(tinker.PrekeyConfig{Now: func() time.Time { return now }})
	if err != nil {
		panic(fmt.Sprintf("netmaptest: %v", err)) // without entropy nothing works
	}
	prekeys := keys.Public()
	keys.Close()
	nodes := slices.Clone(m.Nodes)
	for i, n := range nodes {
		k := &netmap.Keys{ID: n.ID, Binding: n.Binding(), Published: now.Truncate(time.Second)}
		for _, p := range prekeys {
			p.Public = slices.Clone(p.Public)
			for at := range p.Public {
				p.Public[at] = byte(w.Uint32())
			}
			k.Prekeys = append(k.Prekeys, p)
		}
		signed, err := k.Sign(Identity(n.Name))
		if err == nil {
			nodes[i].Keys, err = netmap.OpenKeys(signed)
		}
		if err != nil {
			panic(fmt.Sprintf("netmaptest: %v", err)) // the names are those of World
		}
	}
	with, err := netmap.New(m.Network, m.Sequence, m.ValidAfter, m.ValidUntil, nodes)
	if err != nil {
		panic(fmt.Sprintf("netmaptest: %v", err)) // they were on a map before
	}
	return with
}
