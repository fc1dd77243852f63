package sim

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// Tor chooses as Tor does (https://spec.torproject.org/path-spec/), on the same
// nodes. Each can reach each other. A node is a guard if it is stable and at
// least half of all have no more capacity; exits and guards are drawn by
// capacity, weighted as the directory authorities do to even out the load
// (https://spec.torproject.org/dir-spec/computing-consensus.html). No two of a
// path are of one owner or /16. A client keeps one guard. Of hostile nodes every
// other one is no exit: exits are hardly drawn as guards.
//
// What it leaves out: guards that fail, and circuits that are built ahead and
// used by several requests.
type Tor struct {
	w                    *World
	guard, exits         []bool
	guards, exit, middle *drawer
	chosen               []int // guard of each client
}

// NewTor prepares the selection.
func NewTor(w *World) *Tor {
	t := &Tor{w: w, guard: make([]bool, len(w.Nodes)), exits: make([]bool, len(w.Nodes)), chosen: make([]int, len(w.Clients))}
	var capacities []uint64
	for _, n := range w.Nodes {
		capacities = append(capacities, n.Capacity)
	}
	slices.Sort(capacities)
	median := capacities[len(capacities)/2]
	var sums classes
	for i, n := range w.Nodes {
		t.guard[i], t.exits[i] = n.Stable && n.Capacity >= median, n.Exit && !(n.Hostile && i%2 == 0)
		sums.add(t.guard[i], t.exits[i], float64(n.Capacity))
	}
	if sums.G+sums.D == 0 { // a tiny world
		sums = classes{}
		for i, n := range w.Nodes {
			t.guard[i] = true
			sums.add(true, t.exits[i], float64(n.Capacity))
		}
	}
	weights := sums.weights()
	by := func(weight func(guard, exit bool) float64) *drawer {
		return newDrawer(len(w.Nodes), func(i int) float64 {
			return float64(w.Nodes[i].Capacity) * weight(t.guard[i], t.exits[i])
		})
	}
	t.guards, t.middle, t.exit = by(weights.guard), by(weights.middle), by(weights.exit)
	return t
}

// maxDraws is how often a node is drawn until one is found that may be used.
const maxDraws = 1000

var errNoPath = errors.New("no path: too many nodes are of one owner or network")

// entries follows guard-spec: one primary guard is used. It is forgotten 120 days
// after it was sampled, which is dated back by up to a tenth of that.
func (t *Tor) entries() (count int, least, most float64) { return 1, 108, 120 }

func (t *Tor) renew(r *rand.Rand, client, _ int) (entry int) {
	t.chosen[client] = t.guards.draw(r)
	return t.chosen[client]
}

func (t *Tor) choose(r *rand.Rand, client, _ int) ([]int, error) {
	guard := t.chosen[client]
	exit, ok := t.draw(r, t.exit, guard)
	if !ok {
		return nil, errNoPath
	}
	middle, ok := t.draw(r, t.middle, guard, exit)
	if !ok {
		return nil, errNoPath
	}
	return []int{guard, middle, exit}, nil
}

func (t *Tor) draw(r *rand.Rand, from *drawer, besides ...int) (int, bool) {
	for range maxDraws {
		i := from.draw(r)
		if !slices.ContainsFunc(besides, func(j int) bool { return t.related(i, j) }) && from.weight(i) > 0 {
			return i, true
		}
	}
	return 0, false
}

// related says whether two nodes must not be on one path.
func (t *Tor) related(i, j int) bool {
	a, b := &t.w.Nodes[i], &t.w.Nodes[j]
	return i == j || a.Owner == b.Owner || netip.PrefixFrom(a.Addr, 16).Masked().Contains(b.Addr)
}

// String says what it is.
func (t *Tor) String() string { return "Tor's selection" }

// classes are the capacities of nodes that are guards only, neither guard nor
// exit, exits only, and both.
type classes struct{ G, M, E, D float64 }

func (c *classes) add(guard, exit bool, capacity float64) {
	switch {
	case guard && exit:
		c.D += capacity
	case guard:
		c.G += capacity
	case exit:
		c.E += capacity
	default:
		c.M += capacity
	}
}

// weights are by how much each class counts in each position, from 0 to 1: gd is
// that of nodes that are both (d) as guards (g).
type weights struct{ gg, gd, mg, mm, me, md, ee, ed float64 }

func (w weights) guard(guard, exit bool) float64 {
	switch {
	case guard && exit:
		return w.gd
	case guard:
		return w.gg
	}
	return 0
}

func (w weights) middle(guard, exit bool) float64 {
	switch {
	case guard && exit:
		return w.md
	case guard:
		return w.mg
	case exit:
		return w.me
	}
	return w.mm
}

func (w weights) exit(guard, exit bool) float64 {
	switch {
	case guard && exit:
		return w.ed
	case exit:
		return w.ee
	}
	return 0
}

// weights follows the cases of the specification, which are named by what is
// scarce.
func (c classes) weights() weights {
	G, M, E, D := c.G, c.M, c.E, c.D
	third := (G + M + E + D) / 3
	var w weights
	switch {
	case E >= third && G >= third: // case 1: neither
		w = weights{gd: 1. / 3, ed: 1. / 3, md: 1. / 3, ee: (E + G + M) / (3 * E), mg: (2*G - E - M) / (3 * G)}
		w.me, w.gg = 1-w.ee, 1-w.mg
	case E < third && G < third: // case 2: both
		w = c.bothScarce()
	case min(E, G)+D < third && G < E: // case 3a: guards, even with those that are both
		w = weights{gg: 1, gd: 1}
		if E >= M {
			w.me = (E - M) / (2 * E)
		}
		w.ee = 1 - w.me
	case min(E, G)+D < third:
		w = weights{ee: 1, ed: 1}
		if G >= M {
			w.mg = (G - M) / (2 * G)
		}
		w.gg = 1 - w.mg
	case G < E: // case 3b: guards
		w = weights{gg: 1, gd: (D - 2*G + E + M) / (3 * D), ee: (E + M) / (2 * E)}
		w.me, w.md, w.ed = 1-w.ee, (1-w.gd)/2, (1-w.gd)/2
	default:
		w = weights{ee: 1, ed: (D - 2*E + G + M) / (3 * D), gg: (G + M) / (2 * G)}
		w.mg, w.md, w.gd = 1-w.gg, (1-w.ed)/2, (1-w.ed)/2
	}
	w.mm = 1
	return w.within()
}

func (c classes) bothScarce() weights {
	G, M, E, D := c.G, c.M, c.E, c.D
	if min(E, G)+D < max(E, G) { // case 2a
		if E < G {
			return weights{gg: 1, ee: 1, ed: 1}
		}
		return weights{gg: 1, ee: 1, gd: 1}
	}
	w := weights{ee: (E - G + M) / E, ed: (D - 2*E + 4*G - 2*M) / (3 * D), me: (G - M) / E, gg: 1} // case 2b
	w.md, w.gd = (1-w.ed)/2, (1-w.ed)/2
	if w.valid() {
		return w
	}
	w = weights{gg: 1, ee: 1, ed: (D - 2*E + G + M) / (3 * D), md: max(0, (D-2*M+G+E)/(3*D))}
	w.gd = 1 - w.ed - w.md
	return w
}

func (w weights) valid() bool {
	for _, x := range w.all() {
		if !(x >= 0 && x <= 1) {
			return false
		}
	}
	return true
}

func (w weights) all() []float64 { return []float64{w.gg, w.gd, w.mg, w.mm, w.me, w.md, w.ee, w.ed} }

// within moves weights that rounding or an empty class put outside to the
// nearest bound.
func (w weights) within() weights {
	for _, x := range []*float64{&w.gg, &w.gd, &w.mg, &w.mm, &w.me, &w.md, &w.ee, &w.ed} {
		if !(*x >= 0) { // not a number, too
			*x = 0
		}
		*x = min(1, *x)
	}
	return w
}
