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

// withHostile returns the world with so many nodes more. All belong to one
// adversary, who has put them where requests go, says that each is of another
// owner, and opens all as exits.
func (w *World) withHostile(count int, seed uint64) (*World, error) {
	if len(w.Nodes)+count > MaxNodes {
		return nil, fmt.Errorf("add %d nodes to %d: a world can have %d", count, len(w.Nodes), MaxNodes)
	}
	r := rand.New(rand.NewPCG(seed, 99))
	more := *w
	more.Nodes, more.ASes = slices.Clone(w.Nodes), slices.Clone(w.ASes)
	more.blocks = &blocks{free: slices.Clone(w.blocks.free)}
	where := newDrawer(len(w.Cities), func(i int) float64 { return w.Cities[i].Sites })
	owner := 0
	for _, n := range w.Nodes {
		owner = max(owner, n.Owner+1)
	}
	for range count {
		city := where.draw(r)
		more.Nodes = append(more.Nodes, Node{
			Site:  more.within(r, Site{City: city, AS: w.drawAS(r, city, false), Access: time.Millisecond}),
			Owner: owner, Capacity: hostileCapacity, Exit: true, Stable: true, Hostile: true,
		})
		owner++
	}
	more.Config.Nodes, more.joined = len(more.Nodes), new(links)
	return &more, nil
}

// hostile are the nodes that were added.
func (w *World) hostile() adversary {
	count := 0
	for _, n := range w.Nodes {
		if n.Hostile {
			count++
		}
	}
	return w.where(fmt.Sprintf("%d servers, %d EUR a year", count, Cost(count)), func(n *Node) bool { return n.Hostile })
}
