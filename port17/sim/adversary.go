package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
)

// An adversary controls nodes of a world.
type adversary struct {
	name  string
	nodes []bool // by index
}

// parts are which parts of the nodes adversaries have in reports.
var parts = []float64{0.01, 0.02, 0.05, 0.10, 0.20}

// draws is over how many adversaries, drawn at random, figures are averaged.
const draws = 20

// atRandom has a part of the nodes, whoever runs them: somebody broke into them,
// or runs them under many names.
func (w *World) atRandom(part float64, r *rand.Rand) adversary {
	return w.first(fmt.Sprintf("%g %% of nodes", 100*part), part, r.Perm(len(w.Nodes)))
}

// smallest has that part of the nodes that has the least capacity, greatest that
// which has the most.
func (w *World) smallest(part float64) adversary {
	return w.first(fmt.Sprintf("the smallest %g %%", 100*part), part, w.bySize())
}

func (w *World) greatest(part float64) adversary {
	order := w.bySize()
	slices.Reverse(order)
	return w.first(fmt.Sprintf("the greatest %g %%", 100*part), part, order)
}

func (w *World) bySize() []int {
	order := make([]int, len(w.Nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(w.Nodes[a].Capacity, w.Nodes[b].Capacity) })
	return order
}

func (w *World) first(name string, part float64, order []int) adversary {
	a := adversary{name: name, nodes: make([]bool, len(w.Nodes))}
	for _, i := range order[:int(part*float64(len(order))+0.5)] {
		a.nodes[i] = true
	}
	return a
}

func (w *World) where(name string, is func(n *Node) bool) adversary {
	a := adversary{name: name, nodes: make([]bool, len(w.Nodes))}
	for i := range w.Nodes {
		a.nodes[i] = is(&w.Nodes[i])
	}
	return a
}

// owners are the greatest, by nodes, who act together.
func (w *World) owners(count int) adversary {
	great := greatestBy(w, func(n *Node) int { return n.Owner }, count)
	name := "the greatest owner"
	if count > 1 {
		name = fmt.Sprintf("the %d greatest owners", count)
	}
	return w.where(name, func(n *Node) bool { return slices.Contains(great, n.Owner) })
}

// greatestAS is the network in which most nodes are.
func (w *World) greatestAS() adversary {
	great := greatestBy(w, func(n *Node) int { return n.AS }, 1)
	return w.where("nodes in the network with most", func(n *Node) bool { return n.AS == great[0] })
}

// greatestBy returns those keys that most nodes have.
func greatestBy[K cmp.Ordered](w *World, key func(n *Node) K, count int) []K {
	have := make(map[K]int)
	for i := range w.Nodes {
		have[key(&w.Nodes[i])]++
	}
	keys := make([]K, 0, len(have))
	for k := range have {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int { return cmp.Or(cmp.Compare(have[b], have[a]), cmp.Compare(a, b)) })
	return keys[:min(count, len(keys))]
}

// states are groups of countries whose services are known to work together.
var states = []struct {
	name  string
	codes []string
}{
	{"Germany", []string{"DE"}},
	{"United States", []string{"US"}},
	{"China", []string{"CN"}},
	{"Five Eyes", []string{"US", "GB", "CA", "AU", "NZ"}},
	{"Fourteen Eyes", []string{"US", "GB", "CA", "AU", "NZ", "DE", "FR", "NL", "DK", "NO", "SE", "BE", "IT", "ES"}},
}

func (w *World) country(name string, codes []string) adversary {
	return w.where(name, func(n *Node) bool { return slices.Contains(codes, w.Cities[n.City].Country) })
}

// share returns what part of nodes and of capacity the adversary has.
func (w *World) share(a adversary) (nodes, capacity float64) {
	all := 0.0
	for i, bad := range a.nodes {
		all += float64(w.Nodes[i].Capacity)
		if bad {
			nodes++
			capacity += float64(w.Nodes[i].Capacity)
		}
	}
	return nodes / float64(len(w.Nodes)), capacity / all
}

// An Exposure is what part of tunnels an adversary gets, from 0 to 1.
type Exposure struct {
	Adversary string  `json:"adversary"`
	Selection string  `json:"selection"`
	Nodes     float64 `json:"nodes"`    // part of nodes that are the adversary's
	Capacity  float64 `json:"capacity"` // and of their capacity
	All       float64 `json:"all"`      // tunnels of which all nodes are
	Ends      float64 `json:"ends"`     // tunnels of which entry and exit are
	Exit      float64 `json:"exit"`     // tunnels of which the exit is
	// Clients is the part of clients of whom one of the entries is.
	Clients float64 `json:"clients"`
}

// exposed says what the adversary gets of the tunnels.
func (t *Tunnels) exposed(a adversary) Exposure {
	e := Exposure{Adversary: a.name, Selection: t.label}
	e.Nodes, e.Capacity = t.w.share(a)
	tunnels := 0.0
	seen, hit := make([]bool, len(t.w.Clients)), make([]bool, len(t.w.Clients))
	for i := range t.all {
		var space [maxHops]int
		hops := t.all[i].hops(&space)
		if len(hops) == 0 {
			continue
		}
		tunnels++
		seen[t.all[i].client] = true
		if a.nodes[hops[len(hops)-1]] {
			e.Exit++
		}
		if !a.nodes[hops[0]] {
			continue
		}
		hit[t.all[i].client] = true
		if a.nodes[hops[len(hops)-1]] {
			e.Ends++
			if !slices.ContainsFunc(hops, func(n int) bool { return !a.nodes[n] }) {
				e.All++
			}
		}
	}
	e.All, e.Ends, e.Exit = e.All/tunnels, e.Ends/tunnels, e.Exit/tunnels
	e.Clients = float64(countTrue(hit)) / float64(countTrue(seen))
	return e
}

func countTrue(all []bool) (n int) {
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

// mean averages over exposures to adversaries of one kind.
func mean(all []Exposure) Exposure {
	m := all[0]
	n := float64(len(all))
	for _, e := range all[1:] {
		m.Nodes, m.Capacity, m.All = m.Nodes+e.Nodes, m.Capacity+e.Capacity, m.All+e.All
		m.Ends, m.Exit, m.Clients = m.Ends+e.Ends, m.Exit+e.Exit, m.Clients+e.Clients
	}
	m.Nodes, m.Capacity, m.All, m.Ends, m.Exit, m.Clients = m.Nodes/n, m.Capacity/n, m.All/n, m.Ends/n, m.Exit/n, m.Clients/n
	return m
}
