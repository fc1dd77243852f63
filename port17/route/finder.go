package route

import (
	"math/rand/v2"
	"sync"

	"safing/netmap"
)

// A Finder finds routes on a map.
type Finder struct {
	m         *netmap.Map
	places    []place
	nets      map[int32][]uint32 // what does not fit into places
	exits     []exit
	policies  []netmap.ExitPolicy // by exit.policy
	trusted   bool                // there are trusted exits
	distances distances
	tables    tables
	searches  sync.Pool // of *search, to be used again
}

// New prepares a map. It is worth keeping the Finder as long as the map. How far
// exits are from destinations is estimated by geography.
func New(m *netmap.Map) *Finder {
	f := &Finder{m: m}
	f.findPlaces()
	for i := range f.places {
		f.trusted = f.trusted || f.exits[i].trusted
		f.distances.places[f.exits[i].country] = true
	}
	return f
}

// Map returns the map that the Finder was made for.
func (f *Finder) Map() *netmap.Map { return f.m }

// Find returns a route. The error is a [*NoRouteError].
func (f *Finder) Find(r Request) (Route, error) {
	s := f.begin(&r)
	defer f.searches.Put(s)
	chosen, err := s.find()
	if err != nil {
		return Route{}, err
	}
	return s.route(chosen), nil
}

// trustedExit says whether the node is an exit at all, and a trusted one.
func trustedExit(n *netmap.Node) bool { return hasExit(n) && n.Flags&netmap.FlagTrusted != 0 }

func hasExit(n *netmap.Node) bool {
	return n.Flags&netmap.FlagBadExit == 0 && !n.Exit.Equal(netmap.ExitPolicy{})
}

// MayCarryPlain says whether the node may be the exit of what is not encrypted.
func (f *Finder) MayCarryPlain(exit netmap.Node) bool {
	return !f.trusted || trustedExit(&exit)
}

// begin prepares a search.
func (f *Finder) begin(r *Request) *search {
	s, _ := f.searches.Get().(*search)
	if s == nil {
		s = &search{f: f, state: make([]uint8, len(f.places))}
	}
	s.reset(r)
	return s
}

// intN returns a random number below n.
func (r *Request) intN(n int) int {
	if r.Rand != nil {
		return r.Rand.IntN(n)
	}
	return rand.IntN(n)
}

func (r *Request) float64() float64 {
	if r.Rand != nil {
		return r.Rand.Float64()
	}
	return rand.Float64()
}
