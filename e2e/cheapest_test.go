package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/client"
	"safing/port17/route"
)

// apart says whether two nodes may be on one route, by what the map has of them.
func apart(a, b *netmap.Node) bool {
	if a.ID == b.ID || a.Owner == b.Owner || a.OwnerKey == b.OwnerKey && a.OwnerKey != [32]byte{} || a.Group == b.Group && a.Group != "" {
		return false
	}
	for _, x := range a.IPs() {
		for _, y := range b.IPs() {
			if p, err := x.Prefix(16); err == nil && p.Contains(y) {
				return false
			}
		}
	}
	return true
}

// waiting is what docs/spec/port17.md has as a node's part of a route's cost:
// a queue that grows with its load, and a burst before ours.
func waiting(n *netmap.Node) time.Duration {
	capacity := n.Measured
	if capacity == 0 {
		capacity = 8 << 20
		if n.Capacity > 0 {
			capacity = min(capacity, n.Capacity)
		}
	}
	load := min(n.Load, 95)
	free := max(min(capacity, 125<<20)*uint64(100-load)/100, 16<<10)
	return 2*time.Millisecond*time.Duration(load)/time.Duration(100-load) + (16<<10)*time.Second/time.Duration(free)
}

// price is what a route costs besides the way to its entry. It is false if two
// of its nodes have no link.
func price(m *netmap.Map, route []int) (time.Duration, bool) {
	var total time.Duration
	var between [][]uint32 // of each link, the networks that it crosses
	for i, at := range route {
		n := &m.Nodes[at]
		total += waiting(n)
		for _, before := range route[:i] {
			if n.ASN != 0 && n.ASN == m.Nodes[before].ASN {
				total += 10 * time.Millisecond
			}
		}
		if i == 0 {
			continue
		}
		from := route[i-1]
		e := slices.IndexFunc(m.Edges(from), func(e netmap.Edge) bool { return e.To == at })
		if e < 0 {
			return 0, false
		}
		edge := m.Edges(from)[e]
		total += max(edge.RTT, time.Millisecond)
		between = append(between, slices.DeleteFunc(slices.Clone(edge.ASNs), func(a uint32) bool { return a == n.ASN || a == m.Nodes[from].ASN }))
	}
	for i, crossed := range between {
		for k, at := range route {
			if asn := m.Nodes[at].ASN; k != i && k != i+1 && asn != 0 && slices.Contains(crossed, asn) {
				total += 3 * time.Millisecond
			}
		}
		for _, other := range between[:i] {
			for _, asn := range crossed {
				if slices.Contains(other, asn) {
					total += 3 * time.Millisecond
				}
			}
		}
	}
	return total, true
}

// cheapest goes all ways of three nodes from the entries to an exit that allows
// the destination, and says how many there are.
func cheapest(m *netmap.Map, entries map[netmap.NodeID]time.Duration, to netip.AddrPort) (least time.Duration, ways int) {
	for id, rtt := range entries {
		entry, ok := m.Index(id)
		if !ok || m.Nodes[entry].Closed {
			continue
		}
		for _, first := range m.Edges(entry) {
			for _, second := range m.Edges(first.To) {
				a, b, c := &m.Nodes[entry], &m.Nodes[first.To], &m.Nodes[second.To]
				if b.Closed || c.Closed || !apart(a, b) || !apart(b, c) || !apart(a, c) ||
					!c.Exit.Allows(to, c.IPs()...) || c.Flags&netmap.FlagBadExit != 0 {
					continue
				}
				p, _ := price(m, []int{entry, first.To, second.To})
				if ways++; least == 0 || rtt+p < least {
					least = rtt + p
				}
			}
		}
	}
	return least, ways
}

// entries returns those that the client has drawn, and how far it says they are:
// when it is to avoid the country of one, which is this one's alone, it takes the
// other, unless that is the node that has died.
func (m *federation) entries(r client.Request) (map[netmap.NodeID]time.Duration, error) {
	all := make(map[netmap.NodeID]time.Duration)
	for range 2 {
		e, err := m.client.Explain(r)
		if errors.Is(err, route.ErrNoRoute) && len(all) > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		first := e.Chosen.Nodes[0]
		all[first.ID] = e.Chosen.Parts.Entry
		r.AvoidCountries = append(slices.Clone(r.AvoidCountries), first.Country)
	}
	return all, nil
}

// testRoutes compares what the client chooses with all routes that there are on
// its map.
func (m *federation) testRoutes(t *testing.T) {
	worst, ways := 0.0, 0
	until(t, "routes on one map", func() (err error) {
		now := m.client.Map()
		if worst, ways, err = m.compareRoutes(t, now); err == nil && m.client.Map() != now {
			err = fmt.Errorf("the map is another one than %d by now", now.Sequence)
		}
		return err
	})
	t.Logf("of %d routes, the dearest that was chosen costs %.1f %% more than the cheapest", ways, 100*(worst-1))
	if worst > 1.1 {
		t.Errorf("a route costs %.2f times as much as the cheapest", worst)
	}
}

// compareRoutes returns how many times as much as the cheapest the dearest of the
// routes costs that the client chooses, and how many there are.
func (m *federation) compareRoutes(t *testing.T, now *netmap.Map) (worst float64, ways int, err error) {
	r := client.Request{Addr: m.echo, App: "routes"}
	entries, err := m.entries(r)
	if err != nil {
		return 0, 0, err
	}
	best, ways := cheapest(now, entries, m.echo)
	if ways == 0 {
		return 0, 0, fmt.Errorf("map %d has no route of three nodes", now.Sequence)
	}
	for i := range 50 {
		r.Isolation = fmt.Sprint(i)
		e, err := m.client.Explain(r)
		if err != nil {
			return 0, 0, err
		}
		var nodes []int
		for _, n := range e.Chosen.Nodes {
			at, _ := now.Index(n.ID)
			nodes = append(nodes, at)
		}
		p, ok := price(now, nodes)
		if m.client.Map() != now {
			break
		}
		p += e.Chosen.Parts.Entry
		if !ok || len(nodes) != 3 || (e.Chosen.Cost-p).Abs() > p/50 {
			t.Fatalf("a route of %d nodes is said to cost %v, and does %v: %+v", len(nodes), e.Chosen.Cost, p, e.Chosen.Parts)
		}
		worst = max(worst, float64(p)/float64(best))
	}
	return worst, ways, nil
}
