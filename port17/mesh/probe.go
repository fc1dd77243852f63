package mesh

import (
	"math/rand/v2"

	"safing/netmap"
)

// mostTries is from how many nodes at random, for each that is returned, those
// are drawn that were not measured yet.
const mostTries = 4

// Candidates returns up to count nodes whose round trips are worth measuring, as
// they may be nearer than the near ones chosen: half of them are near over
// others' links, the rest are drawn at random, for those whose links say nothing.
func (s *Selection) Candidates(count int, r *rand.Rand) []netmap.NodeID {
	nodes := s.world.m.Nodes
	var all []netmap.NodeID
	picked := make(map[int32]bool)
	pick := func(i int32) {
		id := nodes[i].ID
		if _, known := s.view.Measured[id]; !known && !picked[i] && !s.view.Linked[id] && id != s.view.Self.ID {
			picked[i] = true
			all = append(all, id)
		}
	}
	for place := 0; len(all) < (count+1)/2; place++ {
		at, ok := s.near.at(place)
		// A path is rarely twice as long as the round trip to its end.
		if !ok || s.furthest > 0 && s.rtt[at.node] > 2*s.furthest {
			break
		}
		pick(at.node)
	}
	for range mostTries * count {
		if len(all) >= count || len(nodes) == 0 {
			break
		}
		pick(int32(r.IntN(len(nodes))))
	}
	return all
}
