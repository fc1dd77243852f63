package node

// FillMemory makes the node believe that all the cells it may have are in use.
func (n *Node) FillMemory() {
	for n.pool.Used() <= maxCells {
		n.pool.Get()
	}
}

// LimitConnections sets how many connections the exit makes at once.
func (n *Node) LimitConnections(limit int) { n.exit.slots = make(chan struct{}, limit) }

// LimitCircuits sets how many circuits the node has at once.
func (n *Node) LimitCircuits(limit int) {
	n.circuits.mu.Lock()
	defer n.circuits.mu.Unlock()
	n.circuits.limit = limit
}
