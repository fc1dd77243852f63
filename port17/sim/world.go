package sim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"safing/port17/mesh"
)

// Config says what world is made. The zero values of all but Nodes stand for
// what is written behind them.
type Config struct {
	Nodes        int     // 3 to MaxNodes
	Clients      int     // 2000
	Destinations int     // 2000
	Exits        float64 // part of nodes that are exits: 0.35
	// Anycast is the part of requests that go to sites that are everywhere, as
	// those of content delivery networks: 0.4.
	Anycast float64
	// Links is how many others a node chooses to keep links to: 16.
	Links int
	Seed  uint64
}

// MaxNodes is of how many nodes a world consists at most.
const MaxNodes = 12_000

// Defaults of a Config.
const (
	defaultClients      = 2000
	defaultDestinations = 2000
	defaultExits        = 0.35
	defaultAnycast      = 0.4
	defaultLinks        = mesh.DefaultLinks
)

// A Site is somewhere on the Internet.
type Site struct {
	City   int // index of World.Cities
	AS     int // index of World.ASes
	Addr   netip.Addr
	Access time.Duration // round trip to the provider's network
}

// A Node of the world.
type Node struct {
	Site
	Owner    int    // nodes of one owner know of each other
	Capacity uint64 // bytes a second
	Exit     bool
	// Stable nodes are there for weeks: Tor would use them as guards.
	Stable bool
	// Hostile nodes belong to an adversary who was added to the world. They are
	// of owners of their own, as far as anybody is told.
	Hostile bool
}

// A Destination is where requests go.
type Destination struct {
	Site
	// Anycast destinations are in every city in which there are many sites, and
	// answer from the nearest.
	Anycast bool
}

// A World is everything that happens outside of the network's own code: who is
// where, and how long packets take. It does not change once it is made.
type World struct {
	Config
	Cities       []City
	ASes         []AS
	Nodes        []Node
	Clients      []Site
	Destinations []Destination

	popularity *drawer // of destinations
	caches     []int   // cities in which anycast destinations are
	distances  [][]float64
	blocks     *blocks
	joined     *links
	claims     Claims // of hostile nodes
}

// New makes the world that the configuration and its seed say; the same again
// each time.
func New(c Config) (*World, error) {
	c = c.withDefaults()
	if c.Nodes < 3 || c.Nodes > MaxNodes {
		return nil, fmt.Errorf("a world of %d nodes: it can have 3 to %d", c.Nodes, MaxNodes)
	}
	if c.Clients < 1 || c.Destinations < 1 || c.Links < 2 || c.Exits < 0 || c.Exits > 1 || c.Anycast < 0 || c.Anycast > 1 {
		return nil, errors.New("a world needs a client, a destination, two links for each node, and parts between 0 and 1")
	}
	w := &World{Config: c, Cities: Cities(), joined: new(links)}
	w.measure()
	r := rand.New(rand.NewPCG(c.Seed, 17))
	w.blocks = newBlocks(r)
	w.makeASes(r)
	w.makeNodes(r)
	w.makeClients(r)
	w.makeDestinations(r)
	return w, nil
}

func (c Config) withDefaults() Config {
	if c.Clients == 0 {
		c.Clients = defaultClients
	}
	if c.Destinations == 0 {
		c.Destinations = defaultDestinations
	}
	if c.Exits == 0 {
		c.Exits = defaultExits
	}
	if c.Anycast == 0 {
		c.Anycast = defaultAnycast
	}
	if c.Links == 0 {
		c.Links = defaultLinks
	}
	return c
}

const (
	// Capacities are log-normal, about as what Tor's relays advertise: the
	// median is half of the mean.
	medianCapacity = 6e6 // bytes a second
	capacitySpread = 1.3 // standard deviation of the logarithm
	leastCapacity  = 250e3
	mostCapacity   = 125e6 // 1 Gbit/s

	// An owner has k nodes or more with probability k^-ownerTail, and no more
	// than ownerShare of all.
	ownerTail  = 1.1
	ownerShare = 0.05
	ownerASes  = 3 // over how many networks an owner spreads them at most

	stableShare = 0.8  // of nodes; the rest come and go
	atHomeShare = 0.05 // of nodes are behind access lines
)

// makeNodes makes owners one after the other, each with nodes in a few networks.
func (w *World) makeNodes(r *rand.Rand) {
	for owner := 0; len(w.Nodes) < w.Config.Nodes; owner++ {
		count := int(math.Pow(1-r.Float64(), -1/ownerTail))
		count = min(count, max(1, int(ownerShare*float64(w.Config.Nodes))), w.Config.Nodes-len(w.Nodes))
		exits := r.Float64() < w.Exits // who runs exits runs many
		var sites []Site
		for range 1 + r.IntN(ownerASes) {
			sites = append(sites, w.hosting(r, r.Float64() < atHomeShare))
		}
		for range count {
			at := sites[r.IntN(len(sites))]
			w.Nodes = append(w.Nodes, Node{
				Site: w.within(r, at), Owner: owner, Exit: exits, Stable: r.Float64() < stableShare,
				Capacity: uint64(min(mostCapacity, max(leastCapacity, medianCapacity*math.Exp(capacitySpread*r.NormFloat64())))),
			})
		}
	}
	// Owners should not be told apart by where their nodes are in the list.
	r.Shuffle(len(w.Nodes), func(i, j int) { w.Nodes[i], w.Nodes[j] = w.Nodes[j], w.Nodes[i] })
	for _, n := range w.Nodes {
		if n.Exit {
			return
		}
	}
	w.Nodes[0].Exit = true // there is no network without
}

// hosting draws where an owner has nodes: at a hosting company or at home.
func (w *World) hosting(r *rand.Rand, home bool) Site {
	city := newDrawer(len(w.Cities), func(i int) float64 { return w.Cities[i].Nodes }).draw(r)
	return Site{City: city, AS: w.drawAS(r, city, home)}
}

// within draws a place in the same city and network.
func (w *World) within(r *rand.Rand, s Site) Site {
	s.Addr = w.ASes[s.AS].next(w.blocks)
	if w.ASes[s.AS].Access {
		s.Access = accessLine(r)
	} else {
		s.Access = time.Duration((0.2 + 0.8*r.Float64()) * float64(time.Millisecond))
	}
	return s
}

// accessLine draws the round trip of a line to a home or a telephone: 12 ms is
// the median.
func accessLine(r *rand.Rand) time.Duration {
	return time.Duration(min(80, max(2, 12*math.Exp(0.6*r.NormFloat64()))) * float64(time.Millisecond))
}

func (w *World) makeClients(r *rand.Rand) {
	where := newDrawer(len(w.Cities), func(i int) float64 { return w.Cities[i].Users })
	for range w.Config.Clients {
		city := where.draw(r)
		w.Clients = append(w.Clients, w.within(r, Site{City: city, AS: w.drawAS(r, city, true)}))
	}
}

// makeDestinations makes sites. The k-th is asked for with a weight of 1/k, and
// the popular ones are as likely to be anycast as others.
func (w *World) makeDestinations(r *rand.Rand) {
	where := newDrawer(len(w.Cities), func(i int) float64 { return w.Cities[i].Sites })
	for range w.Config.Destinations {
		city := where.draw(r)
		w.Destinations = append(w.Destinations, Destination{
			Site:    w.within(r, Site{City: city, AS: w.drawAS(r, city, false)}),
			Anycast: r.Float64() < w.Anycast,
		})
	}
	w.popularity = newDrawer(len(w.Destinations), func(i int) float64 { return 1 / float64(i+1) })
	for i, c := range w.Cities {
		if c.Sites >= 5 {
			w.caches = append(w.caches, i)
		}
	}
}
