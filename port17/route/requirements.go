package route

import (
	"slices"
	"time"

	"safing/netmap"
)

// Requirements are what a route has to fulfil besides leading somewhere. The
// zero value requires nothing.
type Requirements struct {
	// Nodes is how many nodes the route has; if less, the level's number.
	Nodes int
	// Exits are the only ones allowed, unless empty.
	Exits []netmap.NodeID
	// ExitCountries are the only ones that the exit may be in, unless empty.
	ExitCountries []string
	// AvoidExits are nodes that are not to be the exit.
	AvoidExits []netmap.NodeID
	// AvoidCountries and AvoidASNs are those in which no node may be, and which
	// no link may cross.
	AvoidCountries []string
	AvoidASNs      []uint32
	// Delay and Padding are what every node has to offer at least: means of
	// delays, and cells a second.
	Delay   time.Duration
	Padding int
	// Unencrypted says that the exit can read and change what is sent. If there
	// are trusted exits on the map, it is one of them.
	Unencrypted bool
}

// AllowsExit says whether the node may be the exit.
func (r *Requirements) AllowsExit(n netmap.Node) bool {
	switch {
	case len(r.Exits) > 0 && !slices.Contains(r.Exits, n.ID), slices.Contains(r.AvoidExits, n.ID):
		return false
	}
	return len(r.ExitCountries) == 0 || slices.Contains(r.ExitCountries, n.Country)
}

// Met says whether a route fulfils them. It knows nothing of other nodes: what is
// not encrypted needs a trusted exit, whether there are such or not.
func (r *Requirements) Met(found Route) bool {
	nodes := found.Nodes
	if len(nodes) == 0 || len(nodes) < r.Nodes || !r.AllowsExit(nodes[len(nodes)-1]) {
		return false
	}
	w := newFilter(r)
	return !slices.ContainsFunc(nodes, func(n netmap.Node) bool { return !w.node(&n) }) &&
		!slices.ContainsFunc(found.Crossed, func(c *netmap.Crossed) bool { return !w.link(c) })
}
