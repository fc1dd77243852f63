package node

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"safing/internal/traceroute"
	"safing/netmap"
)

const (
	traceEvery  = 24 * time.Hour   // of one neighbour
	traceGap    = 20 * time.Second // between two
	firstTrace  = time.Minute      // after the start
	mostTraced  = 1024             // paths that are kept
	mostTraceIn = 30 * time.Second
)

// A tracer is [traceroute.Trace].
type tracer func(ctx context.Context, to netip.Addr, c traceroute.Config) (traceroute.Path, error)

// A path is what was found of the one to a neighbour, without its ends.
type path struct {
	at        time.Time
	answered  bool // by one router at least
	asns      []uint32
	countries []string
}

// traceNeighbours traces the path to each neighbour once a day.
func (n *Node) traceNeighbours(ctx context.Context) {
	timer := time.NewTimer(spread(firstTrace))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if to, ok := n.untraced(); ok {
			err := n.traceTo(ctx, to)
			if errors.Is(err, errors.ErrUnsupported) {
				n.config.Log.Debug("paths to other nodes can't be traced", "error", err)
				return
			}
			if err != nil && ctx.Err() == nil {
				n.config.Log.Debug("the path to a node could not be traced", "node", to.ID.Short(), "error", err)
			}
		}
		timer.Reset(spread(traceGap))
	}
}

// untraced returns a neighbour whose path has not been traced for a day.
func (n *Node) untraced() (to netmap.Node, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.usableLocked()
	if m == nil {
		return to, false
	}
	for id, p := range n.traced {
		if len(n.neighbours[id]) == 0 && time.Since(p.at) > traceEvery {
			delete(n.traced, id)
		}
	}
	for _, l := range n.descriptor.Links {
		was, known := n.traced[l.To]
		if known && time.Since(was.at) < traceEvery || !known && len(n.traced) >= mostTraced {
			continue
		}
		if to, ok = m.Node(l.To); ok {
			return to, true
		}
	}
	return netmap.Node{}, false
}

// traceTo traces the path to the neighbour, and keeps what it crosses.
func (n *Node) traceTo(ctx context.Context, to netmap.Node) error {
	ctx, cancel := context.WithTimeout(ctx, mostTraceIn)
	defer cancel()
	p := path{at: time.Now()}
	found, err := n.trace(ctx, to.Addresses[0].Addr(), traceroute.Config{})
	if err == nil {
		p.asns, p.countries = traceroute.Crossed(found.Hops, n.config.Geo)
		for _, hop := range found.Hops {
			p.answered = p.answered || hop.Addr.IsValid() && hop.Addr != to.Addresses[0].Addr()
		}
		p.answered = p.answered || found.Outcome == traceroute.Reached
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.traced[to.ID] = p // also when nothing was found: not again today
	return err
}

// crossedLocked returns what the path to the neighbour crosses: what its ends
// say of themselves, and what was traced.
func (n *Node) crossedLocked(id netmap.NodeID) netmap.Crossed {
	asns, countries := []uint32{n.descriptor.ASN}, []string{n.descriptor.Country}
	if to, ok := n.m.Node(id); ok {
		asn, country := to.ASN, to.Country
		if len(to.Addresses) > 0 && (asn == 0 || country == "") {
			at := n.config.Geo.Locate(to.Addresses[0].Addr())
			if asn == 0 {
				asn = at.ASN
			}
			if country == "" {
				country = at.Country
			}
		}
		asns, countries = append(asns, asn), append(countries, country)
	}
	p := n.traced[id]
	return netmap.NewCrossed(append(asns, p.asns...), append(countries, p.countries...), p.answered)
}
