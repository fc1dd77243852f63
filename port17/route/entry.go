package route

import (
	"math/rand/v2"
	"slices"
	"time"

	"safing/netmap"
)

// DrawEntry draws a node for a client to enter the network by, besides those
// that it has. All nodes that have a prekey and a link are as likely: what a
// node says of itself, such as tiny round trips, must not attract clients. A
// node of another owner, group and network than the others is preferred. It
// returns false if there is none. Where wrappings are named, only nodes are
// drawn that take links in one of them.
func (f *Finder) DrawEntry(besides []netmap.NodeID, in ...netmap.Wrapping) (netmap.NodeID, bool) {
	var have, fit, rest []int32
	for _, id := range besides {
		if i, ok := f.m.Index(id); ok {
			have = append(have, int32(i))
		}
	}
	now := time.Now()
	for at := range f.m.Nodes {
		n, i := &f.m.Nodes[at], int32(at)
		if !hasPrekey(n, now, nil) || n.Closed || f.isolated(at) || slices.Contains(have, i) || !n.Offers(in...) {
			continue
		}
		if slices.ContainsFunc(have, func(j int32) bool { return f.conflict(i, j) }) {
			rest = append(rest, i)
		} else {
			fit = append(fit, i)
		}
	}
	if len(fit) == 0 {
		fit = rest
	}
	if len(fit) == 0 {
		return netmap.NodeID{}, false
	}
	return f.m.Nodes[fit[rand.IntN(len(fit))]].ID, true
}
