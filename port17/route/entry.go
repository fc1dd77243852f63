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
	var have, fit, rest []int
	for i := range f.nodes {
		if slices.Contains(besides, f.nodes[i].ID) {
			have = append(have, i)
		}
	}
	now := time.Now()
	for i := range f.nodes {
		n := &f.nodes[i]
		if _, err := n.Prekey(now); err != nil || len(n.links) == 0 || slices.Contains(have, i) || !n.Offers(in...) {
			continue
		}
		if f.conflict(i, have) {
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
	return f.nodes[fit[rand.IntN(len(fit))]].ID, true
}
