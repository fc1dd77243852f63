package node

import (
	"time"

	"golang.org/x/time/rate"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link"
)

// Stats are what a node counts, for its operator. Nothing in it is about one
// user or one destination.
type Stats struct {
	Neighbours int // nodes to which there is a link
	Links      map[LinkKind]int
	RoundTrips []time.Duration
	Traffic    link.Traffic // of all links since the node started

	Circuits          int
	Handshakes        uint64 // of circuits, since the node started
	HandshakesWaiting int
	CellsUsed         int // in queues, and not yet read
	CellsMost         int

	Connections  int // of the exit, and sockets for datagrams
	Associations int
	Lookups      Lookups
	Drops        Drops
	Ended        Ended

	// Refusing says why circuits are refused; 0: they are not.
	Refusing cell.Reason
	// Volume is how many bytes were moved this month, if MonthlyVolume limits that.
	Volume, MonthlyVolume uint64

	OnMap    bool      // the newest map has the node
	MapUntil time.Time // until when that is valid; zero if there is none
}

// A LinkKind is what links have in common.
type LinkKind struct {
	Node     bool // the other side has proved that it is one; else it is a client
	Wrapping netmap.Wrapping
}

// Stats returns what the node counts.
func (n *Node) Stats() Stats {
	s := Stats{
		Circuits: n.circuits.count(), Handshakes: n.answered.Load(), HandshakesWaiting: n.handshakes.count(),
		CellsUsed: int(n.pool.Used()), CellsMost: int(n.maxCells),
		Connections: n.exit.slots.taken(), Associations: n.exit.associations.taken(),
		Lookups: n.exit.names.all(), Drops: n.Drops(), Ended: n.Ended(),
		Refusing: n.refusal(), Volume: n.spent.Load(), MonthlyVolume: n.config.MonthlyVolume,
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Traffic = n.trafficLocked()
	s.Links = make(map[LinkKind]int)
	for l := range n.links {
		s.Links[LinkKind{Node: !l.Peer().IsZero(), Wrapping: l.Wrapping()}]++
	}
	s.Neighbours = len(n.neighbours)
	for _, links := range n.neighbours {
		if d := leastRTT(links); d > 0 {
			s.RoundTrips = append(s.RoundTrips, d)
		}
	}
	if n.m != nil {
		_, s.OnMap = n.m.Node(n.id)
		s.MapUntil = n.m.ValidUntil
	}
	return s
}

// trafficLocked is what the links have carried, those that have ended too.
func (n *Node) trafficLocked() link.Traffic {
	t := n.past
	for l := range n.links {
		t.Add(l.Traffic())
	}
	return t
}

// forget takes a link out that has ended.
func (n *Node) forget(l *link.Link) {
	n.ended.links.add(link.Reason(l.Err()))
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.links, l)
	n.past.Add(l.Traffic())
}

// moved is how many bytes went in and out since the node started, those of the
// exit's connections as the cells that they fill.
func (n *Node) moved() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.trafficLocked()
	return t.BytesSent + t.BytesReceived + n.exit.passed.Load()*cell.Size
}

// A pace limits what all links send, and what they receive. Nil limiters don't.
type pace struct{ send, receive *rate.Limiter }

// newPace returns the pace for so many bytes a second in each direction.
func newPace(perSecond, burst uint64) pace {
	if perSecond == 0 {
		return pace{}
	}
	most := int(min(max(burst, perSecond, link.MaxRecord), 1<<31-1))
	limit := rate.Limit(max(perSecond, MinRate))
	return pace{send: rate.NewLimiter(limit, most), receive: rate.NewLimiter(limit, most)}
}

// MinRate is the least that Config.Rate may be, in bytes a second: with less, a
// full record would take longer than links wait.
const MinRate = 100_000
