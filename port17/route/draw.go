package route

import (
	"cmp"
	"slices"
	"time"
)

// How much a route may cost, as a part of what the cheapest costs, and how many
// are drawn to choose from. The cheapest found may itself be dearer than the
// cheapest there is by 1/64, and a normal route is to be by a tenth at most.
const (
	normalFactor = 1.08
	highFactor   = 1.5
	draws        = 16
	extremeDraws = 8
)

// factor returns how much dearer than the cheapest a route of the level may be;
// 0 if that does not matter.
func (l Level) factor() float64 {
	switch l {
	case Normal:
		return normalFactor
	case High:
		return highFactor
	}
	return 0
}

// find returns the route that is drawn.
func (s *search) find() (*found, error) {
	s.findStarts()
	factor, most := s.r.Level.factor(), draws
	limit := never
	if factor > 0 {
		if !s.cheapest() {
			return nil, s.none()
		}
		limit = cost(min(float64(s.found[0].cost)*factor, float64(never-1))) + 1
		s.steps = stepsToDraw
	} else {
		most = extremeDraws
	}
	s.draw(limit, most)
	if len(s.found) == 0 {
		return nil, s.none()
	}
	s.compact()
	return &s.found[s.choose(factor > 0)], nil
}

// cheapest finds the route that costs least, or nearly so. The bounds of starts
// are looked at in slices, as most of them are far above the best route.
func (s *search) cheapest() bool {
	s.mode = best
	for low, high := cost(-1), s.least+s.least/16; low < s.most && low < s.limit && s.steps > 0; low, high = high, high+high/4 {
		slice := s.slice[:0]
		for _, t := range s.below(max(high+1, s.least+s.least/2)) {
			if t.least <= low || t.least > high || t.least >= s.limit {
				continue
			}
			if t.least = s.exactly(t); t.least < s.limit {
				slice = append(slice, t)
			}
		}
		s.slice = slice
		slices.SortFunc(slice, func(a, b start) int { return cmp.Compare(a.least, b.least) })
		for _, t := range slice {
			if t.least >= s.limit || s.steps <= 0 {
				break
			}
			s.from(t)
		}
	}
	return len(s.found) > 0
}

// below returns the starts whose bounds are below the limit, and perhaps further
// ones. They are in front from then on, so that not all are looked at again.
func (s *search) below(limit cost) []start {
	if limit > s.nearLimit {
		for i := s.near; i < len(s.starts); i++ {
			if s.starts[i].least < limit {
				s.starts[i], s.starts[s.near] = s.starts[s.near], s.starts[i]
				s.near++
			}
		}
		s.nearLimit = limit
	}
	return s.starts[:s.near]
}

// exactly is the start's least cost without a guess.
func (s *search) exactly(t start) cost {
	at := &s.entrances[t.entrance]
	return at.rtt + s.f.exactly(at, t.exit) + s.away(t.exit, &s.f.exits[t.exit])
}

// draw finds routes below the limit at random. An exit is drawn, each as likely
// as another, and then each node before it from those neighbours over which the
// table knows a way to the entry. So routes are not all as likely. If they were,
// nodes that claim many links to each other would be on most of them: of five
// nodes such a group gets the fifth power of its links, and here its share of
// exits, and of the neighbours of those that are not its own.
func (s *search) draw(limit cost, most int) {
	s.mode, s.limit = drawn, limit
	left := s.below(limit)
	if limit < never {
		left = slices.DeleteFunc(left, func(t start) bool { return t.least >= limit || s.exactly(t) >= limit })
	}
	for i := 0; i < most && len(left) > 0 && s.steps > 0; {
		k := s.r.intN(len(left))
		if !s.from(left[k]) {
			left[k] = left[len(left)-1]
			left = left[:len(left)-1]
			continue
		}
		i++
	}
}

// compact puts the routes found in the order of their costs, each once.
func (s *search) compact() {
	slices.SortStableFunc(s.found, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), slices.CompareFunc(a.steps(), b.steps(), func(a, b step) int { return cmp.Compare(a.node, b.node) }))
	})
	s.found = slices.CompactFunc(s.found, func(a, b found) bool {
		return slices.EqualFunc(a.steps(), b.steps(), func(a, b step) bool { return a.node == b.node })
	})
}

// choose draws one of the routes found; by capacity, if they are to be fast.
func (s *search) choose(byCapacity bool) int {
	if !byCapacity {
		return s.r.intN(len(s.found))
	}
	total := 0.0
	for i := range s.found {
		total += s.narrowest(&s.found[i])
	}
	at := s.r.float64() * total
	for i := range s.found {
		if at -= s.narrowest(&s.found[i]); at < 0 {
			return i
		}
	}
	return len(s.found) - 1
}

// narrowest is what the node of the route can carry that can carry least.
func (s *search) narrowest(f *found) float64 {
	least := s.f.places[f.path[0].node].free
	for _, step := range f.steps() {
		least = min(least, s.f.places[step.node].free)
	}
	return float64(least)
}

// route returns what was found, the entry first.
func (s *search) route(f *found) Route {
	r := Route{Cost: f.cost.duration()}
	for _, step := range slices.Backward(f.steps()) {
		r.Nodes = append(r.Nodes, s.f.m.Nodes[step.node])
		if step.edge != nil {
			r.Crossed = append(r.Crossed, step.edge.Crossed)
		}
	}
	r.Parts = s.parts(f)
	return r
}

// parts says what the route's cost consists of.
func (s *search) parts(f *found) Parts {
	var links, load cost
	steps := f.steps()
	for _, step := range steps {
		load += s.f.places[step.node].load
		if step.edge != nil {
			links += linkCost(step.edge)
		}
	}
	p := Parts{Entry: s.entryRTT(steps[len(steps)-1].node).duration(), Links: links.duration(), Load: load.duration(), Exit: s.away(steps[0].node, &s.f.exits[steps[0].node]).duration()}
	p.Networks = f.cost.duration() - p.Entry - p.Links - p.Load - p.Exit
	return p
}

// Parts are what a route's cost is the sum of.
type Parts struct {
	Entry time.Duration `json:"entry"` // from the client to the entry and back
	Links time.Duration `json:"links"`
	Load  time.Duration `json:"load"` // waiting in nodes
	// Exit is for the way from the exit to the destination and back, twice: the
	// exit shakes hands first. It is 0 if nothing is known of that.
	Exit time.Duration `json:"exit"`
	// Networks is the price on networks that see the route more than once.
	Networks time.Duration `json:"networks"`
}
