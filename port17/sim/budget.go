package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// What an adversary pays who runs nodes, in euros. A server of 30 a month has a
// line of 1 Gbit/s; somebody has to write tools, order servers under many names
// and keep them alive.
const (
	serverMonth   = 30
	hour          = 100
	hoursOnce     = 80
	hoursByServer = 1
	hostileMonths = 12

	hostileCapacity = 60e6 // bytes a second
)

// Cost is what so many servers cost for a year.
func Cost(servers int) int {
	return servers*serverMonth*hostileMonths + hour*(hoursOnce+hoursByServer*servers)
}

// Claims are what hostile nodes say of the links among themselves. Nobody else can
// measure those.
type Claims int

// Claims, the most honest first.
const (
	Truthful  Claims = iota // what they are
	Physical                // what light in fibre takes at least
	Shameless               // the least that counts
)

// String says what they claim.
func (c Claims) String() string {
	switch c {
	case Truthful:
		return "tell the truth"
	case Physical:
		return "claim what light allows"
	case Shameless:
		return "claim 1 ms"
	}
	return fmt.Sprintf("Claims(%d)", int(c))
}

// least is what a link counts at least for routes.
const least = time.Millisecond

// claimed is the round trip that both ends of a link publish.
func (w *World) claimed(i, j int) time.Duration {
	a, b := &w.Nodes[i], &w.Nodes[j]
	switch {
	case !a.Hostile || !b.Hostile || w.claims == Truthful:
		return w.RTT(a.Site, b.Site)
	case w.claims == Physical:
		return max(least, time.Duration(2*w.distances[a.City][b.City]/inFibre*float64(time.Millisecond)))
	}
	return least
}

// mostAllies is to how many others of them a hostile node says it has links,
// besides those that it chose as others do.
const mostAllies = 100

// withHostile returns the world with so many nodes more. All belong to one
// adversary, who has put them where requests go, says that each is of another
// owner, opens all as exits, and links them among themselves.
func (w *World) withHostile(count int, claims Claims, seed uint64) (*World, error) {
	if len(w.Nodes)+count > MaxNodes {
		return nil, fmt.Errorf("add %d nodes to %d: a world can have %d", count, len(w.Nodes), MaxNodes)
	}
	r := rand.New(rand.NewPCG(seed, 99))
	more := *w
	more.Nodes, more.ASes, more.claims = slices.Clone(w.Nodes), slices.Clone(w.ASes), claims
	more.blocks = &blocks{free: slices.Clone(w.blocks.free)}
	where := newDrawer(len(w.Cities), func(i int) float64 { return w.Cities[i].Sites })
	owner := 0
	for _, n := range w.Nodes {
		owner = max(owner, n.Owner+1)
	}
	for range count {
		city := where.draw(r)
		more.Nodes = append(more.Nodes, Node{
			Site:  more.within(r, Site{City: city, AS: w.drawAS(r, city, false)}),
			Owner: owner, Capacity: hostileCapacity, Exit: true, Stable: true, Hostile: true,
		})
		owner++
	}
	more.Config.Nodes, more.joined = len(more.Nodes), new(links)
	before, err := w.links()
	if err != nil {
		return nil, err
	}
	more.joined.once.Do(func() { more.joined.to, more.joined.err = more.joinMore(before) })
	return &more, more.joined.err
}

// joinMore lets nodes join that are behind those of an older world.
func (w *World) joinMore(before [][]int) ([][]int, error) {
	to, err := w.join(before, hostileRounds)
	if err != nil {
		return nil, err
	}
	for i := len(before); i < len(to); i++ {
		for j := i + 1; j < min(len(to), i+1+mostAllies/2); j++ {
			if !slices.Contains(to[i], j) {
				to[i], to[j] = append(to[i], j), append(to[j], i)
			}
		}
	}
	return to, nil
}

// hostile are the nodes that were added.
func (w *World) hostile() adversary {
	count := 0
	for _, n := range w.Nodes {
		if n.Hostile {
			count++
		}
	}
	return w.where(fmt.Sprintf("%d servers, %d EUR a year, who %s", count, Cost(count), w.claims), func(n *Node) bool { return n.Hostile })
}
