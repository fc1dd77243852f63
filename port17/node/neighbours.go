package node

import (
	"context"
	"slices"
	"time"

	"safing/internal/backoff"
	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link"
	"safing/port17/mesh"
)

const (
	maxParallel = 8 // links to one node that circuits use: of more, the newest
	dialTimeout = 10 * time.Second

	// After a link has ended, its neighbour is dialled again after leastRedial,
	// and each time later, up to mostRedial, until a link has lasted for steady.
	leastRedial = time.Second
	mostRedial  = 5 * time.Minute
	steady      = time.Minute

	courtesy     = 2 * time.Second
	mostFailures = 3 // in a row, then another node is chosen in addition

	// doubtful is for how long a link may owe the answer to a ping: then it has
	// perhaps broken, and others are better.
	doubtful = 5 * time.Second
)

// follow keeps the map, on which neighbours are chosen.
func (n *Node) follow(ctx context.Context) {
	n.directory.Watch(ctx, func(m *netmap.Map) { //nolint:errcheck // it ends with the context
		n.publishSuites()
		n.mu.Lock()
		n.m = m
		n.mu.Unlock()
		n.rethink()
	})
}

// hold keeps links to a node for as long as they are wanted, unless the other
// side does. News are that there is another map, or no link any more.
func (n *Node) hold(ctx context.Context, id netmap.NodeID, news <-chan struct{}) {
	var tried time.Time // when what the node was dialled with last was published
	renewed, covered, waited, alive, failures := false, false, false, 0, 0
	over := make(chan time.Duration, n.config.Parallel) // how long links have lasted
	pause := backoff.Backoff{Least: leastRedial, Most: mostRedial}
	next := time.NewTimer(n.courtesy(id))
	defer next.Stop()
	defer n.reachable(id)
	for {
		select {
		case <-ctx.Done():
			return
		case lasted := <-over:
			alive--
			if lasted >= steady {
				pause.Reset()
			}
			next.Reset(pause.Next())
			continue
		case <-news:
			renewed = true
		case <-next.C: // from before the news, it may be
			renewed, waited = false, true
		}
		if alive == n.config.Parallel {
			continue // one more would wait for ever to say that it is over
		}
		to, ok := n.destination(id, alive == 0)
		if !ok && alive == 0 {
			return
		}
		if !ok {
			tried = time.Time{}
			continue
		}
		if n.covered(id) {
			covered = true
			next.Stop()
			continue
		}
		if covered { // no more: the other side has a moment to come back
			covered, tried = false, said(to)
			next.Reset(max(n.courtesy(id), leastRedial))
			continue
		}
		if renewed && (said(to).Equal(tried) || !waited && n.courtesy(id) > 0) {
			continue
		}
		tried = said(to) // if that has changed, it may be elsewhere or have other prekeys
		begun := time.Now()
		l, err := n.dial(ctx, to)
		if err != nil {
			if ctx.Err() == nil {
				n.config.Log.Info("no link to a node", "node", id.Short(), "error", err)
			}
			if failures++; failures == mostFailures {
				n.unreach(id)
			}
			next.Reset(pause.Next())
			continue
		}
		failures = 0
		n.reachable(id)
		if alive++; alive < n.config.Parallel {
			next.Reset(0)
		}
		n.running.Go(func() {
			<-l.Done()
			if ctx.Err() == nil {
				n.config.Log.Info("a link to a node has ended", "node", id.Short(), "error", l.Err())
			}
			over <- time.Since(begun)
		})
	}
}

// courtesy is how long to wait before a node is dialled that may dial this one:
// of two that want each other only one should.
func (n *Node) courtesy(id netmap.NodeID) time.Duration {
	if mesh.First(n.id, id) {
		return 0
	}
	return courtesy
}

// covered says whether the other side keeps links to this node.
func (n *Node) covered(id netmap.NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.neighbours[id], accepted)
}

// unreach has another node chosen in addition to one that can't be reached.
func (n *Node) unreach(id netmap.NodeID) {
	n.mu.Lock()
	n.unreachable[id] = true
	n.mu.Unlock()
	n.rethink()
}

// reachable takes that back.
func (n *Node) reachable(id netmap.NodeID) {
	n.mu.Lock()
	was := n.unreachable[id]
	delete(n.unreachable, id)
	n.mu.Unlock()
	if was {
		n.rethink()
	}
}

// said returns when the node has last said something of itself, or of its keys.
func said(n netmap.Node) time.Time {
	if n.Keys != nil && n.Keys.Published.After(n.Published) {
		return n.Keys.Published
	}
	return n.Published
}

// destination returns the node as the map has it, if links to it are wanted. If
// not, hold may be over.
func (n *Node) destination(id netmap.NodeID, over bool) (to netmap.Node, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.usableLocked(); m != nil && n.wanted[id] && n.refusal() != cell.ShuttingDown {
		to, ok = m.Node(id)
	}
	if !ok && over {
		delete(n.held, id)
	}
	return to, ok
}

// dial makes a link to the node, and returns once that has proved who it is:
// whoever is on the way to it can accept a connection.
func (n *Node) dial(ctx context.Context, to netmap.Node) (*link.Link, error) {
	proved := make(chan struct{})
	c := n.linkConfig(true)
	c.Authenticated = func(l *link.Link) {
		n.keep(to.ID, l)
		close(proved)
	}
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	l, err := link.Dial(dialCtx, to, c)
	if err != nil {
		n.ended.links.add(link.Reason(err))
		return nil, err
	}
	n.track(ctx, l)
	select {
	case <-proved:
		return l, nil
	case <-l.Done():
		return nil, l.Err()
	}
}

// keep uses the link for circuits to the node, which has proved its identity,
// until it ends. The link's reader calls it.
func (n *Node) keep(id netmap.NodeID, l *link.Link) {
	n.mu.Lock()
	links := append(n.neighbours[id], l)
	first := len(links) == 1
	n.neighbours[id] = links[max(0, len(links)-maxParallel):]
	if first {
		n.since[id] = time.Now()
	}
	n.mu.Unlock()
	n.running.Go(func() {
		if n.awaitRTT(l); first {
			n.touchFor(id)
		}
		<-l.Done()
		n.mu.Lock()
		left := slices.DeleteFunc(n.neighbours[id], func(o *link.Link) bool { return o == l })
		if n.neighbours[id] = left; len(left) == 0 {
			delete(n.neighbours, id)
			delete(n.since, id)
			delete(n.unwanted, id)
			if news, ok := n.held[id]; ok {
				tell(news)
			}
		}
		n.mu.Unlock()
		if len(left) == 0 {
			n.touchFor(id)
		}
	})
}

// next returns the link to a node on which a circuit is to be extended: the one
// with the fewest circuits.
func (n *Node) next(id netmap.NodeID) *link.Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.usableLocked()
	if m == nil {
		return nil
	}
	if _, ok := m.Node(id); !ok {
		return nil
	}
	return link.LeastBusy(n.neighbours[id], doubtful)
}

// usableLocked returns the newest map, if that is still valid. Whoever keeps
// newer maps from a node must not make it use nodes that were left out since.
func (n *Node) usableLocked() *netmap.Map {
	if n.m == nil || !time.Now().Before(n.m.ValidUntil) {
		return nil
	}
	return n.m
}
