package route

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"safing/internal/geo"
	"safing/netmap"
)

// Exits are near destinations, as far as a route by way of two entries and over
// links that lead anywhere is not longer for it.
func TestExitsNearDestinations(t *testing.T) {
	m := big(t)
	f := New(m)
	r := rand.New(rand.NewPCG(5, 6))
	var chosen, random, nearest []time.Duration
	for range 2000 {
		q := somewhere(r, []netmap.NodeID{m.Nodes[r.IntN(len(m.Nodes))].ID, m.Nodes[r.IntN(len(m.Nodes))].ID})
		to, _ := geo.CountryPlace(q.Country)
		away := func(n netmap.Node) time.Duration {
			from, _ := geo.CountryPlace(n.Country)
			return geo.RTT(from, to)
		}
		found, err := f.Find(q)
		if err != nil {
			t.Fatal(err)
		}
		chosen = append(chosen, away(found.Nodes[2]))
		random = append(random, away(m.Nodes[r.IntN(len(m.Nodes))]))
		best := time.Hour
		for k := 0; k < len(m.Nodes); k += 7 {
			best = min(best, away(m.Nodes[k]))
		}
		nearest = append(nearest, best)
	}
	median := func(all []time.Duration) time.Duration {
		slices.Sort(all)
		return all[len(all)/2].Round(100 * time.Microsecond)
	}
	c, a, b := median(chosen), median(random), median(nearest)
	t.Logf("from the exit to the destination and back, median: %s; at random %s; from the nearest %s", c, a, b)
	if c > a/2 {
		t.Errorf("%s from exits that are chosen, %s from random ones", c, a)
	}
}

// Exits of the destination's network are nearer than others in their country,
// and what was measured counts instead of estimates.
func TestAway(t *testing.T) {
	m := testMap(t, 6, func(i int, d *netmap.Descriptor) { d.ASN = uint32(i + 1) })
	f := New(m)
	q := Request{Destination: web(), Country: "JP", ASN: m.Nodes[3].ASN}
	for range 50 {
		found, err := f.Find(q)
		if err != nil {
			t.Fatal(err)
		}
		if found.Nodes[2].ASN != q.ASN {
			t.Fatalf("the exit is in AS%d", found.Nodes[2].ASN)
		}
	}
	q.ExitRTT = map[netmap.NodeID]time.Duration{m.Nodes[4].ID: 20 * time.Millisecond, m.Nodes[3].ID: time.Second}
	for range 50 {
		found, err := f.Find(q)
		if err != nil {
			t.Fatal(err)
		}
		if found.Nodes[2].ID != m.Nodes[4].ID || found.Parts.Exit != 40*time.Millisecond {
			t.Fatalf("exit %s at %s", found.Nodes[2].Name, found.Parts.Exit)
		}
	}
}

// Load spreads by capacity, and away from who is busy.
func TestLoadSpreads(t *testing.T) {
	m := testMap(t, 9)
	for i := range m.Nodes {
		m.Nodes[i].Measured = 32 << 20
	}
	m.Nodes[0].Measured, m.Nodes[1].Measured = 125<<20, 8<<20
	m.Nodes[2].Load = 90
	f := New(m)
	count := make([]int, len(m.Nodes))
	for range 4000 {
		found, err := f.Find(Request{Destination: netip.AddrPortFrom(netip.Addr{}, 443)})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range found.Nodes {
			i, _ := m.Index(n.ID)
			count[i]++
		}
	}
	others := (count[3] + count[4] + count[5] + count[6] + count[7] + count[8]) / 6
	if count[0] < others || count[1]*2 > others || count[2]*4 > others {
		t.Errorf("the wide node is on %d routes, the narrow one on %d, the busy one on %d, others on %d", count[0], count[1], count[2], others)
	}
}

// At the level extreme routes are drawn from all, whatever they cost and whatever
// their nodes carry.
func TestExtremeIsWide(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	w := world{nodes: 60, degree: 20, countries: []string{"DE", "AU", "BR", "JP", "US"}}
	m := w.build(t, r)
	f := New(m)
	exits, middles, routes := make(map[string]int), make(map[string]int), make(map[string]bool)
	for range 3000 {
		found, err := f.Find(Request{Destination: web(), Country: "DE", Level: Extreme, Entries: guards(m, 2)})
		if err != nil {
			t.Fatal(err)
		}
		exits[found.Nodes[4].Name]++
		middles[found.Nodes[2].Name]++
		routes[names(found)] = true
	}
	may := 0
	for _, n := range m.Nodes {
		if n.Allows(web()) {
			may++
		}
	}
	if len(exits) < may-2 || len(middles) < 50 || len(routes) < 2500 {
		t.Errorf("%d of %d exits, %d of 60 nodes in the middle, %d of 3000 routes differ", len(exits), may, len(middles), len(routes))
	}
	for name, n := range exits {
		if n > 3*3000/may {
			t.Errorf("%s is the exit of %d routes of 3000, with %d exits", name, n, may)
		}
	}
}
