package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"safing/netmap"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/port17/route"
)

const (
	// An exit is left for one from which the answer comes so much sooner, and by
	// a part of the time.
	worthLeaving     = 50 * time.Millisecond
	worthLeavingPart = 4
	// triedExits is how many exits are tried for being near to a place: a
	// destination that is slow seems to be far from each.
	triedExits = 3
)

// A way is the hops of a circuit, and what the links between them cross.
type way struct {
	hops    []circuit.Hop
	crossed []*netmap.Crossed
	// expected is how long it takes to the exit and back, as far as the map and
	// the link to the entry say.
	expected time.Duration
}

// plan returns the way of a new circuit for the group.
func (c *Client) plan(ctx context.Context, f *route.Finder, r route.Request, g group) (way, error) {
	r.Exclude, r.EntryRTT, r.Suites = c.failures.now(), c.entries.rtt(), c.suites()
	found, err := c.enterBy(f, r, g)
	if err != nil {
		return way{}, err
	}
	w := way{hops: make([]circuit.Hop, len(found.Nodes)), crossed: found.Crossed, expected: found.Parts.Entry + found.Parts.Links + found.Parts.Load}
	now := time.Now()
	for i, n := range found.Nodes {
		n = c.newest(g, n)
		to, err := n.RecipientBy(now, c.policies)
		if err != nil {
			return way{}, err
		}
		w.hops[i] = circuit.Hop{Node: n, Recipient: to}
	}
	return w, context.Cause(ctx)
}

// enterBy finds a route from the first entries, or from more of them if none
// leads from these. No entry is drawn for what no route can do.
func (c *Client) enterBy(f *route.Finder, r route.Request, g group) (found route.Route, err error) {
	for most := wantEntries; most <= maxEntries; most++ {
		before := len(r.Entries)
		r.Entries = c.sample.entries(f, r.Exclude, most)
		if most > wantEntries && len(r.Entries) <= before {
			break // there are no more
		}
		if found, err = c.stable(f, r, g); !errors.Is(err, route.ErrNoRoute) {
			return found, err
		}
		if most == wantEntries {
			anywhere := r
			anywhere.Entries = nil
			if _, err := f.Find(anywhere); err != nil {
				return found, err
			}
		}
	}
	return found, err
}

// stable prefers the exit that the group has used last, so that destinations
// see few, unless it is far from this one.
func (c *Client) stable(f *route.Finder, r route.Request, g group) (route.Route, error) {
	with, ok := c.withLastExit(r, g)
	if !ok {
		return f.Find(r)
	}
	kept, err := f.Find(with)
	if err != nil {
		return f.Find(r)
	}
	if elsewhere, ok := mayLeave(r); ok {
		if other, err := f.Find(elsewhere); err == nil && muchNearer(other, kept) {
			return other, nil
		}
	}
	return kept, nil
}

// mayLeave is the request for an exit that would be nearer than the last one. It
// returns false if that does not matter, or nothing is known of it.
func mayLeave(r route.Request) (route.Request, bool) {
	if r.Level == route.Extreme || r.Country == "" && len(r.ExitRTT) == 0 {
		return r, false
	}
	if len(r.ExitRTT) < triedExits {
		return r, true
	}
	var tried []netmap.NodeID
	for id := range r.ExitRTT {
		if len(r.Exits) == 0 || slices.Contains(r.Exits, id) {
			tried = append(tried, id)
		}
	}
	r.Exits = tried
	return r, len(tried) > 0
}

func muchNearer(other, kept route.Route) bool {
	return kept.Cost-other.Cost > max(worthLeaving, other.Cost/worthLeavingPart)
}

// withLastExit is the request for the exit that the group has used last, if that
// may be used.
func (c *Client) withLastExit(r route.Request, g group) (route.Request, bool) {
	c.mu.Lock()
	exit, ok := c.exits[g]
	c.mu.Unlock()
	if !ok || !r.AllowsExit(exit) {
		return r, false
	}
	r.Exits = []netmap.NodeID{exit.ID}
	return r, true
}

// path plans a circuit and returns it with the link to its entry. An entry
// that does not answer is left out for a while.
func (c *Client) path(ctx context.Context, r route.Request, g group) (*link.Link, way, error) {
	var last error
	for range maxAttempts {
		f, err := c.usable()
		if err != nil {
			return nil, way{}, err
		}
		w, err := c.plan(ctx, f, r, g)
		if err != nil {
			return nil, way{}, errors.Join(err, last)
		}
		l, err := c.entries.link(ctx, w.hops[0].Node)
		if err == nil {
			return l, w, nil
		}
		if ctx.Err() != nil || errors.Is(err, ErrClosed) {
			return nil, way{}, err
		}
		c.failures.add(w.hops[0].Node.ID)
		last = err
	}
	return nil, way{}, last
}
