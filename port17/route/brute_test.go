package route

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"safing/internal/geo"
	"safing/netmap"
)

var fewCountries = []string{"DE", "FR", "US", "JP", "BR", ""}

// randomRequest asks for something on the map, in all ways there are.
func randomRequest(r *rand.Rand, m *netmap.Map) Request {
	some := func(n int) (ids []netmap.NodeID) {
		for range n {
			ids = append(ids, m.Nodes[r.IntN(len(m.Nodes))].ID)
		}
		return ids
	}
	chance := func(n int) bool { return r.IntN(n) == 0 }
	ports := []uint16{443, 80, 22, 25, 5000}
	q := Request{
		Destination: netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(8 + r.IntN(2)), 8, 8, 8}), ports[r.IntN(len(ports))]),
		Country:     fewCountries[r.IntN(len(fewCountries))], Level: Level(r.IntN(3)), ASN: uint32(r.IntN(5)),
		EntryRTT: map[netmap.NodeID]time.Duration{}, ExitRTT: map[netmap.NodeID]time.Duration{},
	}
	if chance(4) {
		q.Destination = netip.AddrPortFrom(netip.Addr{}, q.Destination.Port())
	}
	if chance(8) {
		q.Destination = m.Nodes[r.IntN(len(m.Nodes))].Addresses[0]
	}
	if chance(2) {
		q.Entries = some(1 + r.IntN(3))
	}
	for _, id := range some(r.IntN(4)) {
		q.EntryRTT[id] = time.Duration(r.IntN(80)) * time.Millisecond
	}
	for _, id := range some(r.IntN(3)) {
		q.ExitRTT[id] = time.Duration(r.IntN(80)) * time.Millisecond
	}
	if chance(4) {
		q.Exclude = map[netmap.NodeID]bool{some(1)[0]: true, some(1)[0]: false}
	}
	if chance(6) {
		q.Exits = some(1 + r.IntN(3))
	}
	if chance(6) {
		q.ExitCountries = []string{"DE", fewCountries[r.IntN(5)]}
	}
	if chance(6) {
		q.AvoidExits = some(2)
	}
	if chance(5) {
		q.AvoidCountries = []string{fewCountries[r.IntN(5)]}
	}
	if chance(5) {
		q.AvoidASNs = []uint32{uint32(1 + r.IntN(8)), uint32(1 + r.IntN(8))}
	}
	if chance(6) {
		q.Delay, q.Padding = 50*time.Millisecond, 32
	}
	if chance(6) {
		q.Nodes = 3 + r.IntN(3)
	}
	q.Unencrypted = chance(4)
	return q
}

// violation says what is wrong with a route, by looking at the map alone: none
// of it is the Finder's code.
func violation(m *netmap.Map, q *Request, nodes []netmap.Node) string {
	if want := max(q.Nodes, q.Level.Nodes()); len(nodes) != want {
		return "it has another number of nodes"
	}
	prefix := func(a netip.Addr) netip.Prefix {
		p, _ := a.Prefix(map[bool]int{true: 16, false: 32}[a.Is4()])
		return p
	}
	for i, a := range nodes {
		switch {
		case slices.Contains(q.AvoidCountries, a.Country), slices.Contains(q.AvoidASNs, a.ASN):
			return "a node is in a country or network to avoid"
		case a.MaxDelay < q.Delay, a.MaxPadding < q.Padding:
			return "a node offers no delay or padding"
		case q.Exclude[a.ID]:
			return "a node is excluded"
		}
		for _, b := range nodes[:i] {
			if a.ID == b.ID || a.Owner == b.Owner || a.Group != "" && a.Group == b.Group || a.OwnerKey != [32]byte{} && a.OwnerKey == b.OwnerKey {
				return "two nodes are of one owner or group"
			}
			for _, x := range a.IPs() {
				for _, y := range b.IPs() {
					if prefix(x) == prefix(y) {
						return "two nodes are in one network"
					}
				}
			}
		}
		if i == 0 {
			continue
		}
		from, _ := m.Index(nodes[i-1].ID)
		at := slices.IndexFunc(m.Edges(from), func(e netmap.Edge) bool { return m.Nodes[e.To].ID == a.ID })
		if at < 0 {
			return "two nodes have no link"
		}
		crossed := m.Edges(from)[at].Crossed
		for _, code := range crossed.Countries {
			if slices.Contains(q.AvoidCountries, code) {
				return "a link crosses a country to avoid"
			}
		}
		for _, asn := range crossed.ASNs {
			if slices.Contains(q.AvoidASNs, asn) {
				return "a link crosses a network to avoid"
			}
		}
	}
	if len(q.Entries) > 0 && !slices.Contains(q.Entries, nodes[0].ID) {
		return "its entry is none of those wanted"
	}
	return exitViolation(m, q, nodes[len(nodes)-1])
}

func exitViolation(m *netmap.Map, q *Request, exit netmap.Node) string {
	trusted := slices.ContainsFunc(m.Nodes, func(n netmap.Node) bool {
		return n.Flags&netmap.FlagTrusted != 0 && n.Flags&netmap.FlagBadExit == 0 && len(n.Exit.Rules()) > 0
	})
	to := q.Destination
	switch {
	case to.Addr().IsValid() && !exit.Exit.Allows(to, exit.IPs()...), !to.Addr().IsValid() && !exit.Exit.AllowsPort(to.Port()):
		return "its exit does not allow the destination"
	case exit.Flags&netmap.FlagBadExit != 0:
		return "its exit is bad"
	case q.Unencrypted && trusted && exit.Flags&netmap.FlagTrusted == 0:
		return "its exit is not trusted"
	case len(q.Exits) > 0 && !slices.Contains(q.Exits, exit.ID), slices.Contains(q.AvoidExits, exit.ID),
		len(q.ExitCountries) > 0 && !slices.Contains(q.ExitCountries, exit.Country):
		return "its exit is to be another"
	}
	return ""
}

// price is what a route costs, part by part as documented.
func price(m *netmap.Map, q *Request, nodes []netmap.Node) time.Duration {
	total := 50 * time.Millisecond
	if rtt, ok := q.EntryRTT[nodes[0].ID]; ok {
		total = rtt
	}
	var transit [][]uint32
	for i, n := range nodes {
		total += loadCost(freeCapacity(n.Measured, n.Capacity, n.Load), n.Load).duration()
		for _, o := range nodes[:i] {
			if n.ASN != 0 && n.ASN == o.ASN {
				total += 10 * time.Millisecond
			}
		}
		if i == 0 {
			continue
		}
		from, _ := m.Index(nodes[i-1].ID)
		for _, e := range m.Edges(from) {
			if m.Nodes[e.To].ID == n.ID {
				total += max(e.RTT, time.Millisecond)
				transit = append(transit, slices.DeleteFunc(slices.Clone(e.ASNs), func(a uint32) bool { return a == n.ASN || a == nodes[i-1].ASN }))
			}
		}
	}
	for i, a := range transit {
		for k, n := range nodes {
			if k != i && k != i+1 && n.ASN != 0 && slices.Contains(a, n.ASN) {
				total += 3 * time.Millisecond
			}
		}
		for _, b := range transit[:i] {
			for _, asn := range a {
				if slices.Contains(b, asn) {
					total += 3 * time.Millisecond
				}
			}
		}
	}
	return total + 2*distance(q, nodes[len(nodes)-1])
}

// distance is how far the exit is from the destination.
func distance(q *Request, exit netmap.Node) time.Duration {
	if rtt, ok := q.ExitRTT[exit.ID]; ok {
		return rtt
	}
	to, known := geo.CountryPlace(q.Country)
	if !known && len(q.ExitRTT) == 0 {
		return 0
	}
	far := 100 * time.Millisecond
	if from, ok := geo.CountryPlace(exit.Country); ok && known {
		far = geo.RTT(from, to)
	}
	if q.ASN != 0 && q.ASN == exit.ASN {
		far = min(far, max(far/2, time.Millisecond))
	}
	return far
}

// cheapest goes all ways there are.
func cheapest(m *netmap.Map, q *Request) (best time.Duration, found int) {
	want := max(q.Nodes, q.Level.Nodes())
	var path []netmap.Node
	var walk func(i int)
	walk = func(i int) {
		if slices.ContainsFunc(path, func(n netmap.Node) bool { return n.ID == m.Nodes[i].ID }) {
			return
		}
		path = append(path, m.Nodes[i])
		defer func() { path = path[:len(path)-1] }()
		if len(path) < want {
			for _, e := range m.Edges(i) {
				walk(e.To)
			}
			return
		}
		if violation(m, q, path) != "" {
			return
		}
		if p := price(m, q, path); found == 0 || p < best {
			best = p
		}
		found++
	}
	for i := range m.Nodes {
		walk(i)
	}
	return best, found
}

func smallWorld(r *rand.Rand) world {
	n := 5 + r.IntN(7)
	w := world{nodes: n, degree: 3 + r.IntN(4), countries: fewCountries, asns: 3 + r.IntN(20), crossed: r.IntN(3), trusted: 0.3, bad: 0.1}
	if r.IntN(2) == 0 {
		w.owners, w.groups, w.keys, w.nets = n-r.IntN(3), 2*n, n, 2*n
	}
	if r.IntN(3) == 0 {
		w.trusted = 0
	}
	return w
}

// Routes are found wherever there are any, and cost hardly more than the
// cheapest.
func TestNearlyCheapest(t *testing.T) {
	cases := 10000
	if testing.Short() {
		cases = 1000
	}
	var running sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		running.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 11))
			for i := 0; i < cases && !t.Failed(); i += workers {
				m := smallWorld(r).build(t, r)
				f := New(m)
				q := randomRequest(r, m)
				compare(t, f, &q)
			}
		})
	}
	running.Wait()
}

func compare(t *testing.T, f *Finder, q *Request) {
	best, count := cheapest(f.Map(), q)
	found, err := f.Find(*q)
	switch {
	case count == 0 && err == nil:
		t.Errorf("a route was found where there is none: %s", violation(f.Map(), q, found.Nodes))
	case count == 0 && !errors.Is(err, ErrNoRoute):
		t.Errorf("error %v, want %v", err, ErrNoRoute)
	case count > 0 && err != nil:
		t.Errorf("none of %d routes was found: %v; %+v", count, err, q)
	case count > 0:
		p := price(f.Map(), q, found.Nodes)
		if (found.Cost - p).Abs() > 20*time.Microsecond { // each part is cut to microseconds
			t.Errorf("cost %s, want %s: %+v", found.Cost, p, found.Parts)
		}
		limit := map[Level]float64{Normal: 1.1, High: 1.6, Extreme: 1e9}[q.Level]
		if float64(p) > limit*float64(best) {
			t.Errorf("at level %s the route costs %s and the cheapest %s", q.Level, p, best)
		}
	}
}
