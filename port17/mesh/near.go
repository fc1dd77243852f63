package mesh

import (
	"time"
)

const (
	// searched is to how many nodes, for each link, the way over published links
	// is looked for.
	searched = 16
	// leastHop is what a link counts at least, as its ends could claim anything.
	leastHop = 100 * time.Microsecond

	// A neighbour stays until another is nearer by a quarter and a millisecond.
	staysPart = 4
	stays     = time.Millisecond

	unknown = time.Hour // ranks behind all that is known
)

// nearest ranks the others by round trip. The key is that in nanoseconds.
func (c *chooser) nearest() *ranking {
	reached := c.reach()
	all := make([]ranked, 0, len(reached))
	for _, r := range reached {
		all = append(all, ranked{key: c.stay(r), node: r.node})
	}
	if len(all) < c.view.MaxLinks*searched {
		all = append(all, c.guess()...)
	}
	return newRanking(all)
}

// stay returns the key of a node, which is less if there is a link to it.
func (c *chooser) stay(r ranked) uint64 {
	rtt := time.Duration(r.key)
	if c.view.Linked[c.world.m.Nodes[r.node].ID] {
		rtt = max(rtt-rtt/staysPart-stays, 0)
	}
	return uint64(rtt)
}

// reach returns the nodes that are nearest by measurements: this node's own, and
// the shortest paths from those over published links (Dijkstra). A path is as
// long as the round trip to its end or longer, as a rule. What the node has
// measured itself comes first.
func (c *chooser) reach() (reached []ranked) {
	m := c.world.m
	c.rtt = make([]time.Duration, len(m.Nodes))
	queue := new(ranking)
	found := func(i int32, rtt time.Duration) {
		if rtt = max(rtt, leastHop); i != c.self && (c.rtt[i] == 0 || rtt < c.rtt[i]) {
			c.rtt[i] = rtt
			queue.push(ranked{key: uint64(rtt), node: i})
		}
	}
	if c.self >= 0 {
		for _, e := range m.Edges(int(c.self)) {
			if e.RTT > 0 {
				found(int32(e.To), e.RTT)
			}
		}
	}
	measured := make(map[int32]time.Duration, len(c.view.Measured))
	for id, rtt := range c.view.Measured {
		if i, ok := m.Index(id); ok && rtt > 0 {
			measured[int32(i)] = rtt
			found(int32(i), rtt)
		}
	}
	for most := c.view.MaxLinks * searched; len(reached) < most; {
		at, ok := queue.pop()
		if !ok {
			break
		}
		if time.Duration(at.key) != c.rtt[at.node] {
			continue // a shorter way was found since
		}
		rtt, own := measured[at.node]
		if !own {
			rtt = time.Duration(at.key)
		}
		reached = append(reached, ranked{key: uint64(rtt), node: at.node})
		for _, e := range m.Edges(int(at.node)) {
			if e.RTT > 0 {
				found(int32(e.To), time.Duration(at.key)+max(e.RTT, leastHop))
			}
		}
	}
	return reached
}

// guess returns those that reach did not find, by the distance of countries.
// They come behind those that were measured.
func (c *chooser) guess() []ranked {
	guesses := make(map[string]time.Duration, len(c.world.places))
	var all []ranked
	for i := range c.world.m.Nodes {
		if c.rtt[i] != 0 || int32(i) == c.self {
			continue
		}
		code := c.world.m.Nodes[i].Country
		guess, ok := guesses[code]
		if !ok {
			if guess, ok = c.world.distance(c.view.Self.Country, code); !ok {
				guess = unknown
			}
			guesses[code] = guess
		}
		// Where countries are the same, chance decides, and not the same for all.
		all = append(all, ranked{key: uint64(guess+behind) + c.random[i]>>44, node: int32(i)})
	}
	return all
}

// behind is added to guesses, so that they rank behind what was measured.
const behind = 24 * time.Hour
