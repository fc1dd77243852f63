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
	// AvoidCountries and AvoidASNs are those in which no node may be.
	AvoidCountries []string
	AvoidASNs      []uint32
	// Delay and Padding are what every node has to offer at least: means of
	// delays, and cells a second.
	Delay   time.Duration
	Padding int
}

// AllowsExit says whether the node may be the exit.
func (r *Requirements) AllowsExit(n netmap.Node) bool {
	switch {
	case len(r.Exits) > 0 && !slices.Contains(r.Exits, n.ID), slices.Contains(r.AvoidExits, n.ID):
		return false
	}
	return len(r.ExitCountries) == 0 || slices.Contains(r.ExitCountries, n.Country)
}

// avoids returns why the node must not be on the route; "" if it may.
func (r *Requirements) avoids(n netmap.Node) string {
	switch {
	case slices.Contains(r.AvoidCountries, n.Country):
		return "its country is avoided"
	case slices.Contains(r.AvoidASNs, n.ASN):
		return "its network is avoided"
	case n.MaxDelay < r.Delay:
		return "it offers no delays as long"
	case n.MaxPadding < r.Padding:
		return "it offers no padding as fast"
	}
	return ""
}

// Met says whether a route of these nodes, entry first, fulfils them.
func (r *Requirements) Met(nodes []netmap.Node) bool {
	if len(nodes) == 0 || len(nodes) < r.Nodes || !r.AllowsExit(nodes[len(nodes)-1]) {
		return false
	}
	return !slices.ContainsFunc(nodes, func(n netmap.Node) bool { return r.avoids(n) != "" })
}
