package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sort"
	"time"

	"safing/netmap"
)

// An AS is a network of the Internet.
type AS struct {
	Number  uint32
	Name    string
	Country string // of who runs it
	Cities  []int  // in which it is
	Access  bool   // its customers are people at home, not servers
	Weight  float64
	// Transit are the networks that carry its packets to others: indexes of
	// transits.
	Transit []int

	block netip.Prefix // the /16 that is being filled
	used  int          // addresses of it
	size  int          // after how many it takes another
}

// transits are how many networks carry the packets between others. Each belongs
// to one country.
const transits = 12

var transitCountries = [transits]string{"US", "US", "US", "US", "SE", "IT", "JP", "IN", "FR", "DE", "ES", "HK"}

const (
	hostsOfCity  = 6 // networks that host in each city,
	greatHosts   = 8 // besides those that are in many cities
	accessOfCity = 4 // networks that people are customers of
)

// makeASes makes networks: a few great ones that host in many cities, and some
// for each city. Within a city their sizes go down as 1/k.
func (w *World) makeASes(r *rand.Rand) {
	for i := range greatHosts {
		as := w.newAS(r, fmt.Sprintf("host%d", i), 8/float64(i+1))
		for c, city := range w.Cities {
			if city.Nodes+city.Sites >= 20 && r.Float64() < 0.5 {
				as.Cities = append(as.Cities, c)
			}
		}
		if len(as.Cities) > 0 {
			as.Country = w.Cities[as.Cities[r.IntN(len(as.Cities))]].Country
			w.ASes = append(w.ASes, as)
		}
	}
	for c, city := range w.Cities {
		for i := range hostsOfCity + accessOfCity {
			as := w.newAS(r, fmt.Sprintf("%s%d", city.Name, i), 1/float64(i+1))
			if as.Access = i >= hostsOfCity; as.Access {
				as.Weight = 1 / float64(i-hostsOfCity+1)
			}
			as.Country, as.Cities = city.Country, []int{c}
			w.ASes = append(w.ASes, as)
		}
	}
	for i := range w.ASes {
		w.ASes[i].Number = uint32(1000 + i)
	}
}

// newAS buys transit from one to three networks, the first of which are the
// greatest.
func (w *World) newAS(r *rand.Rand, name string, weight float64) AS {
	as := AS{Name: name, Weight: weight, size: 4 + r.IntN(12)}
	great := newDrawer(transits, func(i int) float64 { return 1 / float64(i+1) })
	for range 1 + r.IntN(3) {
		if t := great.draw(r); !slices.Contains(as.Transit, t) {
			as.Transit = append(as.Transit, t)
		}
	}
	return as
}

// drawAS draws one of the networks in a city.
func (w *World) drawAS(r *rand.Rand, city int, access bool) int {
	return newDrawer(len(w.ASes), func(i int) float64 {
		if as := &w.ASes[i]; as.Access == access && slices.Contains(as.Cities, city) {
			return as.Weight
		}
		return 0
	}).draw(r)
}

// transit returns the transit networks between two others: none within one,
// one that both buy from, or one of each.
func (w *World) transit(a, b int) []int {
	if a == b {
		return nil
	}
	for _, t := range w.ASes[a].Transit {
		if slices.Contains(w.ASes[b].Transit, t) {
			return []int{t}
		}
	}
	return []int{w.ASes[a].Transit[0], w.ASes[b].Transit[0]}
}

// blocks hands out /16 of the public Internet.
type blocks struct{ free []netip.Prefix }

func newBlocks(r *rand.Rand) *blocks {
	b := new(blocks)
	for i := 1; i < 224; i++ {
		for j := range 256 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(i), byte(j), 0, 0}), 16)
			if netmap.IsPublic(p.Addr()) && netmap.IsPublic(netip.AddrFrom4([4]byte{byte(i), byte(j), 255, 255})) && i != 198 && i != 203 {
				b.free = append(b.free, p)
			}
		}
	}
	r.Shuffle(len(b.free), func(i, j int) { b.free[i], b.free[j] = b.free[j], b.free[i] })
	return b
}

// next hands out an address of the network. It takes another /16 after some, so
// that great networks have many.
func (a *AS) next(b *blocks) netip.Addr {
	if !a.block.IsValid() || a.used%a.size == 0 && len(b.free) > 0 {
		a.block, b.free = b.free[len(b.free)-1], b.free[:len(b.free)-1]
	}
	a.used++
	bytes := a.block.Addr().As4()
	bytes[2], bytes[3] = byte(a.used/200), byte(1+a.used%200)
	return netip.AddrFrom4(bytes)
}

const (
	earthRadius = 6371.0 // kilometres
	inFibre     = 200.0  // kilometres that light goes in a millisecond
	leastWay    = 0.3    // milliseconds of a round trip within a city
)

// measure fills in how far the cities are from each other, in kilometres.
func (w *World) measure() {
	w.distances = make([][]float64, len(w.Cities))
	for i, a := range w.Cities {
		w.distances[i] = make([]float64, len(w.Cities))
		for j, b := range w.Cities {
			w.distances[i][j] = distance(a, b)
		}
	}
}

// distance is that on the globe's surface.
func distance(a, b City) float64 {
	rad := math.Pi / 180
	u, v := math.Sin((b.Lat-a.Lat)*rad/2), math.Sin((b.Long-a.Long)*rad/2)
	h := u*u + math.Cos(a.Lat*rad)*math.Cos(b.Lat*rad)*v*v
	return 2 * earthRadius * math.Asin(math.Sqrt(min(1, h)))
}

// RTT is the round trip between two places: light in fibre on a way that is 1.5
// to 2 times as long as the straight one, and both access lines. Between the
// same two cities the way is the same, give or take a tenth that depends on the
// networks. So it is no metric, as on the Internet: a detour may be faster.
func (w *World) RTT(a, b Site) time.Duration {
	way := 2 * w.distances[a.City][b.City] / inFibre * w.stretch(a, b)
	return time.Duration(max(way, leastWay)*float64(time.Millisecond)) + a.Access + b.Access
}

func (w *World) stretch(a, b Site) float64 {
	return (1.5 + 0.5*w.chance(a.City, b.City)) * (0.95 + 0.1*w.chance(1000+a.AS, 1000+b.AS))
}

// chance is a number from 0 to 1 that belongs to two others, in any order.
func (w *World) chance(a, b int) float64 {
	h := w.Seed*0x9e3779b97f4a7c15 + uint64(min(a, b))<<32 + uint64(max(a, b))
	for range 2 { // the finalizer of SplitMix64
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return float64(h>>11) / (1 << 53)
}

// ToDestination is the round trip between a place and a destination, and how
// many kilometres lie between.
func (w *World) ToDestination(from Site, d *Destination) (time.Duration, float64) {
	if !d.Anycast {
		return w.RTT(from, d.Site), w.distances[from.City][d.City]
	}
	near := w.caches[0]
	for _, c := range w.caches {
		if w.distances[from.City][c] < w.distances[from.City][near] {
			near = c
		}
	}
	at := d.Site
	at.City = near
	return w.RTT(from, at), w.distances[from.City][near]
}

// A drawer draws indexes, each as often as its weight says.
type drawer struct{ sums []float64 }

func newDrawer(n int, weight func(i int) float64) *drawer {
	d := &drawer{sums: make([]float64, n)}
	sum := 0.0
	for i := range n {
		sum += max(0, weight(i))
		d.sums[i] = sum
	}
	return d
}

// draw returns an index, or the last one if all weights are 0.
func (d *drawer) draw(r *rand.Rand) int {
	x := r.Float64() * d.sums[len(d.sums)-1]
	return min(sort.Search(len(d.sums), func(i int) bool { return d.sums[i] > x }), len(d.sums)-1)
}

// weight is that of an index.
func (d *drawer) weight(i int) float64 {
	if i == 0 {
		return d.sums[0]
	}
	return d.sums[i] - d.sums[i-1]
}
