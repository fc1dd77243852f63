package route

import (
	"cmp"
	"slices"
	"time"

	"safing/netmap"
)

// Links that a search looks at, at most. Nodes that say they are linked in
// strange ways don't keep us busy.
const (
	stepsToOne  = 4 << 20 // until there is a route at all
	stepsToBest = 1 << 16 // until it is nearly the best
	stepsToDraw = 1 << 15 // for further ones
)

// mostCounted is how many routes are counted when none was found with all that
// the request asks for.
const mostCounted = 1000

// nearly says how much better than the best known a route has to be by its bound
// to be looked for: by 1/64.
const nearly = 64

// maxNodes is how many nodes a route has at most.
const maxNodes = 8

// A search is one Find. It goes from the exits backwards.
type search struct {
	f      *Finder
	r      *Request
	now    time.Time
	want   int
	filter filter
	state  []uint8 // of nodes: what is known of them

	allows    [noPolicy + 1]bool // the destination, by policy
	row       *row               // nil: nothing is known of the destination
	measured  map[int32]cost     // from exits to the destination
	entrances []entrance
	starts    []start
	least     cost // of the starts
	most      cost // of the starts
	near      int  // so many of them, in front, are below nearLimit
	nearLimit cost
	slice     []start // some of them

	// The way from one start.
	at      *entrance
	path    []step // exit first
	options []option
	limit   cost // routes have to cost less
	steps   int  // that may still be taken
	mode    mode

	found []found
	count int // of routes that were seen
}

// A mode is what a search is after.
type mode int

const (
	best    mode = iota // the cheapest route
	drawn               // one at random
	counted             // the number of all
)

// A step is a node of a path, and the link to the node behind it; nil at the
// exit.
type step struct {
	node int32
	edge *netmap.Edge
}

// A start is an exit, and an entrance from which there may be a route to it.
type start struct {
	exit     int32
	entrance int32
	least    cost // of such a route
}

// An option is a node that the path may go on with.
type option struct {
	step
	cost  cost // of the path with it
	bound cost // of a route with it, at least
}

// A found route.
type found struct {
	path [maxNodes]step // exit first
	len  int
	cost cost
}

func (f *found) steps() []step { return f.path[:f.len] }

func (s *search) reset(r *Request) {
	s.r, s.now = r, r.Now
	if s.now.IsZero() {
		s.now = time.Now()
	}
	s.want = min(max(r.Nodes, r.Level.Nodes()), maxNodes)
	s.filter = newFilter(&r.Requirements)
	clear(s.state)
	s.found, s.starts, s.path, s.options = s.found[:0], s.starts[:0], s.path[:0], s.options[:0]
	s.measured, s.limit, s.mode, s.steps, s.count = nil, never, best, stepsToOne, 0
	for id := range r.Exclude {
		if i, ok := s.f.m.Index(id); ok && r.Exclude[id] {
			s.state[i] = isUnusable
		}
	}
	for _, id := range r.AvoidExits {
		if i, ok := s.f.m.Index(id); ok {
			s.state[i] |= isNoExit
		}
	}
	s.row = s.f.distances.from(r.Country)
	for id, rtt := range r.ExitRTT {
		if i, ok := s.f.m.Index(id); ok {
			if s.measured == nil {
				s.measured = make(map[int32]cost, len(r.ExitRTT))
			}
			s.measured[int32(i)] = costOf(rtt)
		}
	}
	s.allows[ownPolicy] = true // it is looked at later
	for i := range s.f.policies {
		s.allows[i] = allows(&s.f.policies[i], r)
	}
	s.findEntrances()
}

func allows(p *netmap.ExitPolicy, r *Request) bool {
	if r.Destination.Addr().IsValid() {
		return p.Allows(r.Destination)
	}
	return p.AllowsPort(r.Destination.Port())
}

// away is what the way from the exit to the destination costs. It is gone twice
// until the first byte comes back: the exit has to shake hands before it can send
// what came with the first flight.
func (s *search) away(i int32, x *exit) cost {
	c := cost(0)
	switch {
	case s.row != nil:
		c = s.row[x.country]
	case s.measured != nil: // else what is measured would seem to be far
		c = unknownAway
	}
	if x.asn == s.r.ASN && x.asn != 0 { // it goes no detours
		c = min(max(c/2, leastAway), c)
	}
	if s.measured != nil {
		if rtt, ok := s.measured[i]; ok {
			c = rtt
		}
	}
	return 2 * c
}

// findStarts finds out where routes may begin and end. It looks at thousands of
// nodes, so that most of what can be said against one is looked at later.
func (s *search) findStarts() {
	trusted := s.r.Unencrypted && s.f.trusted
	s.least, s.most, s.near, s.nearLimit = never, 0, 0, 0
	for e := range s.entrances {
		at := &s.entrances[e]
		reached := at.layers[s.want-1].reached
		if len(s.r.Exits) > 0 {
			reached = s.wantedExits(at)
		}
		s.starts = slices.Grow(s.starts, len(reached))
		for _, i := range reached {
			x := &s.f.exits[i]
			if !s.allows[x.policy] || trusted && !x.trusted {
				continue
			}
			least := at.rtt + s.f.least(at.layers, i) + s.away(i, x)
			s.starts = append(s.starts, start{exit: i, entrance: int32(e), least: least})
			s.least, s.most = min(s.least, least), max(s.most, least)
		}
	}
}

func (s *search) wantedExits(at *entrance) (reached []int32) {
	for _, id := range s.r.Exits {
		if i, ok := s.f.m.Index(id); ok && s.f.least(at.layers, int32(i)) < never {
			reached = append(reached, int32(i))
		}
	}
	return reached
}

// from looks for routes to a start. It returns true when that is enough.
func (s *search) from(t start) bool {
	if !s.mayExit(t.exit) {
		return false
	}
	s.at = &s.entrances[t.entrance]
	s.path = append(s.path[:0], step{node: t.exit})
	return s.extend(s.want-1, s.at.rtt+s.away(t.exit, &s.f.exits[t.exit])+s.f.places[t.exit].load)
}

// extend adds so many nodes before the path. It returns true when what was found
// is enough.
func (s *search) extend(missing int, c cost) bool {
	if missing == 0 {
		return s.note(c)
	}
	from := len(s.options)
	s.look(missing-1, c)
	enough := false
	for left := s.options[from:]; len(left) > 0 && s.steps > 0 && !enough; left = left[1:] {
		if s.mode == drawn {
			i := s.r.intN(len(left))
			left[0], left[i] = left[i], left[0]
		}
		o := &left[0]
		if o.bound >= s.limit || s.mode == drawn && !s.fits(o, missing-1) {
			continue
		}
		s.path = append(s.path, o.step)
		enough = s.extend(missing-1, o.cost)
		s.path = s.path[:len(s.path)-1]
	}
	s.options = s.options[:from]
	return enough
}

// look finds the options to go on with, while as many nodes are missing before
// them. They are in the order of their bounds, unless one is to be drawn: then
// nobody has looked yet whether they fit.
func (s *search) look(missing int, c cost) {
	from := len(s.options)
	last := s.path[len(s.path)-1].node
	layer := &s.at.layers[missing]
	edges := s.f.m.Edges(int(last))
	for e := range edges {
		rtt := linkCost(&edges[e])
		if c+rtt+layer.least >= s.limit {
			break // the others are slower
		}
		s.steps--
		to := int32(edges[e].To)
		o := option{step: step{node: to, edge: &edges[e]}, bound: c + rtt + layer.to[to]}
		if o.bound >= s.limit {
			continue
		}
		o.cost = c + rtt + s.f.places[to].load
		if s.mode == drawn || s.fits(&o, missing) {
			s.options = append(s.options, o)
		}
	}
	if s.mode == best {
		slices.SortFunc(s.options[from:], func(a, b option) int { return cmp.Compare(a.bound, b.bound) })
	}
}

// fits says whether the option can be, and adds what is dear about it.
func (s *search) fits(o *option, missing int) bool {
	for i := range s.path {
		if s.f.conflict(o.node, s.path[i].node) {
			return false
		}
	}
	if !s.usable(o.node) || !s.filter.link(o.edge.Crossed) {
		return false
	}
	dear := s.f.repeats(s.path, o.step)
	if missing == 0 && s.at.table.entry < 0 {
		dear += s.entryRTT(o.node) - s.at.rtt
	}
	o.cost += dear
	o.bound += dear
	return o.bound < s.limit
}

// note looks at the path, which is a whole route. It returns true when what was
// found is enough.
func (s *search) note(c cost) bool {
	s.count++
	switch s.mode {
	case best:
		s.found = append(s.found[:0], s.whole(c))
		s.limit = c - c/nearly
		s.steps = min(s.steps, stepsToBest)
	case drawn:
		s.found = append(s.found, s.whole(c))
		s.steps = min(s.steps, stepsToDraw)
		return true
	}
	return s.count >= mostCounted
}

func (s *search) whole(c cost) found {
	f := found{len: len(s.path), cost: c}
	copy(f.path[:], s.path)
	return f
}
