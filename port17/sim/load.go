package sim

import (
	"cmp"
	"slices"
)

// A Load says how tunnels spread over nodes. Each tunnel is the same load to
// each of its nodes.
type Load struct {
	Label string `json:"label"`
	// Busiest1 and Busiest10 are what part of the load the busiest 1 % and 10 %
	// of nodes have, and Capacity1 and Capacity10 what part of the capacity
	// those have.
	Busiest1   float64 `json:"busiest1"`
	Capacity1  float64 `json:"capacity1"`
	Busiest10  float64 `json:"busiest10"`
	Capacity10 float64 `json:"capacity10"`
	// Gini of the nodes' load per capacity: 0 if all are used alike, 1 if one has
	// all.
	Gini float64 `json:"gini"`
	// GiniByCapacity is the same where each byte of capacity counts, not each
	// node: unused small nodes are no loss.
	GiniByCapacity float64 `json:"gini_by_capacity"`
	// Usable is what part of the network's capacity can be used until one node in
	// a hundred, by capacity, is full.
	Usable float64 `json:"usable"`
	// Unused is the part of nodes that no tunnel went through.
	Unused float64 `json:"unused"`
	// Curve is which part of the load the 0, 1, … 100 % of the capacity have that
	// are used least.
	Curve []float64 `json:"curve"`
}

// nodeLoad is one node's part of capacity and of load.
type nodeLoad struct{ capacity, load float64 }

func (n nodeLoad) use() float64 { return n.load / n.capacity }

// load counts the tunnels.
func (t *Tunnels) load() Load {
	nodes := t.nodeLoads()
	l := Load{Label: t.label}
	for _, n := range nodes {
		if n.load == 0 {
			l.Unused += 1 / float64(len(nodes))
		}
	}
	slices.SortFunc(nodes, func(a, b nodeLoad) int { return cmp.Compare(b.load, a.load) })
	l.Busiest1, l.Capacity1 = top(nodes, 0.01)
	l.Busiest10, l.Capacity10 = top(nodes, 0.10)

	slices.SortFunc(nodes, func(a, b nodeLoad) int { return cmp.Compare(a.use(), b.use()) })
	uses := make([]float64, len(nodes))
	for i, n := range nodes {
		uses[i] = n.use()
	}
	l.Gini = gini(uses)
	l.Curve, l.GiniByCapacity = lorenz(nodes)
	full := 0.0 // capacity of nodes that are used more
	for _, n := range slices.Backward(nodes) {
		if full += n.capacity; full >= 0.01 {
			l.Usable = min(1, 1/n.use())
			break
		}
	}
	return l
}

// nodeLoads returns the parts that nodes have of all capacity and all load.
func (t *Tunnels) nodeLoads() []nodeLoad {
	nodes := make([]nodeLoad, len(t.w.Nodes))
	all, capacity := 0.0, 0.0
	for i := range t.all {
		var space [maxHops]int
		for _, n := range t.all[i].hops(&space) {
			nodes[n].load++
			all++
		}
	}
	for _, n := range t.w.Nodes {
		capacity += float64(n.Capacity)
	}
	for i := range nodes {
		nodes[i].load /= all
		nodes[i].capacity = float64(t.w.Nodes[i].Capacity) / capacity
	}
	return nodes
}

// top sums over the first part of the nodes, one at least.
func top(nodes []nodeLoad, part float64) (load, capacity float64) {
	for _, n := range nodes[:max(1, int(part*float64(len(nodes))))] {
		load += n.load
		capacity += n.capacity
	}
	return load, capacity
}

// gini is the Gini coefficient of sorted values.
func gini(sorted []float64) float64 {
	sum, weighted := 0.0, 0.0
	for i, v := range sorted {
		sum += v
		weighted += float64(i+1) * v
	}
	n := float64(len(sorted))
	if sum == 0 {
		return 0
	}
	return 2*weighted/(n*sum) - (n+1)/n
}

// lorenz returns the Lorenz curve of load over capacity, for nodes sorted by use,
// and its Gini coefficient.
func lorenz(nodes []nodeLoad) (curve []float64, gini float64) {
	area, capacity, load := 0.0, 0.0, 0.0
	for _, n := range nodes {
		for len(curve) <= 100 && float64(len(curve))/100 <= capacity+n.capacity {
			part := (float64(len(curve))/100 - capacity) / n.capacity
			curve = append(curve, load+part*n.load)
		}
		area += n.capacity * (load + n.load/2)
		capacity += n.capacity
		load += n.load
	}
	for len(curve) <= 100 { // rounding
		curve = append(curve, 1)
	}
	return curve, 1 - 2*area
}
