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
	numbers numbers
	kinds   []kind  // of each property by number; none if it bounds nothing
	first   []int32 // of each node's numbers in owned, and behind the last one the end
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

// numbers are those of what nodes have in common, its value by kind.
type numbers struct {
	owners, groups map[string]int32
	keys           map[[32]byte]int32
	networks       map[uint64]int32
	systems        map[uint32]int32
}

// Of the fast nodes, none is chosen more often than one of average capacity by
// more than mostWeight: each of its links takes part of that capacity.
const (
	leastWeight = 1. / 4
	mostWeight  = 8
)

// New prepares the map.
func New(m *netmap.Map) *World {
	w := &World{
		m: m, numbers: numbers{
			owners: make(map[string]int32), groups: make(map[string]int32), keys: make(map[[32]byte]int32),
			networks: make(map[uint64]int32), systems: make(map[uint32]int32),
		},
		first: make([]int32, 1, len(m.Nodes)+1), owned: make([]int32, 0, 4*len(m.Nodes)), places: make(map[string]geo.Place),
	}
	for i := range m.Nodes {
		w.owned = w.properties(w.owned, m.Nodes[i].Descriptor, true)
		w.first = append(w.first, int32(len(w.owned)))
		code := m.Nodes[i].Country
		if _, ok := w.places[code]; !ok {
			if place, ok := geo.CountryPlace(code); ok {
				w.places[code] = place
			}
		}
	}
	count := make([]int, len(w.kinds)) // of nodes with each property
	for _, number := range w.owned {
		count[number]++
	}
	for number, n := range count {
		if 2*n > len(m.Nodes) {
			w.kinds[number] = none // what most have in common tells nothing
		}
	}
	w.weigh()
	return w
}

// properties appends the numbers of what the node may have in common with
// others, each once. Those that have none get one, or are left out.
func (w *World) properties(all []int32, d *netmap.Descriptor, number bool) []int32 {
	begin := len(all)
	add := func(n int32) {
		if n >= 0 && !slices.Contains(all[begin:], n) {
			all = append(all, n)
		}
	}
	add(numberOf(w, w.numbers.owners, d.Owner, owner, number))
	if d.OwnerKey != [32]byte{} {
		add(numberOf(w, w.numbers.keys, d.OwnerKey, ownerKey, number))
	}
	if d.Group != "" {
		add(numberOf(w, w.numbers.groups, d.Group, group, number))
	}
	if d.ASN != 0 {
		add(numberOf(w, w.numbers.systems, d.ASN, system, number))
	}
	for _, a := range d.Addresses {
		add(numberOf(w, w.numbers.networks, prefix(a.Addr()), network, number))
	}
	for _, e := range d.Entrances {
		add(numberOf(w, w.numbers.networks, prefix(e.Addr.Addr()), network, number))
	}
	return all
}

// numberOf returns the number of a property, which it gets if it has none and
// may have one; -1 if it has none.
func numberOf[V comparable](w *World, numbers map[V]int32, value V, k kind, may bool) int32 {
	n, ok := numbers[value]
	switch {
	case ok:
		return n
	case !may:
		return -1
	}
	n = int32(len(w.kinds))
	numbers[value] = n
	w.kinds = append(w.kinds, k)
	return n
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
