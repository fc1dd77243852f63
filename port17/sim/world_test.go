package sim

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"safing/netmap"
)

func testWorld(t testing.TB, nodes int) *World {
	t.Helper()
	w, err := New(Config{Nodes: nodes, Clients: 200, Destinations: 200, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWorldsAreTheSame(t *testing.T) {
	a, b := testWorld(t, 200), testWorld(t, 200)
	compare := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	for _, pair := range [][2]any{{a.Nodes, b.Nodes}, {a.Clients, b.Clients}, {a.Destinations, b.Destinations}, {joined(t, a), joined(t, b)}} {
		if diff := cmp.Diff(pair[0], pair[1], compare); diff != "" {
			t.Error(diff)
		}
	}
	other, err := New(Config{Nodes: 200, Clients: 200, Destinations: 200, Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	if cmp.Equal(a.Nodes, other.Nodes, compare) {
		t.Error("another seed makes the same nodes")
	}
	if a.identity(3) != b.identity(3) || a.identity(3) == other.identity(3) {
		t.Error("identities don't follow from the seed")
	}
}

func joined(t *testing.T, w *World) [][]int {
	t.Helper()
	to, err := w.links()
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// Links are known to both ends, are neither too few nor too many, and reach all.
func TestLinks(t *testing.T) {
	w := testWorld(t, 300)
	to := joined(t, w)
	for i, all := range to {
		if len(all) < w.Links/2 || len(all) > 4*w.Links {
			t.Errorf("node %d has %d links", i, len(all))
		}
		for _, k := range all {
			if k == i || !slices.Contains(to[k], i) {
				t.Fatalf("%d has a link to %d that this does not have", i, k)
			}
		}
	}
	seen := map[int]bool{0: true}
	for queue := []int{0}; len(queue) > 0; queue = queue[1:] {
		for _, k := range to[queue[0]] {
			if !seen[k] {
				seen[k] = true
				queue = append(queue, k)
			}
		}
	}
	if len(seen) != len(w.Nodes) {
		t.Errorf("%d of %d nodes can be reached", len(seen), len(w.Nodes))
	}
}

func TestWorldIsPlausible(t *testing.T) {
	w := testWorld(t, 1000)
	seen := make(map[netip.Addr]bool)
	owners := make(map[int]int)
	exits := 0
	for _, n := range w.Nodes {
		if seen[n.Addr] || !netmap.IsPublic(n.Addr) {
			t.Fatalf("address %s is there twice or not public", n.Addr)
		}
		seen[n.Addr] = true
		if owners[n.Owner]++; owners[n.Owner] > 50 {
			t.Fatalf("owner %d has more than 5 %% of nodes", n.Owner)
		}
		if n.Exit {
			exits++
		}
		if n.Capacity < leastCapacity || n.Capacity > mostCapacity {
			t.Fatalf("a capacity of %d", n.Capacity)
		}
	}
	if exits < 200 || exits > 500 {
		t.Errorf("%d of 1000 nodes are exits, want about 350", exits)
	}
	if len(owners) < 100 || len(owners) > 700 {
		t.Errorf("%d owners", len(owners))
	}
}

func TestBadWorlds(t *testing.T) {
	for _, c := range []Config{{}, {Nodes: MaxNodes + 1}, {Nodes: 10, Clients: -1}, {Nodes: 10, Exits: 2}, {Nodes: 10, Anycast: -1}, {Nodes: 10, Links: 1}} {
		if _, err := New(c); err == nil {
			t.Errorf("a world of %+v was made", c)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	w := testWorld(t, 300)
	for i := range w.Nodes {
		for j := range w.Nodes[:i] {
			a, b := w.Nodes[i].Site, w.Nodes[j].Site
			rtt, km := w.RTT(a, b), w.distances[a.City][b.City]
			if rtt != w.RTT(b, a) {
				t.Fatal("it takes longer in one direction")
			}
			light := 2 * km / inFibre
			if way := ms(rtt - a.Access - b.Access); way < light*1.42 || km > 100 && way > light*2.11 {
				t.Fatalf("%.0f km take %.1f ms, light in fibre %.1f", km, way, light)
			}
		}
	}
	frankfurt, sydney := City{Lat: 50.11, Long: 8.68}, City{Lat: -33.87, Long: 151.21}
	if d := distance(frankfurt, sydney); d < 16400 || d > 16600 {
		t.Errorf("Frankfurt and Sydney are %.0f km apart, want 16500", d)
	}
}

func TestAnycastIsNear(t *testing.T) {
	w := testWorld(t, 100)
	for i := range w.Destinations {
		d := w.Destinations[i]
		if d.Anycast = true; d.City == w.Nodes[0].City {
			continue
		}
		_, near := w.ToDestination(w.Nodes[0].Site, &d)
		for _, c := range w.caches {
			if w.distances[w.Nodes[0].City][c] < near {
				t.Fatalf("%s is nearer", w.Cities[c].Name)
			}
		}
	}
}

// The map holds what the world says, and each link from both ends.
func TestMap(t *testing.T) {
	w := testWorld(t, 120)
	m, err := w.Map()
	if err != nil {
		t.Fatal(err)
	}
	p := newPort17(w, m, 0)
	for _, n := range m.Nodes {
		i := p.node(n.ID)
		if n.Capacity != w.Nodes[i].Capacity || n.Addresses[0].Addr() != w.Nodes[i].Addr || len(n.Links) == 0 {
			t.Fatalf("node %d is another on the map", i)
		}
		for _, l := range n.Links {
			if l.RTT != w.RTT(w.Nodes[i].Site, w.Nodes[p.node(l.To)].Site) {
				t.Fatalf("a round trip of %s", l.RTT)
			}
		}
	}
}

func BenchmarkWorld(b *testing.B) {
	for b.Loop() {
		if _, err := New(Config{Nodes: 1000}); err != nil {
			b.Fatal(err)
		}
	}
}
