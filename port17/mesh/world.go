package mesh

import (
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"safing/internal/geo"
	"safing/netmap"
)

// A World is a map, prepared to choose on it.
type World struct {
	m       *netmap.Map
	numbers map[property]int32 // of properties
	kinds   []kind             // of each property by number; none if it bounds nothing
	first   []int32            // of each node's numbers in owned, and behind the last one the end
	owned   []int32
	weights []float64 // of each node among the fast ones, from leastWeight to mostWeight
	places  map[string]geo.Place
}

// A kind is what nodes may have in common.
type kind uint8

const (
	none kind = iota
	owner
	ownerKey
	group
	network
	system
)

// most is how many of count links may lead to nodes with the same property.
func (k kind) most(count int) int {
	switch k {
	case owner, ownerKey, network:
		return max(1, count/8)
	case group:
		return max(1, count/16)
	case system:
		return max(1, count/4)
	}
	return math.MaxInt
}

// A property is what some nodes have in common.
type property struct {
	kind   kind
	text   string
	key    [32]byte
	number uint64
}

// Of the fast nodes, none is chosen more often than one of average capacity by
// more than mostWeight: each of its links takes part of that capacity.
const (
	leastWeight = 1. / 4
	mostWeight  = 8
)

// New prepares the map.
func New(m *netmap.Map) *World {
	w := &World{m: m, numbers: make(map[property]int32, 2*len(m.Nodes)), first: make([]int32, 1, len(m.Nodes)+1), places: make(map[string]geo.Place)}
	var count []int // of nodes with each property
	for i := range m.Nodes {
		begin := len(w.owned)
		for p := range properties(m.Nodes[i].Descriptor) {
			number, ok := w.numbers[p]
			if !ok {
				number = int32(len(w.kinds))
				w.numbers[p] = number
				w.kinds, count = append(w.kinds, p.kind), append(count, 0)
			}
			if !slices.Contains(w.owned[begin:], number) {
				w.owned = append(w.owned, number)
				count[number]++
			}
		}
		w.first = append(w.first, int32(len(w.owned)))
		if code := m.Nodes[i].Country; code != "" {
			if _, ok := w.places[code]; !ok {
				if place, ok := geo.CountryPlace(code); ok {
					w.places[code] = place
				}
			}
		}
	}
	for number, n := range count {
		if 2*n > len(m.Nodes) {
			w.kinds[number] = none // what most have in common tells nothing
		}
	}
	w.weigh()
	return w
}

// properties yields what the node may have in common with others, some twice.
func properties(d *netmap.Descriptor) func(func(property) bool) {
	return func(yield func(property) bool) {
		all := []property{{kind: owner, text: d.Owner}}
		if d.OwnerKey != [32]byte{} {
			all = append(all, property{kind: ownerKey, key: d.OwnerKey})
		}
		if d.Group != "" {
			all = append(all, property{kind: group, text: d.Group})
		}
		if d.ASN != 0 {
			all = append(all, property{kind: system, number: uint64(d.ASN)})
		}
		for _, p := range all {
			if !yield(p) {
				return
			}
		}
		for _, a := range d.Addresses {
			if !yield(property{kind: network, number: prefix(a.Addr())}) {
				return
			}
		}
		for _, e := range d.Entrances {
			if !yield(property{kind: network, number: prefix(e.Addr.Addr())}) {
				return
			}
		}
	}
}

// prefix stands for the address's /16 (IPv4) or /32 (IPv6), as routes count them.
func prefix(a netip.Addr) uint64 {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		return 1<<32 | uint64(b[0])<<8 | uint64(b[1])
	}
	b := a.As16()
	return 1<<33 | uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
}

// weigh sets the weights by what authorities have measured: to the power of two
// that is near, so that they seldom change. What nodes say of themselves does
// not count.
func (w *World) weigh() {
	var count [65]int // by the binary logarithm
	measured := 0
	for i := range w.m.Nodes {
		if c := w.m.Nodes[i].Measured; c > 0 {
			count[bits.Len64(c)]++
			measured++
		}
	}
	middle, below := 0, count[0]
	for 2*below < measured {
		middle++
		below += count[middle]
	}
	w.weights = make([]float64, len(w.m.Nodes))
	for i := range w.m.Nodes {
		w.weights[i] = leastWeight
		if c := w.m.Nodes[i].Measured; c > 0 {
			w.weights[i] = min(max(math.Ldexp(1, bits.Len64(c)-middle), leastWeight), mostWeight)
		}
	}
}

// of returns the numbers of the properties of the node with the index.
func (w *World) of(i int32) []int32 { return w.owned[w.first[i]:w.first[i+1]] }

// distance guesses the round trip between countries; ok is false if one is not
// known.
func (w *World) distance(a, b string) (rtt time.Duration, ok bool) {
	from, ok := w.places[a]
	if !ok {
		if from, ok = geo.CountryPlace(a); !ok {
			return 0, false
		}
	}
	to, ok := w.places[b]
	if !ok {
		return 0, false
	}
	return geo.RTT(from, to), true
}
