package netmaptest

import (
	"slices"

	"safing/netmap"
)

// Linked returns the nodes of a map that was read, with the links that they have
// on it, so that another map can be made of them.
func Linked(m *netmap.Map) []netmap.Node {
	nodes := slices.Clone(m.Nodes)
	for i, n := range nodes {
		d := *n.Descriptor
		d.Links = nil
		for _, e := range m.Edges(i) {
			d.Links = append(d.Links, netmap.Link{To: m.Nodes[e.To].ID, RTT: e.RTT, Crossed: *e.Crossed})
		}
		nodes[i].Descriptor = &d
	}
	return nodes
}
