package node

import (
	"sync/atomic"

	"safing/port17/cell"
)

// Ended says how many circuits, streams and links have ended at a node, by
// reason. The reason 0 stands for all that this node does not know, as the
// other side of a stream or a circuit may give any.
type Ended struct {
	// Circuits that were created at the node, those that it refused too.
	Circuits map[cell.Reason]uint64
	// Streams that origins have opened at the exit. Those that end with their
	// circuit have its reason.
	Streams map[cell.Reason]uint64
	// Links from and to others, and connections that never became a link.
	Links map[cell.Reason]uint64
}

// Ended returns what the node has counted since it started.
func (n *Node) Ended() Ended {
	return Ended{Circuits: n.ended.circuits.all(), Streams: n.exit.ended.all(), Links: n.ended.links.all()}
}

type ended struct{ circuits, links endings }

// endings counts by reason. Its zero value is ready.
type endings [1 << 8]atomic.Uint64

func (e *endings) add(r cell.Reason) {
	if !r.Known() {
		r = 0
	}
	e[r].Add(1)
}

func (e *endings) all() map[cell.Reason]uint64 {
	all := make(map[cell.Reason]uint64)
	for r := range e {
		if n := e[r].Load(); n > 0 {
			all[cell.Reason(r)] = n
		}
	}
	return all
}
