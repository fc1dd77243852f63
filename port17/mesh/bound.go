package mesh

import (
	"safing/netmap"
)

// A tally counts links by the properties of the nodes that they lead to.
type tally map[int32]int

// add counts the node.
func (t tally) add(w *World, i int32) {
	for _, p := range w.of(i) {
		t[p]++
	}
}

// room says whether the node is within the bounds for so many links, widened by
// a factor.
func (t tally) room(w *World, i int32, links, factor int) bool {
	for _, p := range w.of(i) {
		if k := w.kinds[p]; k != none && t[p] >= k.most(links)*factor {
			return false
		}
	}
	return true
}

// reserve counts the node's own properties as if their bound were reached: no
// route leads over two nodes of one owner, group or network. Those of its own
// autonomous system are useful.
func (t tally) reserve(w *World, self *netmap.Descriptor, links int) {
	for _, p := range w.properties(nil, self, false) {
		if k := w.kinds[p]; k != none && k != system {
			t[p] = k.most(links)
		}
	}
}

// mostAdmitted is how many links count for each that a node chooses itself.
const mostAdmitted = 4

// Admit returns those of the neighbours to which the links count: they are
// published, and circuits go over them. It takes those that the node has chosen
// first, and then the others in their order, so that no newcomer takes the place
// of one that was there. An owner, group, network or system has at most twice as
// many of them as may be chosen, and all together are at most MaxLinks*4.
// Those that are not on the map are left out.
func (s *Selection) Admit(neighbours []netmap.NodeID) []netmap.NodeID {
	chosen := make(map[netmap.NodeID]bool, len(s.Links))
	for _, l := range s.Links {
		chosen[l.ID] = true
	}
	count := make(tally)
	count.reserve(s.world, s.view.Self, s.view.MaxLinks)
	most := min(s.view.MaxLinks*mostAdmitted, netmap.MaxLinks)
	var admitted []netmap.NodeID
	for _, wanted := range []bool{true, false} {
		for _, id := range neighbours {
			at, ok := s.world.m.Index(id)
			if !ok || chosen[id] != wanted || len(admitted) >= most {
				continue
			}
			i := int32(at)
			if !wanted && !s.whole && !count.room(s.world, i, s.view.MaxLinks, 2*s.relaxed) {
				continue
			}
			count.add(s.world, i)
			admitted = append(admitted, id)
		}
	}
	return admitted
}
