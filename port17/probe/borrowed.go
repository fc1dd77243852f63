package probe

import (
	"context"
	"net/netip"
	"slices"

	"safing/netmap"
)

// mostAsked is how many nodes that publish an exit's source are asked whether it
// is theirs.
const mostAsked = 4

// borrowed returns whose the sources are, if another owner's. That node has to
// answer there: anybody can publish an address, to have the exits behind it called
// bad.
func (p *Prober) borrowed(ctx context.Context, n netmap.Node, m *netmap.Map, sources []netip.Addr) (netmap.NodeID, bool) {
	own := n.IPs()
	foreign := slices.DeleteFunc(slices.Clone(sources), func(a netip.Addr) bool { return slices.Contains(own, a) })
	if len(foreign) == 0 {
		return netmap.NodeID{}, false
	}
	asked := 0
	for _, other := range m.Nodes {
		if other.Owner == n.Owner {
			continue
		}
		for _, in := range []netmap.Wrapping{netmap.TCP, netmap.QUIC, netmap.TLS} {
			for _, e := range other.Ways(in) {
				if !slices.Contains(foreign, e.Addr.Addr()) {
					continue
				}
				if asked++; asked > mostAsked {
					return netmap.NodeID{}, false
				}
				if p.link(ctx, other, e) == nil {
					return other.ID, true
				}
			}
		}
	}
	return netmap.NodeID{}, false
}
