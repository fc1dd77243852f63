package sim

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/route"
)

// uniformWorld has nodes that differ in nothing: each is an exit, has an owner
// and a network of its own, and is linked to all.
func uniformWorld(t testing.TB, nodes int) (*World, *netmap.Map) {
	t.Helper()
	w := testWorld(t, nodes)
	for i := range w.Nodes {
		n := &w.Nodes[i]
		n.Owner, n.Capacity, n.Exit, n.Stable = i, 1e6, true, true
		n.Site = Site{Addr: netip.AddrFrom4([4]byte{20, byte(i), 0, 1})}
	}
	for i := range w.Clients {
		w.Clients[i] = Site{Addr: w.Clients[i].Addr}
	}
	made, err := w.Map()
	if err != nil {
		t.Fatal(err)
	}
	for i := range made.Nodes {
		made.Nodes[i].Links = nil
		for j := range made.Nodes {
			if i != j {
				made.Nodes[i].Links = append(made.Nodes[i].Links, netmap.Link{To: made.Nodes[j].ID, RTT: w.RTT(w.Nodes[i].Site, w.Nodes[j].Site)})
			}
		}
	}
	m, err := netmap.New(made.Network, 1, made.ValidAfter, made.ValidUntil, made.Nodes)
	if err != nil {
		t.Fatal(err)
	}
	return w, m
}

// Where all nodes are alike, who has k of n gets as much as the formula says.
func TestExposureInUniformWorld(t *testing.T) {
	const n, k, tunnels = 24, 8, 12_000
	w, m := uniformWorld(t, n)
	for _, c := range []chooser{newPort17(w, m, route.Normal), newPort17(w, m, route.High), NewTor(w)} {
		all, err := w.run(t.Context(), c, tunnels, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		var each []Exposure
		for i := range uint64(200) {
			each = append(each, all.exposed(w.atRandom(k/float64(n), rand.New(rand.NewPCG(i, 5)))))
		}
		got := mean(each)
		ends := float64(k*(k-1)) / (n * (n - 1))
		whole := ends
		for i := 2; i < int(all.all[0].count); i++ {
			whole *= float64(k-i) / float64(n-i)
		}
		for name, v := range map[string][2]float64{"nodes": {got.Nodes, k / float64(n)}, "ends": {got.Ends, ends}, "all": {got.All, whole}, "exit": {got.Exit, k / float64(n)}} {
			if math.Abs(v[0]-v[1]) > 0.06*v[1]+0.001 {
				t.Errorf("%s: %s %.4f, want %.4f", all.label, name, v[0], v[1])
			}
		}
	}
}

// Two nodes of one owner are never both ends, but two owners are.
func TestOwners(t *testing.T) {
	w := testWorld(t, 200)
	all, err := w.run(t.Context(), NewTor(w), 20_000, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e := all.exposed(w.owners(1)); e.Ends != 0 || e.Clients == 0 {
		t.Errorf("one owner has both ends of %v and an entry of %v of clients", e.Ends, e.Clients)
	}
	if e := all.exposed(w.owners(20)); e.Ends == 0 {
		t.Error("twenty owners have both ends of none")
	}
}

// The longer, the more clients are hit; without an adversary none, and by one who
// has all nodes all at once.
func TestOverTime(t *testing.T) {
	w := testWorld(t, 100)
	tor := NewTor(w)
	for _, test := range []struct {
		part        float64
		least, most float64 // hit after a year
	}{{0, 0, 0}, {0.1, 0.05, 0.9}, {1, 1, 1}} {
		f, err := w.overTime(t.Context(), tor, "Tor", test.part, 1)
		if err != nil {
			t.Fatal(err)
		}
		last := 0.0
		for _, h := range f.Hit {
			if h < last {
				t.Errorf("hits become fewer: %v", f.Hit)
			}
			last = h
		}
		if last < test.least-1e-9 || last > test.most+1e-9 {
			t.Errorf("%v of nodes hit %v of clients after a year, want %v to %v", test.part, last, test.least, test.most)
		}
	}
}

func TestHostileNodes(t *testing.T) {
	w := testWorld(t, 100)
	more, err := w.withHostile(30, Shameless, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Nodes) != 100 || len(more.Nodes) != 130 {
		t.Fatalf("%d and %d nodes", len(w.Nodes), len(more.Nodes))
	}
	owners := make(map[int]bool)
	for _, n := range more.Nodes[100:] {
		if !n.Hostile || owners[n.Owner] || !n.Exit {
			t.Fatalf("a hostile node: %+v", n)
		}
		owners[n.Owner] = true
	}
	if got := more.claimed(100, 101); got != time.Millisecond {
		t.Errorf("hostile nodes claim %s between themselves", got)
	}
	if got, want := more.claimed(100, 1), w.RTT(more.Nodes[100].Site, w.Nodes[1].Site); got != want {
		t.Errorf("others measure %s, want %s", got, want)
	}
	if a := more.hostile(); countTrue(a.nodes) != 30 {
		t.Errorf("the adversary has %d", countTrue(a.nodes))
	}
	if _, err := w.withHostile(MaxNodes, Truthful, 1); err == nil {
		t.Error("too many were added")
	}
}
