package route

import (
	"testing"
	"time"

	"safing/netmap"
)

// Met is as strict as Find is.
func TestRequirementsMet(t *testing.T) {
	m := testMap(t, 4, func(i int, d *netmap.Descriptor) {
		d.ASN = uint32(i)
		d.MaxDelay, d.MaxPadding = time.Second, 100
		if i == 2 {
			d.Country, d.MaxDelay, d.MaxPadding = "SE", time.Millisecond, 10
		}
	})
	nodes := m.Nodes[:3] // n2 is the exit
	for _, test := range []struct {
		name string
		r    Requirements
		want bool
	}{
		{"nothing", Requirements{}, true},
		{"as many nodes", Requirements{Nodes: 3}, true},
		{"more nodes", Requirements{Nodes: 4}, false},
		{"the exit", Requirements{Exits: []netmap.NodeID{m.Nodes[3].ID, m.Nodes[2].ID}}, true},
		{"another exit", Requirements{Exits: []netmap.NodeID{m.Nodes[1].ID}}, false},
		{"not this exit", Requirements{AvoidExits: []netmap.NodeID{m.Nodes[2].ID}}, false},
		{"not a relay as exit", Requirements{AvoidExits: []netmap.NodeID{m.Nodes[1].ID}}, true},
		{"the exit's country", Requirements{ExitCountries: []string{"SE"}}, true},
		{"a relay's country", Requirements{ExitCountries: []string{"DE"}}, false},
		{"no node in a country", Requirements{AvoidCountries: []string{"DE"}}, false},
		{"no node in a network", Requirements{AvoidASNs: []uint32{1}}, false},
		{"delays that all offer", Requirements{Delay: time.Millisecond}, true},
		{"delays that one does not offer", Requirements{Delay: 2 * time.Millisecond}, false},
		{"padding that all offer", Requirements{Padding: 10}, true},
		{"padding that one does not offer", Requirements{Padding: 11}, false},
		{"another network avoided", Requirements{AvoidASNs: []uint32{3}}, true},
	} {
		if got := test.r.Met(Route{Nodes: nodes}); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	if new(Requirements).Met(Route{}) {
		t.Error("a route without nodes will do")
	}
}
