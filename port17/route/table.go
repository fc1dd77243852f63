package route

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A table is what the cheapest ways cost that begin at an entry, or at any
// node. Nodes that can't be on a route with the entry are not on them, and
// neighbours on them may be together; further nodes may not: it is a lower bound.
type table struct {
	entry  int32 // -1: any node
	filter filter

	mu     sync.Mutex
	layers []layer
	lazy   [maxNodes]*layer
}

// A layer is the ways of one length, in links.
type layer struct {
	to      []cost  // each node, the loads of both ends included
	least   cost    // of all
	reached []int32 // the nodes to which there is one
	via     []int32 // the node before each on the cheapest way; only in the table of any node

	// lazy says that this is the last layer of the table of any node: it reaches
	// so many nodes, of which a search looks at few, that each is filled in when
	// it is looked at. Until then it is 0. Access is atomic.
	lazy bool
}

// A tableKey says what a table is good for.
type tableKey struct {
	entry  int32
	filter string
}

// mostTables is how many tables are kept: those used last.
const mostTables = 32

// tables remembers the tables that were used last.
type tables struct {
	mu    sync.Mutex
	known map[tableKey]*table
	used  []tableKey // the last one last
}

// table returns the table with at least so many layers.
func (f *Finder) table(entry int32, w filter, want int) ([]layer, *table) {
	k := tableKey{entry, w.key}
	f.tables.mu.Lock()
	t := f.tables.known[k]
	if t == nil {
		t = &table{entry: entry, filter: w}
		if f.tables.known == nil {
			f.tables.known = make(map[tableKey]*table)
		}
		if len(f.tables.used) == mostTables {
			delete(f.tables.known, f.tables.used[0])
			f.tables.used = slices.Delete(f.tables.used, 0, 1)
		}
		f.tables.known[k] = t
		f.tables.used = append(f.tables.used, k)
	} else if last := len(f.tables.used) - 1; f.tables.used[last] != k {
		at := slices.Index(f.tables.used, k)
		f.tables.used = append(slices.Delete(f.tables.used, at, at+1), k)
	}
	f.tables.mu.Unlock()

	t.mu.Lock()
	defer t.mu.Unlock()
	full := want
	if entry < 0 {
		full--
	}
	for len(t.layers) < full {
		t.layers = append(t.layers, f.nextLayer(t))
	}
	if len(t.layers) >= want {
		return t.layers[:want], t
	}
	if t.lazy[full] == nil {
		t.lazy[full] = &layer{to: make([]cost, len(f.places)), reached: t.layers[0].reached, lazy: true}
	}
	return append(t.layers[:full:full], *t.lazy[full]), t
}

// nextLayer makes the layer behind those that the table has.
func (f *Finder) nextLayer(t *table) layer {
	l := layer{to: make([]cost, len(f.places)), least: never}
	if t.entry < 0 {
		l.via = make([]int32, len(f.places))
	}
	if len(t.layers) > 0 && t.entry >= 0 {
		f.push(t, t.layers[len(t.layers)-1], &l)
	} else {
		for i := range l.to {
			l.to[i] = never
			switch {
			case t.entry >= 0 && t.entry != int32(i), !t.filter.node(&f.m.Nodes[i]), f.isolated(i):
			case len(t.layers) == 0:
				l.to[i] = f.places[i].load
			default:
				l.to[i], l.via[i] = f.pull(t.layers, &t.filter, int32(i))
			}
		}
	}
	reached := 0
	for _, c := range l.to {
		if c < never {
			reached++
			l.least = min(l.least, c)
		}
	}
	l.reached = make([]int32, 0, reached)
	for i, c := range l.to {
		if c < never {
			l.reached = append(l.reached, int32(i))
		}
	}
	return l
}

func (f *Finder) isolated(i int) bool { return len(f.m.Edges(i)) == 0 }

// push makes a layer of the one before, where that reaches few nodes.
func (f *Finder) push(t *table, before layer, l *layer) {
	for i := range l.to {
		l.to[i] = never
	}
	for _, i := range before.reached {
		edges := f.m.Edges(int(i))
		for e := range edges {
			to := int32(edges[e].To)
			c := before.to[i] + linkCost(&edges[e]) + f.places[to].load
			if c >= l.to[to] || f.conflict(to, i) || f.conflict(to, t.entry) || !t.filter.node(&f.m.Nodes[to]) || !t.filter.link(edges[e].Crossed) {
				continue
			}
			l.to[to] = c
		}
	}
}

// least returns the least cost of a way to the node in the last layer, or less
// where that is not known yet.
func (f *Finder) least(layers []layer, i int32) cost {
	last := len(layers) - 1
	l := &layers[last]
	if !l.lazy {
		return l.to[i]
	}
	if c := atomic.LoadInt32((*int32)(&l.to[i])); c != 0 {
		return cost(c)
	}
	return layers[1].to[i] + leastLink + layers[last-2].least
}

// exactly is least without a guess.
func (f *Finder) exactly(at *entrance, i int32) cost {
	last := len(at.layers) - 1
	l := &at.layers[last]
	if !l.lazy {
		return l.to[i]
	}
	to := (*int32)(&l.to[i])
	c := cost(atomic.LoadInt32(to))
	if c == 0 {
		c, _ = f.pull(at.layers[:last], &at.table.filter, i)
		atomic.StoreInt32(to, int32(c))
	}
	return c
}

// pull returns the least cost of a way to the node that is by one link longer
// than those of the last layer, and the node before it.
func (f *Finder) pull(layers []layer, w *filter, i int32) (cost, int32) {
	before := &layers[len(layers)-1]
	best, via, load := never, int32(-1), f.places[i].load
	edges := f.m.Edges(int(i))
	for e := range edges {
		rtt := linkCost(&edges[e]) + load
		if rtt+before.least >= best {
			break // the others are slower
		}
		to := int32(edges[e].To)
		if rtt+before.to[to] >= best || f.conflict(to, i) || !w.link(edges[e].Crossed) {
			continue
		}
		c := before.to[to]
		if len(layers) == 2 && f.conflict(before.via[to], i) {
			c = f.second(&layers[0], w, to, i, best-rtt)
		}
		if rtt+c < best {
			best, via = rtt+c, to
		}
	}
	return best, via
}

// second is the least cost of a way of one link to the node that begins at none
// that could not be with the other one; never if it is not below the limit.
func (f *Finder) second(begin *layer, w *filter, i, besides int32, limit cost) cost {
	best, load := min(limit, never), f.places[i].load
	found := never
	edges := f.m.Edges(int(i))
	for e := range edges {
		rtt := linkCost(&edges[e]) + load
		if rtt+begin.least >= best {
			break
		}
		to := int32(edges[e].To)
		if c := rtt + begin.to[to]; c < best && !f.conflict(to, besides) && !f.conflict(to, i) && w.link(edges[e].Crossed) {
			best, found = c, c
		}
	}
	return found
}

// An entrance is where a route may begin.
type entrance struct {
	table  *table
	layers []layer
	rtt    cost // from the client; where the table is of any node, at least
}

// findEntrances finds out where the request's routes may begin.
func (s *search) findEntrances() {
	s.entrances = s.entrances[:0]
	add := func(i int32, rtt cost) {
		layers, t := s.f.table(i, s.filter, s.want)
		s.entrances = append(s.entrances, entrance{table: t, layers: layers, rtt: rtt})
	}
	if len(s.r.Entries) > 0 {
		for _, id := range s.r.Entries {
			if i, ok := s.f.m.Index(id); ok && s.usable(int32(i)) {
				add(int32(i), s.entryRTT(int32(i)))
			}
		}
		return
	}
	// Nodes that were measured have tables of their own, as long as they are few.
	rest := costOf(unknownRTT)
	known := make([]int32, 0, mostEntrances)
	for id, rtt := range s.r.EntryRTT {
		i, ok := s.f.m.Index(id)
		switch {
		case !ok || rtt >= unknownRTT:
		case len(known) < mostEntrances:
			known = append(known, int32(i))
		default:
			rest = min(rest, costOf(rtt))
		}
	}
	for _, i := range known {
		if s.usable(i) {
			add(i, s.entryRTT(i))
		}
	}
	add(-1, rest)
}

// mostEntrances is how many nodes that were measured are looked at on their own
// where the request names no entries.
const mostEntrances = 4

func (s *search) entryRTT(i int32) cost {
	if rtt, ok := s.r.EntryRTT[s.f.m.Nodes[i].ID]; ok {
		return costOf(rtt)
	}
	return costOf(unknownRTT)
}
