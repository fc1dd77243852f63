package client

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"safing/netmap"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/port17/route"
)

const (
	sweepEvery  = 30 * time.Second
	maxGroupsAt = 512 // that have circuits, until those unused the longest are closed
	maxAttempts = 4   // routes that are tried until an entry answers
)

// ErrClosed means that the client was closed.
var ErrClosed = errors.New("the client is closed")

// shared returns a circuit for the need: one of the group's, one that was built
// ahead, or one that is built with the connection's first bytes.
func (c *Client) shared(ctx context.Context, n need) (*shared, error) {
	if err := c.checkCanaries(); err != nil {
		return nil, err
	}
	if s := c.reuse(n); s != nil {
		return s, nil
	}
	l, w, err := c.path(ctx, n.request, n.group)
	if err != nil {
		return nil, err
	}
	return c.enter(n, c.newShared(n.group, n.request, l, w))
}

func (c *Client) newShared(g group, r route.Request, l *link.Link, w way) *shared {
	now := time.Now()
	return &shared{client: c, group: g, request: r, link: l, hops: w.hops, crossed: w.crossed, expected: w.expected, guarded: g.level >= route.High, cover: g.cover, made: now, idle: now}
}

// reuse returns a circuit that does what is needed, and counts the connection.
func (c *Client) reuse(n need) *shared {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reuseLocked(n)
}

func (c *Client) reuseLocked(n need) *shared {
	for _, s := range c.circuits[n.group] {
		if s.suitsLocked(n) && s.use() {
			s.request = n.request
			if !s.lasts() {
				c.wakePreparer()
			}
			return s
		}
	}
	s := c.takeLocked(n)
	if s != nil {
		c.addLocked(n, s)
	}
	return s
}

// enter adds a planned circuit, unless somebody was faster.
func (c *Client) enter(n need, s *shared) (*shared, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	if other := c.reuseLocked(n); other != nil {
		return other, nil
	}
	c.addLocked(n, s)
	s.use()
	return s, nil
}

// addLocked makes the circuit the group's.
func (c *Client) addLocked(n need, s *shared) {
	s.group, s.request = n.group, n.request
	c.circuits[n.group] = append(c.circuits[n.group], s)
	if len(c.circuits) > maxGroupsAt {
		select {
		case c.crowded <- struct{}{}:
		default:
		}
	}
	if len(c.exits) >= maxGroups {
		clear(c.exits)
	}
	c.exits[n.group] = s.exit()
	if n.group.cover == (circuit.Dialer{}) && !n.group.directory { // padding for nobody is dear
		c.ahead.note(kindOf(n.request))
	}
	c.wakePreparer()
}

// allLocked returns all circuits, those built ahead too.
func (c *Client) allLocked() []*shared {
	all := slices.Concat(slices.Collect(maps.Values(c.circuits))...)
	return append(all, c.ahead.built...)
}

func (c *Client) remove(s *shared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	same := func(o *shared) bool { return o == s }
	c.ahead.built = slices.DeleteFunc(c.ahead.built, same)
	list := slices.DeleteFunc(c.circuits[s.group], same)
	if len(list) == 0 {
		delete(c.circuits, s.group)
		return
	}
	c.circuits[s.group] = list
}

// leaves says whether a node of the circuit is not on the map any more, such as
// one that drains.
func (c *Client) leaves(s *shared, m *netmap.Map) bool {
	return slices.ContainsFunc(s.hops, func(h circuit.Hop) bool {
		n, ok := m.Node(h.Node.ID)
		return !ok || n.Closed || c.policies.Check(h.Recipient.Prekey.Suite) != nil
	})
}

// sweep closes circuits that nobody uses any more. When there are many, as a
// program that isolates each of its connections makes them, it leaves few of
// those that nobody uses at the moment.
func (c *Client) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.crowded:
		}
		c.mu.Lock()
		over := slices.DeleteFunc(c.allLocked(), func(s *shared) bool { return !s.over(idleFor) })
		c.mu.Unlock()
		c.closeAll(over)
		c.mu.Lock()
		unused := c.excessLocked()
		c.mu.Unlock()
		c.closeAll(unused)
		c.wakePreparer()
	}
}

func (c *Client) closeAll(over []*shared) {
	for _, s := range over {
		c.remove(s)
		s.close()
	}
}

// excessLocked returns what to close when too many groups have circuits: those
// that have not been used for longest, of which nobody uses.
func (c *Client) excessLocked() (unused []*shared) {
	if len(c.circuits) <= maxGroupsAt {
		return nil
	}
	all := slices.Concat(slices.Collect(maps.Values(c.circuits))...)
	slices.SortFunc(all, func(a, b *shared) int { return a.lastAsked().Compare(b.lastAsked()) })
	for _, s := range all {
		if len(unused) < len(c.circuits)-maxGroupsAt*3/4 && s.over(0) {
			unused = append(unused, s)
		}
	}
	return unused
}
