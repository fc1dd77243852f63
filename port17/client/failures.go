package client

import (
	"sync"
	"time"

	"safing/netmap"
)

const (
	leastPenalty = 5 * time.Second
	mostPenalty  = 10 * time.Minute
)

// failures remembers which nodes have failed, and for how long to leave them
// out: each time twice as long as the last, until a circuit through the node
// was built.
type failures struct {
	mu    sync.Mutex
	nodes map[netmap.NodeID]failure
}

type failure struct {
	until time.Time
	last  time.Duration
}

func newFailures() *failures { return &failures{nodes: make(map[netmap.NodeID]failure)} }

func (f *failures) add(id netmap.NodeID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := f.nodes[id]
	if time.Now().Before(last.until) {
		return // it is left out already; this was the same event
	}
	penalty := min(max(2*last.last, leastPenalty), mostPenalty)
	f.nodes[id] = failure{until: time.Now().Add(penalty), last: penalty}
}

func (f *failures) clear(id netmap.NodeID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Now().After(f.nodes[id].until) {
		delete(f.nodes, id)
	}
}

// now returns the nodes to leave out.
func (f *failures) now() map[netmap.NodeID]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	out := make(map[netmap.NodeID]bool, len(f.nodes))
	for id, n := range f.nodes {
		switch {
		case now.Before(n.until):
			out[id] = true
		case now.Sub(n.until) > mostPenalty:
			delete(f.nodes, id)
		}
	}
	return out
}
