package node

import (
	"container/list"
	"context"
	"sync"
	"time"

	"safing/port17/cell"
	"safing/port17/link"
)

const (
	maxCircuits = 64 << 10  // of one node
	maxAge      = time.Hour // of a circuit
)

// circuits are those of a node. Who creates them costs it memory and a number
// on the next link, and may be anybody: so they end at an age, whether they are
// used or not, and no link can have all.
//
// A link may create a circuit while it holds fewer than are free. One alone
// gets half of them, and n that take what they can get get an equal part each
// and leave as much for the next (Choudhury and Hahne, Dynamic Queue Length
// Thresholds for Shared-Memory Packet Switches, 1998).
type circuits struct {
	mu    sync.Mutex
	limit int
	byAge list.List     // of *relay, the oldest first
	empty chan struct{} // closed when there are none left; nil unless somebody waits
}

// A share is what one link has of what all share.
type share struct {
	// Guarded by circuits.mu.
	held int                // circuits of the node
	on   map[*link.Link]int // and those of them that go on over a link

	// Guarded by handshakes.mu.
	handshakes []func()

	padding int // cells a second that the node has promised; Node.padding's
}

// add enters the circuit, and says whether its link may have one more.
func (c *circuits) add(r *relay) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.share.held >= c.limit-c.byAge.Len() {
		return false
	}
	r.begun = time.Now()
	r.place = c.byAge.PushBack(r)
	r.share.held++
	return true
}

// remove takes the circuit out, if it is in.
func (c *circuits) remove(r *relay) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(r)
}

func (c *circuits) removeLocked(r *relay) {
	if r.place == nil {
		return
	}
	c.byAge.Remove(r.place)
	r.place = nil
	r.share.held--
	if r.over != nil {
		if r.share.on[r.over]--; r.share.on[r.over] == 0 {
			delete(r.share.on, r.over)
		}
	}
	if c.byAge.Len() == 0 && c.empty != nil {
		close(c.empty)
		c.empty = nil
	}
}

// extend notes that the circuit goes on over the link, if its own link may have
// one more there. That has room for fewer circuits than the node, and who fills
// it keeps others from the node behind: so it is shared likewise.
func (c *circuits) extend(r *relay, to *link.Link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.place == nil || r.share.on[to] >= to.Room() {
		return false
	}
	if r.share.on == nil {
		r.share.on = make(map[*link.Link]int)
	}
	r.share.on[to]++
	r.over = to
	return true
}

// count returns how many there are.
func (c *circuits) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byAge.Len()
}

// gone returns what is closed once there are none.
func (c *circuits) gone() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.empty == nil {
		c.empty = make(chan struct{})
	}
	empty := c.empty
	if c.byAge.Len() == 0 {
		close(c.empty)
		c.empty = nil
	}
	return empty
}

// all returns those that there are.
func (c *circuits) all() []*relay {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*relay, 0, c.byAge.Len())
	for e := c.byAge.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*relay))
	}
	return all
}

// takeExpired takes out the circuits that are too old, and returns them and when
// there can be the next one.
func (c *circuits) takeExpired(now time.Time) (expired []*relay, next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.byAge.Front(); e != nil; e = c.byAge.Front() {
		r := e.Value.(*relay)
		if due := r.begun.Add(maxAge); now.Before(due) {
			return expired, due
		}
		c.removeLocked(r)
		expired = append(expired, r)
	}
	return expired, now.Add(maxAge) // what comes later is due later
}

// expire ends circuits when they have reached their age.
func (n *Node) expire(ctx context.Context) {
	timer := time.NewTimer(maxAge)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		expired, next := n.circuits.takeExpired(time.Now())
		for _, r := range expired {
			r.end(cell.Expired, 0)
		}
		timer.Reset(time.Until(next))
	}
}
