package node

import (
	"bytes"
	"context"
	"slices"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link"
	"safing/port17/mesh"
)

const (
	lookEvery   = 5 * time.Second // for links that have fallen silent, and what has drifted
	chooseEvery = time.Minute     // without news

	// silence is for how long all links to a neighbour may owe the answer to a
	// ping before it is no neighbour any more.
	silence = 10 * time.Second

	// A neighbour that is no longer wanted stays published for retireAfter, as it
	// may be wanted again. The links to it are closed closeAfter later, when
	// clients have another map and no circuits use them.
	retireAfter = 10 * time.Minute
	closeAfter  = 2 * time.Minute

	// ignoredAfter is when the other end should have published a link. If it has
	// not, it has too many, and the link is of no use.
	ignoredAfter = 30 * time.Minute

	// remember is for how long a round trip counts that was measured once.
	remember     = 24 * time.Hour
	mostMeasured = 1024
)

// prospects are what a node knows of those that are neighbours or may become
// some. Node.mu guards them.
type prospects struct {
	selection   *mesh.Selection // nil before the first map
	measured    map[netmap.NodeID]measurement
	unreachable map[netmap.NodeID]bool
	since       map[netmap.NodeID]time.Time // there are links to the neighbour
	unwanted    map[netmap.NodeID]time.Time // since when it is; of neighbours alone
	traced      map[netmap.NodeID]path
	load        float64 // percent, smoothed
}

func newProspects() prospects {
	return prospects{
		measured: make(map[netmap.NodeID]measurement), unreachable: make(map[netmap.NodeID]bool),
		since: make(map[netmap.NodeID]time.Time), unwanted: make(map[netmap.NodeID]time.Time),
		traced: make(map[netmap.NodeID]path),
	}
}

// A measurement is a round trip that this node has measured.
type measurement struct {
	rtt time.Duration
	at  time.Time
}

// rethink arranges for neighbours to be chosen again.
func (n *Node) rethink() {
	select {
	case n.thinking <- struct{}{}:
	default:
	}
}

// chooseAgain chooses neighbours when there is news, and once in a while.
func (n *Node) chooseAgain(ctx context.Context) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var world *mesh.World
	var of *netmap.Map
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.thinking:
		case <-look.C:
			if time.Since(last) < chooseEvery {
				n.touchIfOutdated()
				continue
			}
		}
		last = time.Now()
		m, view := n.view()
		if m == nil || ctx.Err() != nil {
			continue
		}
		if m != of {
			of, world = m, mesh.New(m)
		}
		s := world.Choose(view)
		n.connect(ctx, &s)
		n.touchIfOutdated()
	}
}

// view returns the map and what the node knows when it chooses on it. It
// returns no map while the node should have no neighbours.
func (n *Node) view() (*netmap.Map, mesh.View) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.usableLocked()
	if m == nil || n.refusal() == cell.ShuttingDown {
		clear(n.wanted)
		return nil, mesh.View{}
	}
	now := time.Now()
	v := mesh.View{
		Self: n.descriptor, MaxLinks: n.config.MaxLinks, Measured: make(map[netmap.NodeID]time.Duration),
		Linked: make(map[netmap.NodeID]bool), Unreachable: make(map[netmap.NodeID]bool),
	}
	for id := range n.unreachable {
		v.Unreachable[id] = true
	}
	ignored := n.ignoredLocked(m, now)
	for id, links := range n.neighbours {
		if d := leastRTT(links); d > 0 {
			n.measuredLocked(id, d, now)
		}
		if v.Linked[id] = !ignored[id]; ignored[id] {
			v.Unreachable[id] = true
		}
	}
	for id, was := range n.measured {
		if now.Sub(was.at) > remember {
			delete(n.measured, id)
			continue
		}
		v.Measured[id] = was.rtt
	}
	return m, v
}

// ignoredLocked returns the neighbours that don't publish the links to this
// node, which are then of no use: the other end has too many.
func (n *Node) ignoredLocked(m *netmap.Map, now time.Time) map[netmap.NodeID]bool {
	self, ok := m.Index(n.id)
	if !ok {
		return nil
	}
	ignored := make(map[netmap.NodeID]bool)
	for id, since := range n.since {
		if i, ok := m.Index(id); ok && now.Sub(since) > ignoredAfter {
			ignored[id] = !slices.ContainsFunc(m.Edges(self), func(e netmap.Edge) bool { return e.To == i })
		}
	}
	return ignored
}

// measuredLocked notes a round trip, in place of the oldest if there are many.
func (n *Node) measuredLocked(id netmap.NodeID, rtt time.Duration, now time.Time) {
	if _, ok := n.measured[id]; !ok && len(n.measured) >= mostMeasured {
		oldest, at := id, now
		for other, m := range n.measured {
			if m.at.Before(at) {
				oldest, at = other, m.at
			}
		}
		delete(n.measured, oldest)
	}
	n.measured[id] = measurement{rtt, now}
}

// connect sees to it that the nodes are dialled that were chosen.
func (n *Node) connect(ctx context.Context, s *mesh.Selection) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.selection = s
	clear(n.wanted)
	if n.usableLocked() == nil || n.refusal() == cell.ShuttingDown {
		return
	}
	for _, other := range s.Links {
		n.wanted[other.ID] = true
		if news, ok := n.held[other.ID]; ok {
			tell(news)
			continue
		}
		news := make(chan struct{}, 1)
		n.held[other.ID] = news
		n.running.Go(func() { n.hold(ctx, other.ID, news) })
	}
	n.retireLocked(time.Now())
}

func tell(news chan<- struct{}) {
	select {
	case news <- struct{}{}:
	default:
	}
}

// retireLocked closes links that this node has made and needs no more, once no
// circuits use them: those to neighbours that have been unwanted for a while, and
// those that both ends made at the same time.
func (n *Node) retireLocked(now time.Time) {
	for id, links := range n.neighbours {
		retired := false
		if n.wanted[id] {
			delete(n.unwanted, id)
			retired = !mesh.First(n.id, id) && slices.ContainsFunc(links, accepted)
		} else if since, ok := n.unwanted[id]; ok {
			retired = now.Sub(since) > retireAfter+closeAfter
		} else {
			n.unwanted[id] = now
		}
		for _, l := range links {
			if retired && l.Initiator() && l.Legs() == 0 {
				l.Finish()
			}
		}
	}
}

// accepted says whether the other end made the link.
func accepted(l *link.Link) bool { return !l.Initiator() }

// publishedLocked returns the neighbours to which links are to be published, in
// the order of their identities: those on the map that answer, within bounds,
// and not those that are about to be closed.
func (n *Node) publishedLocked() []netmap.NodeID {
	if n.selection == nil || n.m == nil {
		return nil
	}
	var first, others []netmap.NodeID
	was := publishedLinks(n.descriptor)
	for id, links := range n.neighbours {
		if _, ok := n.m.Index(id); !ok || n.retiredLocked(id, links) || !slices.ContainsFunc(links, answers) {
			continue
		}
		if _, ok := was[id]; ok {
			first = append(first, id)
		} else {
			others = append(others, id)
		}
	}
	byID := func(a, b netmap.NodeID) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(first, byID)
	slices.SortFunc(others, byID)
	admitted := n.selection.Admit(append(first, others...))
	slices.SortFunc(admitted, byID)
	return admitted
}

func answers(l *link.Link) bool { return l.Unanswered() <= silence }

// retiredLocked says whether the links are to be closed as soon as no circuits
// use them. The other end may want those that it has made.
func (n *Node) retiredLocked(id netmap.NodeID, links []*link.Link) bool {
	since, ok := n.unwanted[id]
	return ok && time.Since(since) > retireAfter && !slices.ContainsFunc(links, accepted)
}
