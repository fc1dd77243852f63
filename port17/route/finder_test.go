package route

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"safing/netmap"
	"safing/tinker"
)

func testMap(t testing.TB, n int, options ...func(i int, d *netmap.Descriptor)) *netmap.Map {
	t.Helper()
	keys, err := tinker.NewPrekeys(tinker.PrekeyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	exit, err := netmap.ParseExitPolicy([]string{"public"})
	if err != nil {
		t.Fatal(err)
	}
	nodes := make([]netmap.Node, n)
	for i := range nodes {
		d := &netmap.Descriptor{
			ID: netmap.NodeID{byte(i + 1), byte(i >> 8)}, Name: fmt.Sprint("n", i), Owner: fmt.Sprint("o", i), Country: "DE",
			Addresses: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(i/250 + 1), byte(i % 250), 0, 1}), 17)},
			Exit:      exit,
		}
		for j := range nodes {
			if i != j {
				d.Links = append(d.Links, netmap.Link{To: netmap.NodeID{byte(j + 1), byte(j >> 8)}, RTT: 10 * time.Millisecond})
			}
		}
		for _, o := range options {
			o(i, d)
		}
		nodes[i] = netmap.Node{Descriptor: d, Keys: &netmap.Keys{ID: d.ID, Prekeys: keys.Public()}}
	}
	m, err := netmap.New("test", 1, time.Now(), time.Now().Add(time.Hour), nodes)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func names(r Route) string {
	var s []string
	for _, n := range r.Nodes {
		s = append(s, n.Name)
	}
	return strings.Join(s, " ")
}

func web() netip.AddrPort { return netip.MustParseAddrPort("8.8.8.8:443") }

// Whatever the network looks like, a route keeps all promises.
func TestRouteProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		owners := rapid.SliceOfN(rapid.IntRange(0, 4), 12, 12).Draw(r, "owners")
		groups := rapid.SliceOfN(rapid.IntRange(0, 6), 12, 12).Draw(r, "groups")
		linked := rapid.SliceOfN(rapid.Bool(), 144, 144).Draw(r, "links")
		m := testMap(t, 12, func(i int, d *netmap.Descriptor) {
			d.Owner = fmt.Sprint(owners[i])
			if groups[i] > 0 {
				d.Group = fmt.Sprint(groups[i])
			}
			var kept []netmap.Link
			for _, l := range d.Links {
				if linked[12*i+int(l.To[0])-1] {
					kept = append(kept, l)
				}
			}
			d.Links = kept
		})
		level := Level(rapid.IntRange(0, 2).Draw(r, "level"))
		route, err := New(m).Find(Request{Destination: web(), Level: level})
		if err != nil {
			if !errors.Is(err, ErrNoRoute) {
				r.Fatal(err)
			}
			return
		}
		if len(route.Nodes) != level.Nodes() {
			r.Fatalf("%d nodes at level %v", len(route.Nodes), level)
		}
		for i, a := range route.Nodes {
			for j, b := range route.Nodes[:i] {
				if a.ID == b.ID || a.Owner == b.Owner || a.Group != "" && a.Group == b.Group {
					r.Fatalf("%s and %s on one route", a.Name, b.Name)
				}
				if j == i-1 && (!linked[12*(int(a.ID[0])-1)+int(b.ID[0])-1] || !linked[12*(int(b.ID[0])-1)+int(a.ID[0])-1]) {
					r.Fatalf("%s and %s have no link that both publish", a.Name, b.Name)
				}
			}
		}
	})
}

func TestFastestRoute(t *testing.T) {
	// 0-1-2 is fast; all else slow.
	m := testMap(t, 6, func(i int, d *netmap.Descriptor) {
		for k, l := range d.Links {
			if a, b := i, int(l.To[0])-1; a+b != 1 && a+b != 3 || a > 2 || b > 2 {
				d.Links[k].RTT = 100 * time.Millisecond
			}
		}
	})
	f := New(m)
	for range 50 {
		r, err := f.Find(Request{Destination: web()})
		if err != nil {
			t.Fatal(err)
		}
		if got := names(r); got != "n0 n1 n2" && got != "n2 n1 n0" {
			t.Fatalf("route %s", got)
		}
	}
}

func TestRouteRequests(t *testing.T) {
	m := testMap(t, 8, func(i int, d *netmap.Descriptor) {
		if i == 7 {
			d.Exit, _ = netmap.ParseExitPolicy([]string{"accept *:22"})
			d.Country = "FR"
		}
		if i == 6 {
			d.Country, d.ASN = "SE", 9
		}
		if i == 5 {
			d.Addresses = []netip.AddrPort{netip.MustParseAddrPort("1.4.9.9:1")} // the /16 of n4
		}
	})
	f := New(m)
	id := func(i int) netmap.NodeID { return m.Nodes[i].ID }
	for _, c := range []struct {
		name  string
		r     Request
		check func(Route) bool
	}{
		{"exit policy", Request{Destination: web()}, func(r Route) bool { return r.Nodes[2].Name != "n7" }},
		{"only a name", Request{Destination: netip.AddrPortFrom(netip.Addr{}, 22), Requirements: Requirements{Exits: []netmap.NodeID{id(7)}}}, func(r Route) bool { return r.Nodes[2].Name == "n7" }},
		{"country", Request{Destination: web(), Country: "SE"}, func(r Route) bool { return r.Nodes[2].Name == "n6" }},
		{"avoided", Request{Destination: web(), Requirements: Requirements{AvoidCountries: []string{"DE"}}}, nil},
		{"avoided network", Request{Destination: web(), Requirements: Requirements{AvoidASNs: []uint32{9}, Nodes: 5}}, func(r Route) bool { return len(r.Nodes) == 5 && !strings.Contains(names(r), "n6") }},
		{"exits avoided", Request{Destination: web(), Requirements: Requirements{AvoidExits: []netmap.NodeID{id(0), id(1), id(2), id(3), id(4), id(5)}}}, func(r Route) bool { return r.Nodes[2].Name == "n6" }},
		{"exits of a country", Request{Destination: web(), Country: "DE", Requirements: Requirements{ExitCountries: []string{"SE", "FR"}}}, func(r Route) bool { return r.Nodes[2].Name == "n6" }},
		{"no exit in a country", Request{Destination: web(), Requirements: Requirements{ExitCountries: []string{"FR"}}}, nil},
		{"entries", Request{Destination: web(), Entries: []netmap.NodeID{id(3)}}, func(r Route) bool { return r.Nodes[0].Name == "n3" }},
		{"exclude", Request{Destination: web(), Exclude: map[netmap.NodeID]bool{id(0): true, id(1): true}}, func(r Route) bool {
			return !strings.Contains(names(r), "n0") && !strings.Contains(names(r), "n1")
		}},
		{"one network", Request{Destination: web(), Requirements: Requirements{Nodes: 6}}, func(r Route) bool {
			return !strings.Contains(names(r), "n4") || !strings.Contains(names(r), "n5")
		}},
		{"entry round trip", Request{Destination: web(), EntryRTT: map[netmap.NodeID]time.Duration{id(2): time.Millisecond}}, func(r Route) bool { return r.Nodes[0].Name == "n2" }},
		{"no such exit", Request{Destination: netip.MustParseAddrPort("10.0.0.1:80")}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 20 {
				r, err := f.Find(c.r)
				switch {
				case c.check == nil && !errors.Is(err, ErrNoRoute):
					t.Fatalf("route %s, %v; want %v", names(r), err, ErrNoRoute)
				case c.check != nil && (err != nil || !c.check(r) || !c.r.Met(r)):
					t.Fatalf("route %s, %v", names(r), err)
				}
			}
		})
	}
}

func TestRoutesAreDrawn(t *testing.T) {
	f := New(testMap(t, 8))
	seen := make(map[string]bool)
	for range 100 {
		r, err := f.Find(Request{Destination: web()})
		if err != nil {
			t.Fatal(err)
		}
		seen[names(r)] = true
	}
	if len(seen) < 5 {
		t.Errorf("only %d different routes among equals", len(seen))
	}
}

func TestExplain(t *testing.T) {
	m := testMap(t, 5)
	e, err := New(m).Explain(Request{Destination: web(), Exclude: map[netmap.NodeID]bool{m.Nodes[0].ID: true}})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Excluded) != 1 || e.Excluded[0].Nodes != 1 || e.Excluded[0].Names[0] != "n0" || e.Excluded[0].Reason != "it failed recently" {
		t.Errorf("excluded: %+v", e.Excluded)
	}
	chosen := 0
	for _, c := range e.Candidates {
		if c.Chosen {
			chosen++
			if strings.Join(c.Nodes, " ") != names(e.Chosen) {
				t.Error("another candidate is marked than was chosen")
			}
		}
	}
	if chosen != 1 {
		t.Errorf("%d candidates are marked as chosen", chosen)
	}
}

func TestLevels(t *testing.T) {
	for l := Normal; l <= Extreme; l++ {
		if got, err := ParseLevel(l.String()); err != nil || got != l {
			t.Errorf("%v: %v, %v", l, got, err)
		}
	}
	if _, err := ParseLevel("paranoid"); err == nil {
		t.Error("an unknown level was read")
	}
}
