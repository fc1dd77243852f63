package node

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"slices"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link"
)

const (
	publishSettle = 200 * time.Millisecond // changes within it go into one descriptor
	redialAfter   = 2 * time.Second
	dialTimeout   = 10 * time.Second
	retryPublish  = 5 * time.Second
)

// publish sends the descriptor to the authorities whenever it has changed, and
// once in every period.
func (n *Node) publish(ctx context.Context) {
	timer := time.NewTimer(n.config.Period)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.changed:
			select {
			case <-ctx.Done():
				return
			case <-time.After(publishSettle):
			}
		case <-timer.C:
		}
		next := n.config.Period
		if err := n.publishNow(ctx); err != nil && ctx.Err() == nil {
			n.config.Log.Warn("the descriptor could not be published", "error", err)
			next = min(next, retryPublish)
		}
		timer.Reset(next)
	}
}

func (n *Node) publishNow(ctx context.Context) error {
	select {
	case n.publishing <- struct{}{}: // what is older must not come later
		defer func() { <-n.publishing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	n.mu.Lock()
	d := *n.descriptor
	d.Links, d.Closed = nil, n.refusal() != 0
	for id, l := range n.neighbours {
		if n.m == nil {
			break
		}
		if _, ok := n.m.Node(id); ok {
			d.Links = append(d.Links, netmap.Link{To: id, RTT: l.RTT()})
		}
	}
	d.Prekeys, d.Published = n.keys.Public(), time.Now().UTC().Truncate(time.Second)
	slices.SortFunc(d.Links, func(a, b netmap.Link) int { return bytes.Compare(a.To[:], b.To[:]) })
	n.descriptor = &d
	n.mu.Unlock()
	signed, err := d.Sign(n.config.Identity)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.signed = signed
	n.mu.Unlock()
	return n.authority.Publish(ctx, signed)
}

// follow keeps the map and the links that it asks for.
func (n *Node) follow(ctx context.Context) {
	n.authority.Watch(ctx, func(m *netmap.Map) { //nolint:errcheck // it ends with the context
		n.mu.Lock()
		n.m = m
		n.mu.Unlock()
		n.connect(ctx)
		n.touchIfNew(m)
	})
}

// touchIfNew publishes again when a neighbour has come onto the map, because
// only links to nodes on the map are published.
func (n *Node) touchIfNew(m *netmap.Map) {
	n.mu.Lock()
	defer n.mu.Unlock()
	published := make(map[netmap.NodeID]bool)
	for _, l := range n.descriptor.Links {
		published[l.To] = true
	}
	for id := range n.neighbours {
		if _, ok := m.Node(id); ok && !published[id] {
			n.touch()
			return
		}
	}
}

// connect dials the nodes to which there should be a link.
func (n *Node) connect(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.usableLocked() == nil || ctx.Err() != nil || n.refusal() == cell.ShuttingDown {
		return
	}
	for _, other := range n.wantedLocked() {
		if n.neighbours[other.ID] == nil && !n.dialling[other.ID] {
			n.dialling[other.ID] = true
			n.running.Go(func() { n.dial(ctx, other) })
		}
	}
}

// wantedLocked returns the nodes that this one should dial: those nearest by a
// hash over both identities, so that both ends agree, and of two that want each
// other only one dials.
func (n *Node) wantedLocked() []netmap.Node {
	var wanted []netmap.Node
	for _, other := range nearest(n.m, n.id, n.config.MaxLinks) {
		if bytes.Compare(n.id[:], other.ID[:]) < 0 ||
			!slices.ContainsFunc(nearest(n.m, other.ID, n.config.MaxLinks), func(o netmap.Node) bool { return o.ID == n.id }) {
			wanted = append(wanted, other)
		}
	}
	return wanted
}

// nearest returns the count nodes nearest to the one with the identity.
func nearest(m *netmap.Map, id netmap.NodeID, count int) []netmap.Node {
	type candidate struct {
		netmap.Node
		distance [32]byte
	}
	var all []candidate
	for _, other := range m.Nodes {
		if other.ID != id {
			all = append(all, candidate{other, distance(id, other.ID)})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return bytes.Compare(a.distance[:], b.distance[:]) })
	var nodes []netmap.Node
	for _, c := range all[:min(count, len(all))] {
		nodes = append(nodes, c.Node)
	}
	return nodes
}

func distance(a, b netmap.NodeID) [32]byte {
	if cmp.Compare(string(a[:]), string(b[:])) > 0 {
		a, b = b, a
	}
	return sha256.Sum256(append(a[:], b[:]...))
}

// dial makes a link to the node, and again when it breaks.
func (n *Node) dial(ctx context.Context, to netmap.Node) {
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	l, err := link.Dial(dialCtx, to, n.linkConfig(n.config.Identity != nil))
	cancel()
	if err == nil {
		n.keep(ctx, to.ID, l)
	} else {
		n.ended.links.add(link.Reason(err))
	}
	n.mu.Lock()
	delete(n.dialling, to.ID) // not before the link is kept: there would be two
	n.mu.Unlock()
	if err == nil {
		<-l.Done()
		err = l.Err()
		n.forget(l)
	}
	if ctx.Err() != nil {
		return
	}
	n.config.Log.Info("no link to a node", "node", to.ID.Short(), "error", err)
	select {
	case <-ctx.Done():
	case <-time.After(redialAfter):
		n.connect(ctx)
	}
}

// keep uses the link for circuits to the node until it ends.
func (n *Node) keep(ctx context.Context, id netmap.NodeID, l *link.Link) {
	n.mu.Lock()
	n.neighbours[id] = l
	n.links[l] = true
	n.mu.Unlock()
	if ctx.Err() != nil {
		l.Close() // Close may not have seen it
	}
	n.running.Go(func() {
		n.awaitRTT(l)
		n.touchFor(id)
		<-l.Done()
		n.mu.Lock()
		if n.neighbours[id] == l {
			delete(n.neighbours, id)
		}
		n.mu.Unlock()
		n.touchFor(id)
	})
}

// touchFor publishes again when the neighbour is on the map. Anyone can prove
// an identity of their own, and everybody fetches what is published.
func (n *Node) touchFor(id netmap.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.m == nil {
		return
	}
	if _, ok := n.m.Node(id); ok {
		n.touch()
	}
}

// awaitRTT waits until the link was measured, for as long as a handshake takes.
func (n *Node) awaitRTT(l *link.Link) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(dialTimeout)
	for l.RTT() == 0 {
		select {
		case <-l.Done():
			return
		case <-timeout:
			return
		case <-tick.C:
		}
	}
}

func (n *Node) linkConfig(identified bool) link.Config {
	var last *relay // the link's reader owns it
	held := new(share)
	accept := func(back *link.Leg) link.Receiver {
		if last != nil {
			last.interrupt()
		}
		if reason := n.refusal(); reason != 0 {
			last = nil
			back.Close(reason, 0)
			n.ended.circuits.add(reason)
			return refused{}
		}
		if last = n.newRelay(back, held); last == nil {
			return nil
		}
		return last
	}
	c := link.Config{Accept: accept, Descriptor: n.published, Pool: &n.pool, Log: n.config.Log, SendRate: n.pace.send, ReceiveRate: n.pace.receive}
	if identified {
		c.Identity = n.config.Identity
	}
	return c
}

// accept takes links from a listener.
func (n *Node) accept(ctx context.Context, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			n.config.Log.Warn("accept a link", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond): // such as too many open files
			}
			continue
		}
		select {
		case n.clients <- struct{}{}:
			n.running.Go(func() {
				n.serve(ctx, conn)
				<-n.clients
			})
		default:
			conn.Close()
			n.ended.links.add(cell.Busy)
		}
	}
}

// serve answers one connection and waits until its link has ended.
func (n *Node) serve(ctx context.Context, conn net.Conn) {
	c := n.linkConfig(false)
	c.Authenticated = func(l *link.Link) { n.keep(ctx, l.Peer(), l) }
	unregister := context.AfterFunc(ctx, func() { conn.Close() })
	defer unregister()
	l, err := link.Accept(conn, n.keys, c)
	if err != nil {
		conn.Close()
		n.config.Log.Debug("a link was refused", "error", err)
		n.ended.links.add(link.Reason(err))
		return
	}
	n.mu.Lock()
	n.links[l] = true
	n.mu.Unlock()
	<-l.Done()
	n.forget(l)
}

// next returns the link to a node to which circuits may be extended.
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
	return n.neighbours[id]
}

// usableLocked returns the newest map, if that is still valid. Whoever keeps
// newer maps from a node must not make it use nodes that were left out since.
func (n *Node) usableLocked() *netmap.Map {
	if n.m == nil || !time.Now().Before(n.m.ValidUntil) {
		return nil
	}
	return n.m
}
