package client

import (
	"errors"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
)

// maxAhead is how far a node's clock may be ahead, as for authorities. A
// descriptor from later would outlast all that come with maps.
const maxAhead = 10 * time.Minute

// learn takes a descriptor that a node has sent because its prekeys are not
// those of the map: it has restarted. It says whether the descriptor is the
// node's and newer than the one that was used.
func (c *Client) learn(used netmap.Node, signed []byte) bool {
	d, err := netmap.OpenDescriptor(signed)
	if err != nil || d.ID != used.ID || !d.Published.After(used.Published) {
		return false
	}
	now := time.Now()
	if _, err := d.Prekey(now); err != nil || d.Published.After(now.Add(maxAhead)) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newer[d.ID] = d // of a node that is on the map
	return true
}

// newest returns the node with what it has said since the map, as long as that
// can be used.
func (c *Client) newest(n netmap.Node) netmap.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.newer[n.ID]
	if d == nil || !d.Published.After(n.Published) {
		return n
	}
	if _, err := d.Prekey(time.Now()); err != nil {
		delete(c.newer, n.ID)
		return n
	}
	n.Descriptor, n.Signed = d, nil
	return n
}

// forgetOlderLocked drops what the map knows by now, or no longer has.
func (c *Client) forgetOlderLocked(m *netmap.Map) {
	for id, d := range c.newer {
		if n, ok := m.Node(id); !ok || !d.Published.After(n.Published) {
			delete(c.newer, id)
		}
	}
}

// restarted says whether the circuit has ended because a node has restarted
// since the map was made. Then the next one can be built with what the node
// has sent.
func (s *shared) restarted(ended *circuit.Error) bool {
	retry := ended.Retry
	if retry == nil && ended.Hop == 0 && ended.Reason == cell.LinkBroken {
		errors.As(s.link.Err(), &retry)
	}
	return retry != nil && s.client.learn(s.hops[ended.Hop].Node, retry.Descriptor)
}
