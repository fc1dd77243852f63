package sim

import (
	"math"
	"slices"
	"time"
)

// processing is what each node adds to a round trip besides the way: about what
// is measured on nodes without load (docs/benchmarks.md).
const processing = 200 * time.Microsecond

// A Spread is a distribution.
type Spread struct {
	Median float64   `json:"median"`
	P90    float64   `json:"p90"`
	P99    float64   `json:"p99"`
	Mean   float64   `json:"mean"`
	Curve  []float64 `json:"curve"` // the values below which 0, 1, … 100 % are
}

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	values = slices.Sorted(slices.Values(values))
	at := func(q float64) float64 { return values[min(len(values)-1, int(q*float64(len(values))))] }
	s := Spread{Median: at(0.5), P90: at(0.9), P99: at(0.99)}
	for i := range 101 {
		s.Curve = append(s.Curve, at(float64(i)/100))
	}
	for _, v := range values {
		s.Mean += v / float64(len(values))
	}
	return s
}

// A Latency says how fast tunnels are, in milliseconds: the round trips of
// packets alone, without load at the nodes or the time that destinations take.
type Latency struct {
	Label string `json:"label"`
	// Entry, Inside and Exit are the parts of RTT, the round trip from the client
	// to the destination.
	Entry  Spread `json:"entry"`
	Inside Spread `json:"inside"`
	Exit   Spread `json:"exit"`
	RTT    Spread `json:"rtt"`
	// First is the time until the first byte of an answer on a circuit that is
	// there, and Fresh on one that is built for the request.
	First Spread `json:"first"`
	Fresh Spread `json:"fresh"`
	// Distance is from exits to destinations in kilometres, where these are in
	// one place; Nearest is that of the nearest exit there is, and Random that
	// of any.
	Distance Spread `json:"distance"`
	Nearest  Spread `json:"nearest"`
	Random   Spread `json:"random"`
	// Routes is how many different sequences of nodes there were, and Exits how
	// many different exits.
	Routes int `json:"routes"`
	Exits  int `json:"exits"`
	// Failed is the part of requests for which there was no route. FirstChoice
	// is how many microseconds it took to choose a client's first one, and Choice
	// a further one.
	Failed      float64 `json:"failed"`
	FirstChoice float64 `json:"first_choice"`
	Choice      float64 `json:"choice"`
}

// A builder says how many round trips pass until the first byte, for a circuit
// with legs of these lengths and a destination that is so far from the exit.
type builder func(legs []time.Duration, exit time.Duration) (ready, fresh time.Duration)

// firstFlight is Port17 at the level normal: the request travels with what builds
// the circuit. Either way the exit connects, which takes a round trip, and then
// asks.
func firstFlight(legs []time.Duration, exit time.Duration) (ready, fresh time.Duration) {
	t := total(legs) + 2*exit
	return t, t
}

// held is Port17 at the higher levels: no request before the exit has answered
// the first flight.
func held(legs []time.Duration, exit time.Duration) (ready, fresh time.Duration) {
	t := total(legs) + 2*exit
	return t, total(legs) + t
}

// telescope is Tor: a round trip to each node in turn (path-spec), then BEGIN
// with the request right behind it, as Tor Browser sends it.
func telescope(legs []time.Duration, exit time.Duration) (ready, fresh time.Duration) {
	build := time.Duration(0)
	for i := range legs {
		build += total(legs[:i+1])
	}
	ready = total(legs) + 2*exit
	return ready, build + ready
}

func total(d []time.Duration) (sum time.Duration) {
	for _, one := range d {
		sum += one
	}
	return sum
}

// legs returns the round trips from client to entry and between the nodes.
func (t *Tunnels) legs(one *tunnel) []time.Duration {
	var space [maxHops]int
	legs := make([]time.Duration, 0, maxHops)
	at := t.w.Clients[one.client]
	for _, n := range one.hops(&space) {
		legs = append(legs, t.w.RTT(at, t.w.Nodes[n].Site)+processing)
		at = t.w.Nodes[n].Site
	}
	return legs
}

// Latency measures the tunnels.
func (t *Tunnels) latency(b builder) Latency {
	var entry, inside, exit, rtt, first, fresh, distances []float64
	routes, exits := make(map[[maxHops]int16]bool), make(map[int16]bool)
	for i := range t.all {
		one := &t.all[i]
		if one.count == 0 {
			continue
		}
		legs := t.legs(one)
		last := one.nodes[one.count-1]
		way, distance := t.w.ToDestination(t.w.Nodes[last].Site, &t.w.Destinations[one.destination])
		ready, built := b(legs, way)
		entry, inside = append(entry, ms(legs[0])), append(inside, ms(total(legs[1:])))
		exit, rtt = append(exit, ms(way)), append(rtt, ms(total(legs)+way))
		first, fresh = append(first, ms(ready)), append(fresh, ms(built))
		if !t.w.Destinations[one.destination].Anycast {
			distances = append(distances, distance)
		}
		routes[one.nodes], exits[last] = true, true
	}
	near, random := t.w.distancesOfExits()
	return Latency{
		Label: t.label, Entry: spread(entry), Inside: spread(inside), Exit: spread(exit), RTT: spread(rtt),
		First: spread(first), Fresh: spread(fresh), Distance: spread(distances), Nearest: near, Random: random,
		Routes: len(routes), Exits: len(exits), Failed: float64(t.Failed) / float64(len(t.all)),
		FirstChoice: float64(t.First) / float64(time.Microsecond), Choice: float64(t.Time) / float64(time.Microsecond),
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// direct is the round trip without any network between, for comparison.
func (t *Tunnels) direct() Spread {
	var rtt []float64
	for i := range t.all {
		way, _ := t.w.ToDestination(t.w.Clients[t.all[i].client], &t.w.Destinations[t.all[i].destination])
		rtt = append(rtt, ms(way))
	}
	return spread(rtt)
}

// distancesOfExits says how far exits are from destinations that are in one
// place, each as often as it is asked for: the nearest exit, and any.
func (w *World) distancesOfExits() (nearest, random Spread) {
	perCity := make([]float64, len(w.Cities)) // exits
	exits := 0.0
	for _, n := range w.Nodes {
		if n.Exit {
			perCity[n.City]++
			exits++
		}
	}
	var near, mean []float64
	for i := range w.Destinations {
		d := &w.Destinations[i]
		if d.Anycast {
			continue
		}
		least, sum := math.Inf(1), 0.0
		for c, count := range perCity {
			if count > 0 {
				least = min(least, w.distances[d.City][c])
				sum += count / exits * w.distances[d.City][c]
			}
		}
		for range max(1, int(w.popularity.weight(i)*float64(len(w.Destinations)))) {
			near, mean = append(near, least), append(mean, sum)
		}
	}
	return spread(near), spread(mean)
}
