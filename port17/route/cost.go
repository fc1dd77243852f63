package route

import (
	"slices"
	"time"

	"safing/netmap"
)

// A cost is a time in microseconds. Each part is at most mostCost, so that the
// sum of a route's does not overflow.
type cost int32

const (
	mostCost  cost = 10_000_000
	never     cost = 1 << 30 // of what does not lead anywhere
	leastLink cost = 1000    // whoever claims less gains nothing

	unknownRTT = 50 * time.Millisecond // to an entry that was not measured

	// A network that sees a route at two places can tell that it is one. So a
	// second node in it costs this much more, and a link that crosses it again.
	sameNetwork  cost = 10_000
	crossedAgain cost = 3000

	// What is on its way through a node waits for one burst of this many bytes
	// on the average.
	burst           = 16 << 10
	unknownCapacity = 8 << 20 // bytes a second, of a node that nobody has measured
	// Who claims more than a gigabit gets no more circuits for it.
	mostCapacity  = 125 << 20
	leastCapacity = 16 << 10
	// A queue grows with load/(1-load) (M/M/1); this is the factor, and loads
	// above 95 % are taken for that.
	queueing = 2 * time.Millisecond
	mostLoad = 95
)

func costOf(d time.Duration) cost {
	return cost(min(max(d.Microseconds(), 0), int64(mostCost)))
}

func (c cost) duration() time.Duration { return time.Duration(c) * time.Microsecond }

// linkCost is what passing the link costs, in both directions.
func linkCost(e *netmap.Edge) cost { return max(costOf(e.RTT), leastLink) }

// freeCapacity is how many bytes a second the node could carry more.
func freeCapacity(measured, declared uint64, load int) uint64 {
	if measured == 0 {
		measured = unknownCapacity
		if declared > 0 {
			measured = min(declared, measured)
		}
	}
	measured = min(measured, mostCapacity)
	return max(measured*uint64(100-min(max(load, 0), mostLoad))/100, leastCapacity)
}

// loadCost is how long what passes a node twice, there and back, waits in it.
func loadCost(free uint64, load int) cost {
	load = min(max(load, 0), mostLoad)
	queue := queueing * time.Duration(load) / time.Duration(100-load)
	return costOf(queue + time.Duration(burst)*time.Second/time.Duration(free))
}

// repeats is what it costs that networks are on the route twice, if the path,
// which begins with the exit, is longer by the step.
func (f *Finder) repeats(path []step, next step) (c cost) {
	last := path[len(path)-1].node
	asn := f.places[next.node].asn
	for i, s := range path {
		if asn != 0 && asn == f.places[s.node].asn {
			c += sameNetwork
		}
		if s.edge != nil { // the link between s and the node behind it, i-1
			if asn != 0 && f.passes(s.edge, asn, s.node, path[i-1].node) {
				c += crossedAgain
			}
			c += f.shared(next, last, s, path[i-1].node)
		}
		if i < len(path)-1 && f.passes(next.edge, f.places[s.node].asn, next.node, last) {
			c += crossedAgain
		}
	}
	return c
}

// passes says whether the link between the nodes crosses a network that is
// neither's.
func (f *Finder) passes(e *netmap.Edge, asn uint32, a, b int32) bool {
	return asn != 0 && asn != f.places[a].asn && asn != f.places[b].asn && slices.Contains(e.ASNs, asn)
}

// shared is what it costs that two links cross the same networks, apart from
// those in which they end. The links lead from the nodes of the steps.
func (f *Finder) shared(a step, aTo int32, b step, bTo int32) (c cost) {
	for i, k := 0, 0; i < len(a.edge.ASNs) && k < len(b.edge.ASNs); { // both are ascending
		switch x, y := a.edge.ASNs[i], b.edge.ASNs[k]; {
		case x < y:
			i++
		case x > y:
			k++
		default:
			if x != f.places[a.node].asn && x != f.places[aTo].asn && x != f.places[b.node].asn && x != f.places[bTo].asn {
				c += crossedAgain
			}
			i, k = i+1, k+1
		}
	}
	return c
}
