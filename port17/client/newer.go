package client

import (
	"errors"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
)

// maxAhead is how far a node's clock may be ahead, as for authorities. Keys from
// later would outlast all that come with maps.
const maxAhead = 10 * time.Minute

// A told is who learned something of a node, and of which. A node could send
// everybody another prekey, and know by it who comes again. So what one group
// of connections has learned, no other one uses.
type told struct {
	group group
	node  netmap.NodeID
}

// learn takes keys that a node has sent because its prekeys are not those of the
// map: it has restarted. It says whether the keys are the node's, newer than
// those that were used, and of the same descriptor.
func (c *Client) learn(g group, used netmap.Node, signed []byte) bool {
	k, err := netmap.OpenKeys(signed)
	if err != nil || k.ID != used.ID || k.Binding != used.Binding() || !newer(k, used.Keys) {
		return false
	}
	now := time.Now()
	used.Keys = k
	if _, err := used.RecipientBy(now, c.policies); err != nil || k.Published.After(now.Add(maxAhead)) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.newer) >= maxGroups {
		clear(c.newer)
	}
	c.newer[told{g, k.ID}] = k
	return true
}

// newer says whether the keys are newer than others, which may not be known.
func newer(k, than *netmap.Keys) bool { return than == nil || k.Published.After(than.Published) }

// newest returns the node with the prekeys that it has sent since the map, as
// long as they can be used.
func (c *Client) newest(g group, n netmap.Node) netmap.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.newer[told{g, n.ID}]
	if k == nil || !newer(k, n.Keys) {
		return n
	}
	known := n
	n.Keys = k
	if _, err := n.RecipientBy(time.Now(), c.policies); err != nil {
		delete(c.newer, told{g, n.ID})
		return known
	}
	return n
}

// forgetOlderLocked drops what the map knows by now, or no longer has.
func (c *Client) forgetOlderLocked(m *netmap.Map) {
	for t, k := range c.newer {
		if n, ok := m.Node(t.node); !ok || k.Binding != n.Binding() || !newer(k, n.Keys) {
			delete(c.newer, t)
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
	if retry == nil {
		return false
	}
	s.client.mu.Lock()
	g := s.group
	s.client.mu.Unlock()
	return s.client.learn(g, s.hops[ended.Hop].Node, retry.Descriptor)
}
