package node

import (
	"bytes"
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
// Where maps are made every few seconds, that is a part of their period.
const (
	publishSettle = 200 * time.Millisecond
	publishEvery  = 20 * time.Second
	publishPart   = 8 // of a period
	publishBurst  = 16
	retryPublish  = 5 * time.Second
	publishDrift  = 2 * time.Minute // between two, for what changes little by little
)

// publish sends the descriptor and the keys to the authorities whenever they
// have changed, and once in every period.
func (n *Node) publish(ctx context.Context) {
	timer := time.NewTimer(n.config.Period)
	defer timer.Stop()
	limit := rate.NewLimiter(rate.Every(min(publishEvery, n.config.Period/publishPart)), publishBurst)
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
		err := n.publishNow(ctx)
		n.mu.Lock()
		n.publishErr = err
		n.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			n.config.Log.Warn("the descriptor could not be published", "error", err)
			next = min(next, retryPublish)
		}
		timer.Reset(next)
	}
}

// PublishErr returns why the last attempt to publish the descriptor has failed;
// nil if it has not. It wraps [directory.ErrRefused] if an authority has refused
// it, and none has taken it.
func (n *Node) PublishErr() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.publishErr
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
	brief, err := n.signBrief(keys)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.public, n.brief = keys, brief
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
	if was != nil && !keys.Published.After(was.Published) { // then nobody would take them for newer
		keys.Published = was.Published.Add(time.Second)
	}
	signed, err := keys.Sign(n.config.Identity)
	if err != nil {
		return nil, err
	}
	return netmap.OpenKeys(signed)
}

// signBrief returns the keys as they go into refusals, which are a cell long: of
// several suites, those of the best.
func (n *Node) signBrief(keys *netmap.Keys) ([]byte, error) {
	brief := *keys
	if most := len(keys.Prekeys); most > 0 {
		best := keys.Prekeys[most-1].Suite
		brief.Prekeys = slices.DeleteFunc(slices.Clone(keys.Prekeys), func(p tinker.Prekey) bool { return p.Suite != best })
	}
	if len(brief.Prekeys) == len(keys.Prekeys) {
		return keys.Signed(), nil
	}
	return brief.Sign(n.config.Identity)
}

func samePrekeys(a, b []tinker.Prekey) bool {
	return slices.EqualFunc(a, b, func(a, b tinker.Prekey) bool { return a.Suite == b.Suite && bytes.Equal(a.Public, b.Public) })
}

// currentLocked returns the descriptor as it would be now. What has drifted a
// little since the last one stays as it was there, so that maps differ little.
func (n *Node) currentLocked() *netmap.Descriptor {
	d := *n.descriptor
	d.Links, d.Closed, d.Appeal = nil, n.refusal() != 0, n.appeal
	if load := percent(n.load); gap(load, d.Load) > loadStep {
		d.Load = load
	}
	was := publishedLinks(n.descriptor)
	for _, id := range n.publishedLocked() {
		l := netmap.Link{To: id, RTT: leastRTT(n.neighbours[id]), Crossed: n.crossedLocked(id)}
		if before, ok := was[id]; ok && !drifted(before.RTT, l.RTT) {
			l.RTT = before.RTT
		}
		d.Links = append(d.Links, l)
	}
	return &d
}

// publishedLinks returns the links of the descriptor by their ends.
func publishedLinks(d *netmap.Descriptor) map[netmap.NodeID]netmap.Link {
	links := make(map[netmap.NodeID]netmap.Link, len(d.Links))
	for _, l := range d.Links {
		links[l.To] = l
	}
	return links
}

// drifted says whether a round trip is another than it was: by a tenth, which is
// some steps of the map's scale, and by a millisecond, which routes count for a
// link at least.
func drifted(was, is time.Duration) bool {
	by := (is - was).Abs()
	return was == 0 != (is == 0) || by > was/10 && by > time.Millisecond
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
// so now. Links that come and go count at once; what drifts does when that
// descriptor is some minutes old.
func (n *Node) outdated() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	is, was := n.currentLocked(), n.descriptor
	same := func(a, b netmap.Link) bool { return a.To == b.To }
	if n.public == nil || is.Closed != was.Closed || is.Appeal != was.Appeal || !slices.EqualFunc(is.Links, was.Links, same) || !samePrekeys(n.keys.Public(), n.public.Prekeys) {
		return true
	}
	if time.Since(was.Published) < publishDrift {
		return false
	}
	return is.Load != was.Load || !slices.EqualFunc(is.Links, was.Links, func(a, b netmap.Link) bool {
		return a.RTT == b.RTT && a.Crossed.Traced == b.Crossed.Traced && slices.Equal(a.Crossed.ASNs, b.Crossed.ASNs) && slices.Equal(a.Crossed.Countries, b.Crossed.Countries)
	})
}

// touchIfOutdated publishes again when links have fallen silent, neighbours have
// come onto the map, or round trips have changed.
func (n *Node) touchIfOutdated() {
	if n.outdated() {
		n.touch()
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
