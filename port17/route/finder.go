package route

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"safing/netmap"
)

const (
	unknownRTT  = 50 * time.Millisecond // to an entry that was not measured
	leastRTT    = time.Millisecond      // of a link: whoever claims less gains nothing
	abroad      = 20 * time.Millisecond // penalty of an exit in another country than the destination
	bestRoutes  = 32                    // how many of the fastest are looked at
	tolerance   = 2 * time.Millisecond  // a route that is slower by this, and by
	toleranceOf = 8                     // an eighth of the fastest, is as good
	maxNodes    = 8                     // of a route that is asked for
	maxSteps    = 4 << 20               // of one search; the exits share them
)

var (
	// ErrNoRoute means that no route fulfils the request.
	ErrNoRoute = errors.New("no route")
	// ErrNoExit means that this is as no exit may be used and allows the
	// destination. It wraps ErrNoRoute.
	ErrNoExit = fmt.Errorf("%w: no exit", ErrNoRoute)
)

// A Finder finds routes on a map.
type Finder struct {
	m     *netmap.Map
	nodes []place
}

// A place is what has to be known of a node, by its index in the map.
type place struct {
	netmap.Node
	links []link // fastest first
	nets  []netip.Prefix
}

type link struct {
	to  int
	rtt time.Duration
}

// New prepares a map. It is worth keeping the Finder as long as the map.
func New(m *netmap.Map) *Finder {
	f := &Finder{m: m, nodes: make([]place, len(m.Nodes))}
	for i, n := range m.Nodes {
		p := place{Node: n}
		for _, ip := range n.IPs() {
			if net := neighbourhood(ip); !slices.Contains(p.nets, net) {
				p.nets = append(p.nets, net)
			}
		}
		for _, e := range m.Edges(i) {
			p.links = append(p.links, link{to: e.To, rtt: max(e.RTT, leastRTT)})
		}
		// Of links as fast as each other every client takes others first.
		rand.Shuffle(len(p.links), func(i, j int) { p.links[i], p.links[j] = p.links[j], p.links[i] })
		slices.SortFunc(p.links, func(a, b link) int { return cmp.Compare(a.rtt, b.rtt) })
		f.nodes[i] = p
	}
	return f
}

// neighbourhood is the prefix that no two nodes of a route share.
func neighbourhood(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is4() {
		bits = 16
	}
	p, _ := a.Prefix(bits)
	return p
}

// Map returns the map that the Finder was made for.
func (f *Finder) Map() *netmap.Map { return f.m }

// Find returns a route. The error wraps [ErrNoRoute] and says what was in the
// way.
func (f *Finder) Find(r Request) (Route, error) {
	e, err := f.Explain(r)
	return e.Chosen, err
}

// Explain is Find with its reasons. With an error it says which nodes were
// excluded.
func (f *Finder) Explain(r Request) (Explanation, error) {
	s := &search{f: f, r: r, want: min(max(r.Nodes, r.Level.Nodes()), maxNodes), usable: make([]bool, len(f.nodes))}
	s.exclude()
	exits := s.exits()
	if len(exits) == 0 {
		return s.explanation, fmt.Errorf("%w: of %d nodes none that may be used as one allows %s", ErrNoExit, len(f.nodes), describe(r))
	}
	s.entries()
	first := rand.IntN(len(exits)) // of exits as near as each other none is preferred
	for _, e := range slices.Concat(exits[first:], exits[:first]) {
		s.path, s.steps = append(s.path[:0], e), maxSteps/len(exits)
		s.extend(s.penalty(e))
	}
	if len(s.best) == 0 {
		return s.explanation, fmt.Errorf("%w: no %d linked nodes of different owners and networks lead to one of the %d exits that allow %s",
			ErrNoRoute, s.want, len(exits), describe(r))
	}
	s.choose()
	return s.explanation, nil
}

func describe(r Request) string {
	if r.Destination.Addr().IsValid() {
		return r.Destination.String()
	}
	return fmt.Sprintf("port %d", r.Destination.Port())
}

// A search is one Find. It goes from the exits backwards.
type search struct {
	f      *Finder
	r      Request
	want   int
	usable []bool
	entry  map[int]bool // nil: every node
	far    []int        // links between each node and an entry, at least; nil with entry
	steps  int          // that may still be taken from this exit
	path   []int        // exit first
	best   []found      // fastest first

	explanation Explanation
}

type found struct {
	path []int
	cost time.Duration
}

// exclude finds out which nodes may be used at all.
func (s *search) exclude() {
	now := time.Now()
	for i := range s.f.nodes {
		n := &s.f.nodes[i]
		reason := ""
		switch _, err := n.Prekey(now); {
		case s.r.Exclude[n.ID]:
			reason = "it failed recently"
		case s.r.avoids(n.Node) != "":
			reason = s.r.avoids(n.Node)
		case len(n.links) == 0:
			reason = "it has no link that both ends publish"
		case err != nil:
			reason = "it has no prekey for now"
		}
		s.usable[i] = reason == ""
		if reason != "" {
			s.explanation.Excluded = append(s.explanation.Excluded, Exclusion{Node: n.ID.String(), Name: n.Name, Reason: reason})
		}
	}
}

func (s *search) exits() (exits []int) {
	to := s.r.Destination
	for i := range s.f.nodes {
		n := &s.f.nodes[i]
		switch {
		case !s.usable[i], !s.r.AllowsExit(n.Node):
		case to.Addr().IsValid() && n.Allows(to), !to.Addr().IsValid() && n.Exit.AllowsPort(to.Port()):
			exits = append(exits, i)
		}
	}
	return exits
}

// entries turns the wanted entries into indexes.
func (s *search) entries() {
	if len(s.r.Entries) == 0 {
		return
	}
	s.entry = make(map[int]bool)
	for i := range s.f.nodes {
		if slices.Contains(s.r.Entries, s.f.nodes[i].ID) {
			s.entry[i] = true
		}
	}
	s.measure()
}

// measure finds out how far the nodes are from the entries, so that no time is
// lost among nodes from which there is no way to one.
func (s *search) measure() {
	s.far = make([]int, len(s.f.nodes))
	var queue []int
	for i := range s.far {
		s.far[i] = maxNodes
		if s.entry[i] && s.usable[i] {
			s.far[i] = 0
			queue = append(queue, i)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, l := range s.f.nodes[queue[0]].links {
			if s.usable[l.to] && s.far[l.to] == maxNodes {
				s.far[l.to] = s.far[queue[0]] + 1
				queue = append(queue, l.to)
			}
		}
	}
}

func (s *search) penalty(exit int) time.Duration {
	if s.r.Country != "" && s.f.nodes[exit].Country != s.r.Country {
		return abroad
	}
	return 0
}

// extend adds nodes before the path until it is whole.
func (s *search) extend(cost time.Duration) {
	at := s.path[len(s.path)-1]
	if len(s.path) == s.want {
		if s.entry == nil || s.entry[at] {
			s.note(cost + s.entryCost(at))
		}
		return
	}
	for _, l := range s.f.nodes[at].links {
		if s.tooSlow(cost + l.rtt) {
			return // the links behind it are slower still
		}
		if s.steps--; s.steps < 0 {
			return // who says that there are many links does not keep us busy
		}
		if s.usable[l.to] && s.leads(l.to) && !s.f.conflict(l.to, s.path) {
			s.path = append(s.path, l.to)
			s.extend(cost + l.rtt)
			s.path = s.path[:len(s.path)-1]
		}
	}
}

// leads says whether the node can be followed by as many as are missing, of
// which the last is an entry.
func (s *search) leads(i int) bool {
	return s.far == nil || s.far[i] < s.want-len(s.path)
}

func (s *search) entryCost(i int) time.Duration {
	if rtt, ok := s.r.EntryRTT[s.f.nodes[i].ID]; ok {
		return rtt
	}
	return unknownRTT
}

func (s *search) tooSlow(cost time.Duration) bool {
	return len(s.best) == bestRoutes && cost >= s.best[len(s.best)-1].cost
}

// conflict says whether the node must not be on one route with the others.
func (f *Finder) conflict(i int, others []int) bool {
	n := &f.nodes[i]
	for _, j := range others {
		o := &f.nodes[j]
		if i == j || n.Owner == o.Owner || n.Group != "" && n.Group == o.Group {
			return true
		}
		for _, p := range n.nets {
			if slices.Contains(o.nets, p) {
				return true
			}
		}
	}
	return false
}

// note keeps the path if it is one of the fastest.
func (s *search) note(cost time.Duration) {
	if s.tooSlow(cost) {
		return
	}
	at, _ := slices.BinarySearchFunc(s.best, cost, func(f found, c time.Duration) int { return cmp.Compare(f.cost, c) })
	s.best = slices.Insert(s.best, at, found{path: slices.Clone(s.path), cost: cost})
	if len(s.best) > bestRoutes {
		s.best = s.best[:bestRoutes]
	}
}

// choose draws one of the routes that are as good as the fastest.
func (s *search) choose() {
	limit := s.best[0].cost + s.best[0].cost/toleranceOf + tolerance
	good := 1
	for good < len(s.best) && s.best[good].cost <= limit {
		good++
	}
	drawn := rand.IntN(good)
	for i, b := range s.best {
		c := Candidate{Cost: b.cost, Chosen: i == drawn}
		var nodes []netmap.Node
		for _, at := range slices.Backward(b.path) {
			nodes = append(nodes, s.f.nodes[at].Node)
			c.Nodes = append(c.Nodes, s.f.nodes[at].Name)
		}
		if c.Chosen {
			s.explanation.Chosen = Route{Nodes: nodes, Cost: b.cost}
		}
		s.explanation.Candidates = append(s.explanation.Candidates, c)
	}
}
