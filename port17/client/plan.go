package client

import (
	"context"
	"errors"
	"time"

	"safing/netmap"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/port17/route"
)

// A way is the hops of a circuit, and what the links between them cross.
type way struct {
	hops    []circuit.Hop
	crossed []*netmap.Crossed
}

// plan returns the way of a new circuit for the group.
func (c *Client) plan(ctx context.Context, f *route.Finder, r route.Request, g group) (way, error) {
	r.Exclude, r.EntryRTT = c.failures.now(), c.entries.rtt()
	found, err := c.enterBy(f, r, g)
	if err != nil {
		return way{}, err
	}
	w := way{hops: make([]circuit.Hop, len(found.Nodes)), crossed: found.Crossed}
	now := time.Now()
	for i, n := range found.Nodes {
		n = c.newest(g, n)
		to, err := n.Recipient(now)
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

// stable prefers the exit that the group has used last.
func (c *Client) stable(f *route.Finder, r route.Request, g group) (route.Route, error) {
	if with, ok := c.withLastExit(r, g); ok {
		if found, err := f.Find(with); err == nil {
			return found, nil
		}
	}
	return f.Find(r)
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
