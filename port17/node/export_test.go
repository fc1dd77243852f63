package node

import (
	"slices"
	"time"

	"safing/netmap"
	"safing/port17/link"
)

// FillMemory makes the node believe that all the cells it may have are in use.
func (n *Node) FillMemory() {
	for n.pool.Used() <= n.maxCells {
		n.pool.Get()
	}
}

// LimitConnections sets how many connections the exit makes at once.
func (n *Node) LimitConnections(limit int) { n.exit.slots.limit = limit }

// LimitCircuits sets how many circuits the node has at once.
func (n *Node) LimitCircuits(limit int) {
	n.circuits.mu.Lock()
	defer n.circuits.mu.Unlock()
	n.circuits.limit = limit
}

// LimitAssociations sets how many associations the exit serves at once.
func (n *Node) LimitAssociations(limit int) { n.exit.associations.limit = limit }

// SetIdle sets after what time without datagrams associations end, and those
// end that went to resolvers alone.
func (n *Node) SetIdle(idle, dns time.Duration) { n.exit.idle, n.exit.idleDNS = idle, dns }

// Padding returns how many cells of padding the node has promised for a second.
func (n *Node) Padding() int { return n.padding.taken() }

// CellsUsed returns how many cells the node uses.
func (n *Node) CellsUsed() int { return int(n.pool.Used()) }

// LinksTo returns the links on which circuits are extended to a node.
func (n *Node) LinksTo(id netmap.NodeID) []*link.Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.neighbours[id])
}
