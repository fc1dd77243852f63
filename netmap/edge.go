package netmap

import (
	"cmp"
	"slices"
	"time"
)

// An Edge is a link that both of its ends publish, seen from one of them.
type Edge struct {
	To  int           // the other end's index in Nodes
	RTT time.Duration // the worse of what the two say; 0 if neither has measured it
	// What the paths in both directions cross; never nil, and the same value for
	// both ends. It is traced if both paths are.
	*Crossed
}

// edges are those of all nodes, one node's behind the other's.
type edges struct {
	all   []Edge
	first []int32 // of each node, and behind the last one the end
}

// Edges returns the links of the node with the index, fastest first. They
// belong to the map.
func (m *Map) Edges(i int) []Edge {
	return m.edges.all[m.edges.first[i]:m.edges.first[i+1]:m.edges.first[i+1]]
}

// pairs finds the links that both ends publish.
func (m *Map) pairs() []pair {
	outgoing := make([][]half, len(m.Nodes))
	for i, n := range m.Nodes {
		for l := range n.Links {
			if to, ok := m.Index(n.Links[l].To); ok && to != i {
				outgoing[i] = append(outgoing[i], half{to: to, link: &n.Links[l]})
			}
		}
		slices.SortStableFunc(outgoing[i], func(a, b half) int { return cmp.Compare(a.to, b.to) })
		outgoing[i] = slices.CompactFunc(outgoing[i], func(a, b half) bool { return a.to == b.to })
	}
	var all []pair
	for i, halves := range outgoing {
		for _, h := range halves {
			if h.to < i {
				continue
			}
			at, ok := slices.BinarySearchFunc(outgoing[h.to], i, func(back half, i int) int { return cmp.Compare(back.to, i) })
			if !ok {
				continue
			}
			back := outgoing[h.to][at].link
			p := pair{a: i, b: h.to, rtt: max(h.link.RTT, back.RTT)}
			if c := h.link.Crossed.join(back.Crossed); !c.isZero() {
				p.crossed = &c
			}
			all = append(all, p)
		}
	}
	return all
}

// A half is a link as one of its ends publishes it.
type half struct {
	to   int
	link *Link
}

// A pair is a link that both ends publish.
type pair struct {
	a, b    int // a < b
	rtt     time.Duration
	crossed *Crossed // nil if nothing is known
}

// newEdges lays the links out by node. They are in the order of their ends.
func newEdges(nodes int, pairs []pair) edges {
	e := edges{all: make([]Edge, 2*len(pairs)), first: make([]int32, nodes+1)}
	for _, p := range pairs {
		e.first[p.a+1]++
		e.first[p.b+1]++
	}
	for i := range nodes {
		e.first[i+1] += e.first[i]
	}
	nothing := new(Crossed)
	next := slices.Clone(e.first[:nodes])
	for _, p := range pairs {
		crossed := cmp.Or(p.crossed, nothing)
		e.all[next[p.a]] = Edge{To: p.b, RTT: p.rtt, Crossed: crossed}
		e.all[next[p.b]] = Edge{To: p.a, RTT: p.rtt, Crossed: crossed}
		next[p.a]++
		next[p.b]++
	}
	for i := range nodes {
		slices.SortStableFunc(e.all[e.first[i]:e.first[i+1]], func(a, b Edge) int { return cmp.Compare(a.RTT, b.RTT) })
	}
	return e
}
