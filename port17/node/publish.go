package node

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"safing/netmap"
	"safing/port17/link"
	"safing/tinker"
)

// Every descriptor makes a new map, which everybody fetches. Changes within a
// moment go into one; and a neighbour whose links come and go does not make a
// node publish more often than once in a while, after the changes at a start.
const (
	publishSettle = 200 * time.Millisecond
	publishEvery  = 20 * time.Second
	publishBurst  = 16
	retryPublish  = 5 * time.Second
)

// publish sends the descriptor and the keys to the authorities whenever they
// have changed, and once in every period.
func (n *Node) publish(ctx context.Context) {
	timer := time.NewTimer(n.config.Period)
	defer timer.Stop()
	limit := rate.NewLimiter(rate.Every(publishEvery), publishBurst)
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.changed:
			select {
			case <-ctx.Done():
				return
			case <-time.After(publishSettle + limit.Reserve().Delay()):
			}
			if !n.outdated() { // it has changed back
				continue
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
	d, was := n.currentLocked(), n.public
	d.Published = time.Now().UTC().Truncate(time.Second)
	n.descriptor = d
	n.mu.Unlock()
	signed, err := d.Sign(n.config.Identity)
	if err != nil {
		return err
	}
	keys, err := n.signKeys(was)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.public = keys
	n.mu.Unlock()
	if err := n.directory.Publish(ctx, signed); err != nil {
		return err
	}
	return n.directory.PublishKeys(ctx, keys.Signed())
}

// signKeys returns the node's keys, which are those that were published last
// unless they have changed.
func (n *Node) signKeys(was *netmap.Keys) (*netmap.Keys, error) {
	prekeys := n.keys.Public()
	if was != nil && samePrekeys(was.Prekeys, prekeys) {
		return was, nil
	}
	keys := &netmap.Keys{ID: n.id, Binding: n.binding, Prekeys: prekeys, Published: time.Now().UTC().Truncate(time.Second)}
	signed, err := keys.Sign(n.config.Identity)
	if err != nil {
		return nil, err
	}
	return netmap.OpenKeys(signed)
}

func samePrekeys(a, b []tinker.Prekey) bool {
	return slices.EqualFunc(a, b, func(a, b tinker.Prekey) bool { return a.Suite == b.Suite && bytes.Equal(a.Public, b.Public) })
}

// currentLocked returns the descriptor as it would be now. It has one link to
// each neighbour that is on the map; when there are more than it has room for,
// to those that the node wants, and then to the nearest ones.
func (n *Node) currentLocked() *netmap.Descriptor {
	d := *n.descriptor
	d.Links, d.Closed, d.Appeal = nil, n.refusal() != 0, n.appeal
	for id, links := range n.neighbours {
		if n.m == nil {
			break
		}
		if _, ok := n.m.Node(id); ok {
			d.Links = append(d.Links, netmap.Link{To: id, RTT: leastRTT(links)})
		}
	}
	if len(d.Links) > netmap.MaxLinks {
		rank := func(l netmap.Link) int {
			if n.wanted[l.To] {
				return 0
			}
			return 1
		}
		slices.SortFunc(d.Links, func(a, b netmap.Link) int {
			return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.RTT, b.RTT))
		})
		d.Links = d.Links[:netmap.MaxLinks]
	}
	slices.SortFunc(d.Links, func(a, b netmap.Link) int { return bytes.Compare(a.To[:], b.To[:]) })
	return &d
}

func leastRTT(links []*link.Link) (least time.Duration) {
	for _, l := range links {
		if d := l.RTT(); d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

// outdated says whether the last descriptor says something else than what is
// so now, round trips apart.
func (n *Node) outdated() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	is, was := n.currentLocked(), n.descriptor
	return n.public == nil || is.Closed != was.Closed || is.Appeal != was.Appeal ||
		!slices.EqualFunc(is.Links, was.Links, func(a, b netmap.Link) bool { return a.To == b.To }) ||
		!samePrekeys(n.keys.Public(), n.public.Prekeys)
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
	select {
	case <-l.Measured():
	case <-l.Done():
	case <-time.After(dialTimeout):
	}
}
