package sim

import "slices"

// A Watch says who could see both ends of tunnels without any node: networks
// that packets pass between the client and the entry, and between the exit and
// the destination.
type Watch struct {
	Selection string `json:"selection"`
	// Any is the part of tunnels both of whose ends some one network sees.
	Any float64 `json:"any"`
	// Worst is what the network gets that gets most, and Name is that.
	Worst float64 `json:"worst"`
	Name  string  `json:"name"`
	// States is what groups of countries get whose networks they can watch.
	States map[string]float64 `json:"states"`
}

// watched looks at who is on the way. Transit networks have numbers behind those
// of the others.
func (t *Tunnels) watched() Watch {
	seen := make([]int, len(t.w.ASes)+transits)
	any, tunnels := 0, 0
	byState := make([]int, len(states))
	for i := range t.all {
		one := &t.all[i]
		if one.count == 0 {
			continue
		}
		tunnels++
		d := &t.w.Destinations[one.destination]
		before := t.w.way(t.w.Clients[one.client].AS, t.w.Nodes[one.nodes[0]].AS)
		after := t.w.way(t.w.Nodes[one.nodes[one.count-1]].AS, d.AS)
		both := false
		for _, as := range before {
			if slices.Contains(after, as) {
				seen[as]++
				both = true
			}
		}
		if both {
			any++
		}
		for s, state := range states {
			in := func(as int) bool { return slices.Contains(state.codes, t.w.countryOf(as)) }
			if slices.ContainsFunc(before, in) && slices.ContainsFunc(after, in) {
				byState[s]++
			}
		}
	}
	v := Watch{Selection: t.label, Any: float64(any) / float64(tunnels), States: make(map[string]float64)}
	for as, n := range seen {
		if part := float64(n) / float64(tunnels); part > v.Worst {
			v.Worst, v.Name = part, t.w.nameOf(as)
		}
	}
	for s, state := range states {
		v.States[state.name] = float64(byState[s]) / float64(tunnels)
	}
	return v
}

// way returns the networks from one to another, both included.
func (w *World) way(from, to int) []int {
	way := []int{from}
	for _, t := range w.transit(from, to) {
		way = append(way, len(w.ASes)+t)
	}
	if from != to {
		way = append(way, to)
	}
	return way
}

func (w *World) countryOf(as int) string {
	if as >= len(w.ASes) {
		return transitCountries[as-len(w.ASes)]
	}
	return w.ASes[as].Country
}

func (w *World) numberOf(as int) uint32 {
	if as >= len(w.ASes) {
		return uint32(1 + as - len(w.ASes))
	}
	return w.ASes[as].Number
}

func (w *World) nameOf(as int) string {
	if as >= len(w.ASes) {
		return "transit in " + w.countryOf(as)
	}
	if w.ASes[as].Access {
		return "access in " + w.countryOf(as)
	}
	return "hosting in " + w.countryOf(as)
}
