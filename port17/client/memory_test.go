package client

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"safing/internal/geo"
	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/route"
)

// places returns a database of the lines.
func places(t testing.TB, lines string) *geo.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "geo")
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := geo.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// What is near to each other is one place, as far as one can know.
func TestPlaces(t *testing.T) {
	c := &Client{config: Config{Geo: places(t, "192.0.2.0\t192.0.2.255\t64500\tDE\n198.51.100.0\t198.51.100.255\t0\tFR\n")}}
	for _, test := range []struct {
		addr, country string
		want          place
	}{
		{"192.0.2.1", "", place{country: "DE", asn: 64500}},
		{"192.0.2.1", "NL", place{country: "NL", asn: 64500}},
		{"198.51.100.7", "", place{country: "FR"}},
		{"203.0.113.9", "", place{net: netip.MustParsePrefix("203.0.0.0/16")}},
		{"203.0.113.9", "US", place{country: "US"}},
		{"2001:db8:1::1", "", place{net: netip.MustParsePrefix("2001:db8::/32")}},
	} {
		if got := c.where(group{}, cell.Target{Addr: netip.MustParseAddr(test.addr), Port: 1}, test.country); got != test.want {
			t.Errorf("%s, said to be in %q: %+v, want %+v", test.addr, test.country, got, test.want)
		}
	}
}

// Where a name is, a group knows for an hour, and no other group does.
func TestNamesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{}
		one, other := Request{Host: "example.org", Addr: netip.AddrPortFrom(netip.Addr{}, 443), App: "a"}, Request{}
		to, err := one.target()
		if err != nil {
			t.Fatal(err)
		}
		g := c.need(one, to).group
		c.memory.add(g, "EXAMPLE.org", namePlace{place: place{country: "JP", asn: 64500}, exit: netmap.NodeID{1}, at: time.Now()})
		if r := c.need(one, to).request; r.Country != "JP" || r.ASN != 64500 || r.Destination.Addr().IsValid() {
			t.Errorf("the group's request is %+v", r)
		}
		if last, ok := c.LastPlace(one); !ok || last.Country != "JP" || last.Exit == "" {
			t.Errorf("it was in %+v, %v", last, ok)
		}
		said := one
		said.Country = "FR"
		if r := c.need(said, to).request; r.Country != "FR" {
			t.Errorf("a request that says FR becomes one to %s", r.Country)
		}
		for _, change := range []func(){
			func() { other.App = "b" }, func() { other.Isolation = "x" }, func() { other.Level = route.High }, func() { other.Host = "example.com" },
		} {
			other = one
			change()
			to, err := other.target()
			if err != nil {
				t.Fatal(err)
			}
			if r := c.need(other, to).request; r.Country != "" || r.ASN != 0 {
				t.Errorf("%+v uses what another has learned: %+v", other, r)
			}
		}
		time.Sleep(rememberFor + 1)
		if r := c.need(one, to).request; r.Country != "" {
			t.Error("after more than an hour the place is remembered")
		}
	})
}

// How far a place is from exits, a group knows for an hour: short times at once,
// longer ones little by little.
func TestDistancesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		g, exit, at := group{app: "a"}, netmap.NodeID{1}, place{country: "DE"}
		for _, test := range []struct{ rtt, want time.Duration }{
			{100 * time.Millisecond, 100 * time.Millisecond},
			{20 * time.Millisecond, 20 * time.Millisecond},
			{180 * time.Millisecond, 40 * time.Millisecond},
			{mostDistance + 1, 40 * time.Millisecond},
			{-time.Second, leastDistance},
		} {
			m.measured(g, at, exit, test.rtt)
			if got := m.rtts(g, at)[exit]; got != test.want {
				t.Errorf("after %s it is %s away, want %s", test.rtt, got, test.want)
			}
		}
		for _, other := range []groupPlace{{group{app: "b"}, at}, {g, place{country: "FR"}}} {
			if got := m.rtts(other.group, other.place); got != nil {
				t.Errorf("%+v has %v", other, got)
			}
		}
		if m.measured(g, place{}, exit, time.Millisecond); m.rtts(g, place{}) != nil {
			t.Error("it is known how far nowhere is")
		}
		time.Sleep(rememberFor + 1)
		if got := m.rtts(g, at); got != nil || len(m.exits) != 0 {
			t.Errorf("after more than an hour there is %v", got)
		}
		m.measured(g, at, exit, 80*time.Millisecond)
		if got := m.rtts(g, at)[exit]; got != 80*time.Millisecond {
			t.Errorf("what was long ago makes 80ms %s", got)
		}
	})
}

// What is remembered is bounded. Of exits, the newest stay.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		for i := range mostPlaces + 10 {
			m.add(group{}, fmt.Sprint(i), namePlace{at: time.Now()})
			m.measured(group{app: fmt.Sprint(i)}, place{country: "DE"}, netmap.NodeID{}, time.Millisecond)
		}
		if len(m.names) > mostPlaces || len(m.exits) > mostPlaces {
			t.Errorf("%d names, %d places", len(m.names), len(m.exits))
		}
		for i := range mostExits + 5 {
			m.measured(group{}, place{country: "DE"}, netmap.NodeID{byte(i)}, time.Millisecond)
			time.Sleep(time.Second)
		}
		got := m.rtts(group{}, place{country: "DE"})
		if _, ok := got[netmap.NodeID{5}]; len(got) != mostExits || !ok {
			t.Errorf("exits %v", maps.Keys(got))
		}
	})
}

// An exit that lets its reply wait gains little by it.
func TestBeyond(t *testing.T) {
	s := &shared{expected: 40 * time.Millisecond}
	for _, test := range []struct{ all, rtt, want time.Duration }{
		{150 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond},
		{50 * time.Millisecond, 50 * time.Millisecond, 0},
		{600 * time.Millisecond, 500 * time.Millisecond, 250 * time.Millisecond},
	} {
		if got := s.beyond(test.all, test.rtt); got != test.want {
			t.Errorf("%s of which the circuit takes %s: %s, want %s", test.all, test.rtt, got, test.want)
		}
	}
}

// An exit is left for one that is much nearer, as long as few were tried.
func TestLeavingExits(t *testing.T) {
	measured := func(n int) map[netmap.NodeID]time.Duration {
		all := make(map[netmap.NodeID]time.Duration)
		for i := range n {
			all[netmap.NodeID{byte(i)}] = time.Millisecond
		}
		return all
	}
	for _, test := range []struct {
		name  string
		r     route.Request
		may   bool
		exits int
	}{
		{"nothing is known", route.Request{}, false, 0},
		{"a place", route.Request{Country: "JP"}, true, 0},
		{"a distance", route.Request{ExitRTT: measured(1)}, true, 0},
		{"enough", route.Request{Country: "JP", ExitRTT: measured(triedExits)}, true, triedExits},
		{"one of them may be used", route.Request{ExitRTT: measured(triedExits), Requirements: route.Requirements{Exits: []netmap.NodeID{{1}, {77}}}}, true, 1},
		{"none of them may be used", route.Request{ExitRTT: measured(triedExits), Requirements: route.Requirements{Exits: []netmap.NodeID{{77}}}}, false, 0},
		{"extreme", route.Request{Country: "JP", Level: route.Extreme}, false, 0},
	} {
		got, ok := mayLeave(test.r)
		if ok != test.may || ok && len(got.Exits) != test.exits {
			t.Errorf("%s: %v, exits %v", test.name, ok, got.Exits)
		}
	}
	for _, test := range []struct {
		other, kept time.Duration
		want        bool
	}{
		{100 * time.Millisecond, 149 * time.Millisecond, false},
		{100 * time.Millisecond, 151 * time.Millisecond, true},
		{400 * time.Millisecond, 490 * time.Millisecond, false},
		{400 * time.Millisecond, 510 * time.Millisecond, true},
		{400 * time.Millisecond, 100 * time.Millisecond, false},
	} {
		if got := muchNearer(route.Route{Cost: test.other}, route.Route{Cost: test.kept}); got != test.want {
			t.Errorf("%s against %s: %v", test.other, test.kept, got)
		}
	}
}
