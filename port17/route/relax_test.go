package route

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"safing/netmap"
)

// Where there is no route, the error names what is in the way.
func TestRelaxed(t *testing.T) {
	m := testMap(t, 8, func(i int, d *netmap.Descriptor) {
		d.Country, d.ASN = []string{"DE", "US"}[i%2], uint32(64500+i%2)
		d.MaxDelay = time.Duration(i%2) * time.Second
		if i == 7 {
			d.Exit, _ = netmap.ParseExitPolicy(nil)
		}
	})
	m.Nodes[0].Flags = netmap.FlagTrusted
	f := New(m)
	ids := func(at ...int) (all []netmap.NodeID) {
		for _, i := range at {
			all = append(all, m.Nodes[i].ID)
		}
		return all
	}
	excluded := map[netmap.NodeID]bool{}
	for _, id := range ids(0, 1, 2, 3, 4, 5) {
		excluded[id] = true
	}
	for _, test := range []struct {
		r    Request
		want string // constraints, and what the error has in it
	}{
		{Request{Level: Extreme, Requirements: Requirements{AvoidCountries: []string{"US"}}}, "AvoidCountries Level: no route of 5 nodes to 8.8.8.8:443 avoids country US (more than 999 do without AvoidCountries), nor one that is as long as"},
		{Request{Level: Extreme, Requirements: Requirements{AvoidASNs: []uint32{64500}, AvoidCountries: []string{"FR"}}}, "AvoidASNs Level: avoids AS 64500 ("},
		{Request{Requirements: Requirements{ExitCountries: []string{"FR", "SE"}}}, "ExitCountries: has its exit in one of the countries FR, SE ("},
		{Request{Requirements: Requirements{Exits: ids(7)}}, "Exits: ends at exit " + m.Nodes[7].ID.Short()},
		{Request{Requirements: Requirements{AvoidExits: ids(0, 1, 2, 3, 4, 5, 6)}}, "AvoidExits: ends elsewhere than at the exits "},
		{Request{Requirements: Requirements{Unencrypted: true, AvoidExits: ids(0)}}, "AvoidExits Unencrypted: for what is not encrypted"},
		{Request{Requirements: Requirements{Nodes: 5, AvoidCountries: []string{"US"}}}, "AvoidCountries Nodes: is longer than the 3 of the level normal"},
		{Request{Level: Extreme, Requirements: Requirements{Delay: time.Second}}, "Level Delay: offers delays of 1s"},
		{Request{Requirements: Requirements{Padding: 10}}, "Padding: offers padding of 10 cells"},
		{Request{Exclude: excluded}, "Exclude: that failed recently"},
		{Request{Entries: ids(1), Requirements: Requirements{AvoidASNs: []uint32{64501}}}, "AvoidASNs Entries: begins at entry " + m.Nodes[1].ID.Short()},
		{Request{Requirements: Requirements{Padding: 10, Delay: 2 * time.Second}}, ": no route: no exit: no node that may be used allows"},
	} {
		test.r.Destination = web()
		_, err := f.Find(test.r)
		var none *NoRouteError
		if !errors.Is(err, ErrNoRoute) || !errors.As(err, &none) {
			t.Errorf("%s: error %v", test.want, err)
			continue
		}
		var names []string
		for _, r := range none.Relaxed() {
			names = append(names, r.Constraint)
		}
		constraints, text, _ := strings.Cut(test.want, ": ")
		if got := strings.Join(names, " "); got != constraints || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %s: %v", test.want, got, err)
		}
	}
}

// A route that is counted as one without a constraint is one.
func TestRelaxedCount(t *testing.T) {
	m := testMap(t, 4, func(i int, d *netmap.Descriptor) { d.Country = fmt.Sprintf("A%c", 'A'+i) })
	_, err := New(m).Find(Request{Destination: web(), Requirements: Requirements{AvoidCountries: []string{"AA", "AB"}}})
	var none *NoRouteError
	if !errors.As(err, &none) {
		t.Fatal(err)
	}
	if all := none.Relaxed(); len(all) != 1 || all[0].Routes != 4*3*2 || all[0].More {
		t.Errorf("%+v, want 24 routes", all)
	}
}

// What was excluded is told by reason, and not by node.
func TestExplainGroups(t *testing.T) {
	m := testMap(t, 200, func(i int, d *netmap.Descriptor) {
		if i%2 == 0 {
			d.Country = "US"
		}
		if i%20 == 1 {
			d.Exit, _ = netmap.ParseExitPolicy([]string{"accept *:22"})
		}
	})
	for i := range m.Nodes {
		if m.Nodes[i].Name == "n3" {
			m.Nodes[i].Flags |= netmap.FlagBadExit
		}
	}
	e, err := New(m).Explain(Request{Destination: web(), Country: "DE", Requirements: Requirements{AvoidCountries: []string{"US"}}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range e.Excluded {
		got = append(got, fmt.Sprint(x.Nodes, x.Exit, " ", x.Reason))
		if len(x.Names) != min(x.Nodes, mostNames) {
			t.Errorf("%s: %d names", x.Reason, len(x.Names))
		}
	}
	want := "[100 false its country is avoided 10 true its exit policy does not allow the destination 1 true it is a bad exit]"
	if fmt.Sprint(got) != want {
		t.Errorf("excluded %v, want %s", got, want)
	}
	for _, c := range e.Candidates {
		p := c.Parts
		if p.Entry+p.Links+p.Load+p.Exit+p.Networks != c.Cost || p.Links == 0 || p.Load == 0 || p.Exit == 0 {
			t.Errorf("cost %s of %+v", c.Cost, p)
		}
	}
}
