package mesh

import (
	"fmt"
	"time"

	"safing/netmap"
)

// DefaultLinks is how many neighbours a node chooses unless a View says
// otherwise.
const DefaultLinks = 16

// A View is what a node knows when it chooses.
type View struct {
	Self *netmap.Descriptor // it may be missing on the map
	// MaxLinks is how many neighbours it chooses; 0 means DefaultLinks.
	MaxLinks int
	// Measured are round trips that the node has measured itself; they count
	// before what the map says.
	Measured map[netmap.NodeID]time.Duration
	// Linked are those to which it has a link, that it made or the other did.
	// Near ones of them stay while none is much nearer.
	Linked map[netmap.NodeID]bool
	// Unreachable are those to which it could not make a link. They are still
	// chosen, MaxLinks of them at most, but don't count as links.
	Unreachable map[netmap.NodeID]bool
}

// A Reason says why a neighbour was chosen.
type Reason uint8

// The reasons.
const (
	Small  Reason = iota + 1 // the network is small: all are linked
	Random                   // by the hash over both identities
	Fast                     // by the hash, and capacity
	Near                     // by round trip
	Filled                   // where bounds left too few of the others
)

// String returns the reason in a word.
func (r Reason) String() string {
	switch r {
	case Small:
		return "small"
	case Random:
		return "random"
	case Fast:
		return "fast"
	case Near:
		return "near"
	case Filled:
		return "filled"
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// A Choice is a neighbour that was chosen.
type Choice struct {
	ID  netmap.NodeID
	Why Reason
	// RTT is what is known of the round trip, measured or over others; 0 if
	// nothing is.
	RTT time.Duration
}

// A Selection is whom a node has chosen.
type Selection struct {
	Links []Choice // random ones first, each node once

	world    *World
	view     View
	whole    bool // all are chosen and admitted
	relaxed  int  // by which factor the bounds are wider, 1 at least
	near     *ranking
	rtt      []time.Duration // by the node's index; 0 if unknown
	furthest time.Duration   // the greatest round trip of those that are near
}

// chooser is one run of Choose.
type chooser struct {
	Selection
	self   int32 // -1 if it is not on the map
	random []uint64
	chosen map[int32]bool
	count  tally // of properties of those that were chosen
	among  tally // of those that are near
	links  int   // that count
	spare  int   // those that don't, being unreachable
}

// parts returns how many of the links are to be random ones, and fast ones. The
// rest are near.
func parts(links int) (random, fast int) {
	random = min(max(3, links*3/8), links)
	return random, min(links/4, links-random)
}

// Choose returns whom the node should be linked to.
func (w *World) Choose(v View) Selection {
	if v.MaxLinks <= 0 {
		v.MaxLinks = DefaultLinks
	}
	c := &chooser{
		Selection: Selection{world: w, view: v, relaxed: 1}, self: -1,
		chosen: make(map[int32]bool), count: make(tally), among: make(tally),
	}
	others := len(w.m.Nodes)
	if i, ok := w.m.Index(v.Self.ID); ok {
		c.self = int32(i)
		others--
	}
	random, fast := c.draw()
	if c.near = c.nearest(); others <= v.MaxLinks {
		c.all()
		return c.Selection
	}
	c.count.reserve(w, v.Self, v.MaxLinks)
	c.among.reserve(w, v.Self, v.MaxLinks)
	nRandom, nFast := parts(v.MaxLinks)
	for ; ; c.relaxed *= 2 {
		c.take(random, Random, nRandom)
		c.take(fast, Fast, nRandom+nFast)
		c.take(c.near, Near, v.MaxLinks)
		c.take(random, Filled, v.MaxLinks)
		// Where bounds don't fit the network, a node needs links all the same.
		if c.links >= (v.MaxLinks+1)/2 || c.links+c.spare >= others || c.relaxed > v.MaxLinks {
			return c.Selection
		}
	}
}

// draw returns the others by the hash, and by that and their weights.
func (c *chooser) draw() (random, fast *ranking) {
	m := c.world.m
	c.random = make([]uint64, len(m.Nodes))
	byHash, byWeight := make([]ranked, 0, len(m.Nodes)), make([]ranked, 0, len(m.Nodes))
	for i := range m.Nodes {
		if int32(i) == c.self {
			continue
		}
		r, f := pair(c.view.Self.ID, m.Nodes[i].ID, m.ValidAfter)
		c.random[i] = r
		byHash = append(byHash, ranked{key: r, node: int32(i)})
		byWeight = append(byWeight, ranked{key: weighted(f, c.world.weights[i]), node: int32(i)})
	}
	return newRanking(byHash), newRanking(byWeight)
}

// all chooses every other node.
func (c *chooser) all() {
	c.whole = true
	for i := range c.world.m.Nodes {
		if int32(i) != c.self {
			c.add(int32(i), Small)
		}
	}
}

// take chooses from the ranking, within the bounds, until there are so many
// links that count.
func (c *chooser) take(from *ranking, why Reason, until int) {
	for place := 0; c.links < until; place++ {
		r, ok := from.at(place)
		if !ok {
			return
		}
		if c.chosen[r.node] {
			continue
		}
		if !c.count.room(c.world, r.node, c.view.MaxLinks, c.relaxed) {
			continue
		}
		if why == Near && !c.among.room(c.world, r.node, 1, c.relaxed) {
			continue // near ones are in places that differ
		}
		if id := c.world.m.Nodes[r.node].ID; c.view.Unreachable[id] && !c.view.Linked[id] {
			if c.spare < c.view.MaxLinks {
				c.spare++
				c.add(r.node, why)
			}
			continue
		}
		c.links++
		c.count.add(c.world, r.node)
		c.add(r.node, why)
		if why == Near {
			c.among.add(c.world, r.node)
			c.furthest = max(c.furthest, c.rtt[r.node])
		}
	}
}

func (c *chooser) add(i int32, why Reason) {
	c.chosen[i] = true
	id := c.world.m.Nodes[i].ID
	rtt, ok := c.view.Measured[id]
	if !ok {
		rtt = c.rtt[i]
	}
	c.Links = append(c.Links, Choice{ID: id, Why: why, RTT: rtt})
}
