package route

import (
	"slices"
	"sync"
)

// A table is what the cheapest ways cost that begin at an entry, or at any
// node. Nodes that can't be on a route with the entry are not on them, and
// neighbours on them may be together; further nodes may not: it is a lower bound.
type table struct {
	entry  int32 // -1: any node
	filter filter

	mu     sync.Mutex
	layers []layer
}

// A layer is the ways of one length.
type layer struct {
	to      []cost  // each node, the loads of both ends included
	least   cost    // of all
	reached []int32 // the nodes to which there is one
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
	for len(t.layers) < want {
		t.layers = append(t.layers, f.nextLayer(t))
	}
	return t.layers, t
}

// nextLayer makes the layer behind those that the table has.
func (f *Finder) nextLayer(t *table) layer {
	l := layer{to: make([]cost, len(f.places)), least: never}
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
				l.to[i] = f.pull(t, int32(i))
			}
		}
	}
	for i, c := range l.to {
		if c < never {
			l.reached = append(l.reached, int32(i))
			l.least = min(l.least, c)
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

// pull returns the least cost of a way to the node that is by one link longer
// than those of the last layer.
func (f *Finder) pull(t *table, i int32) cost {
	before := &t.layers[len(t.layers)-1]
	best, load := never, f.places[i].load
	edges := f.m.Edges(int(i))
	for e := range edges {
		rtt := linkCost(&edges[e]) + load
		if rtt+before.least >= best {
			break // the others are slower
		}
		to := int32(edges[e].To)
		if rtt+before.to[to] >= best || f.conflict(to, i) || !t.filter.link(edges[e].Crossed) {
			continue
		}
		c := before.to[to]
		if len(t.layers) == 2 {
			c = f.second(t, to, i, best-rtt)
		}
		best = min(best, rtt+c)
	}
	return best
}

// second is the least cost of a way of one link to the node that begins at none
// that could not be with the other one; never if it is not below the limit.
func (f *Finder) second(t *table, i, besides int32, limit cost) cost {
	begin := &t.layers[0]
	best, load := min(limit, never), f.places[i].load
	found := never
	edges := f.m.Edges(int(i))
	for e := range edges {
		rtt := linkCost(&edges[e]) + load
		if rtt+begin.least >= best {
			break
		}
		to := int32(edges[e].To)
		if c := rtt + begin.to[to]; c < best && !f.conflict(to, besides) && !f.conflict(to, i) && t.filter.link(edges[e].Crossed) {
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
