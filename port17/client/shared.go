package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/link"
	"safing/port17/route"
)

const (
	freshFor    = 10 * time.Minute // a circuit takes new connections
	idleFor     = 5 * time.Minute  // a circuit without connections is kept
	sweepEvery  = 30 * time.Second
	maxStreams  = 200 // connections on one circuit
	maxAttempts = 4   // routes that are tried until an entry answers
)

// ErrClosed means that the client was closed.
var ErrClosed = errors.New("the client is closed")

// A shared circuit is planned first, and built with the first connection that
// has something to send.
type shared struct {
	client *Client
	group  group
	link   *link.Link
	hops   []circuit.Hop
	since  time.Time
	// guarded keeps destination and data out of the first flight, which only
	// the nodes' prekeys protect.
	guarded bool

	mu      sync.Mutex
	circuit *circuit.Circuit
	err     error
	users   int       // connections that have not ended
	idle    time.Time // since when there are none
}

// plan returns the hops of a new circuit.
func (c *Client) plan(ctx context.Context, f *route.Finder, r route.Request, g group) ([]circuit.Hop, error) {
	r.Exclude, r.EntryRTT = c.failures.now(), c.entries.rtt()
	found, err := c.enterBy(f, r, g)
	if err != nil {
		return nil, err
	}
	hops := make([]circuit.Hop, len(found.Nodes))
	now := time.Now()
	for i, n := range found.Nodes {
		n = c.newest(g, n)
		to, err := n.Recipient(now)
		if err != nil {
			return nil, err
		}
		hops[i] = circuit.Hop{Node: n, Recipient: to}
	}
	return hops, context.Cause(ctx)
}

// enterBy finds a route from the first entries, or from more of them if none
// leads from these. No entry is drawn for what no route can do.
func (c *Client) enterBy(f *route.Finder, r route.Request, g group) (found route.Route, err error) {
	for most := wantEntries; most <= maxEntries; most++ {
		r.Entries = c.sample.entries(f, r.Exclude, most)
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
		if len(r.Entries) < most {
			break
		}
	}
	return found, err
}

// stable prefers the exit that the group has used last.
func (c *Client) stable(f *route.Finder, r route.Request, g group) (route.Route, error) {
	c.mu.Lock()
	exit, ok := c.exits[g]
	c.mu.Unlock()
	if ok {
		with := r
		with.Exits = []netmap.NodeID{exit}
		if found, err := f.Find(with); err == nil {
			return found, nil
		}
	}
	return f.Find(r)
}

// shared returns a circuit for the request, new or in use.
func (c *Client) shared(ctx context.Context, r Request, t cell.Target) (*shared, error) {
	g := c.group(r)
	var last error
	for range maxAttempts {
		if s := c.reuse(g, t); s != nil {
			return s, nil
		}
		f, err := c.usable()
		if err != nil {
			return nil, err
		}
		hops, err := c.plan(ctx, f, c.routeRequest(r, t), g)
		if err != nil {
			return nil, errors.Join(err, last)
		}
		l, err := c.entries.link(ctx, hops[0].Node)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, ErrClosed) {
				return nil, err
			}
			c.failures.add(hops[0].Node.ID)
			last = err
			continue
		}
		if s, err := c.enter(g, t, &shared{
			client: c, group: g, link: l, hops: hops, since: time.Now(), guarded: g.level >= route.High, idle: time.Now(),
		}); s != nil || err != nil {
			return s, err
		}
	}
	return nil, last
}

// reuse returns a circuit of the group that can take a connection to the
// target, and counts it.
func (c *Client) reuse(g group, t cell.Target) *shared {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reuseLocked(g, t)
}

func (c *Client) reuseLocked(g group, t cell.Target) *shared {
	for _, s := range c.circuits[g] {
		if s.fits(t) && s.use() {
			return s
		}
	}
	return nil
}

// enter adds a planned circuit, unless somebody was faster.
func (c *Client) enter(g group, t cell.Target, s *shared) (*shared, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	if other := c.reuseLocked(g, t); other != nil {
		return other, nil
	}
	if len(c.exits) >= maxGroups {
		clear(c.exits)
	}
	c.exits[g] = s.exit().ID
	c.circuits[g] = append(c.circuits[g], s)
	s.use()
	return s, nil
}

func (s *shared) exit() netmap.Node { return s.hops[len(s.hops)-1].Node }

// route returns the circuit's nodes, entry first.
func (s *shared) route() []HopInfo {
	hops := make([]HopInfo, len(s.hops))
	for i, h := range s.hops {
		hops[i] = hopInfo(h.Node)
	}
	return hops
}

// fits says whether the exit allows the target.
func (s *shared) fits(t cell.Target) bool {
	if t.Addr.IsValid() {
		return s.exit().Allows(t.AddrPort())
	}
	return s.exit().Exit.AllowsPort(t.Port)
}

// use counts a connection, unless the circuit takes no more.
func (s *shared) use() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.users >= maxStreams || time.Since(s.since) > freshFor || s.link.Err() != nil {
		return false
	}
	if s.circuit != nil && s.circuit.Err() != nil {
		return false
	}
	s.users++
	return true
}

func (s *shared) unuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	s.idle = time.Now()
}

// open opens a stream. The first one builds the circuit.
func (s *shared) open(t cell.Target, early []byte) (*stream.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openLocked(t, early)
}

// openPackets opens an association. Early data is the first datagram.
func (s *shared) openPackets(early []byte) (*stream.Datagrams, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to, err := s.openLocked(cell.Target{UDP: true}, early)
	if err != nil {
		return nil, err
	}
	d := stream.NewDatagrams(to)
	s.client.running.Go(d.Run)
	return d, nil
}

func (s *shared) openLocked(t cell.Target, early []byte) (*stream.Stream, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.circuit != nil {
		return s.circuit.Open(t, early)
	}
	target := &t
	if s.guarded {
		target = nil
	}
	c, first, err := circuit.Dial(s.link, s.hops, target, early, s.blame)
	if err != nil {
		s.err = err
		return nil, err
	}
	s.circuit = c
	s.client.running.Go(func() { s.watch(c) })
	if s.guarded {
		return c.Open(t, early)
	}
	return first, nil
}

// watch follows the circuit to its end.
func (s *shared) watch(c *circuit.Circuit) {
	select {
	case <-c.Built():
		for _, h := range s.hops {
			s.client.failures.clear(h.Node.ID)
		}
	case <-c.Done():
	}
	<-c.Done()
	s.client.remove(s)
}

// blame leaves the node out at which the circuit has ended. It is called before
// the connections end, so that whoever tries again gets another route.
func (s *shared) blame(err error) {
	var ended *circuit.Error
	if !errors.As(err, &ended) {
		return
	}
	if s.restarted(ended) {
		s.client.config.Log.Info("a node has restarted", "node", ended.Hop+1)
		return
	}
	at := ended.Hop
	if ended.Reason == cell.NoLink {
		at++ // the node there is not to blame for the one that it can't reach
	}
	if ended.Reason != cell.Expired || time.Since(s.since) < freshFor { // else it was time
		s.client.failures.add(s.hops[min(at, len(s.hops)-1)].Node.ID)
	}
	s.client.config.Log.Info("a circuit has ended", "node", ended.Hop+1, "reason", ended.Reason.String())
}

func (s *shared) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.circuit != nil {
		s.circuit.Close()
	}
	if s.err == nil {
		s.err = ErrClosed
	}
}

// over says whether the circuit is of no more use.
func (s *shared) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users == 0 && (s.err != nil || time.Since(s.idle) > idleFor || time.Since(s.since) > freshFor)
}

func (c *Client) remove(s *shared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for g, list := range c.circuits {
		if i := slices.Index(list, s); i >= 0 {
			if list = slices.Delete(list, i, i+1); len(list) == 0 {
				delete(c.circuits, g)
			} else {
				c.circuits[g] = list
			}
			return
		}
	}
}

// sweep closes circuits that nobody uses any more.
func (c *Client) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		var over []*shared
		for _, list := range c.circuits {
			for _, s := range list {
				if s.over() {
					over = append(over, s)
				}
			}
		}
		c.mu.Unlock()
		for _, s := range over {
			c.remove(s)
			s.close()
		}
	}
}
