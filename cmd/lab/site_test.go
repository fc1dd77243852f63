package main

import (
	"net/netip"
	"testing"
	"time"

	"safing/internal/wan"
)

// Whatever their number, nodes stand apart, and the smallest networks have
// routes: three nodes of three owners.
func TestSites(t *testing.T) {
	for _, test := range []struct{ nodes, exits int }{{3, 1}, {3, 3}, {4, 2}, {7, 4}, {7, 1}, {9, 8}, {maxNodes, 20}, {maxNodes, maxNodes}} {
		exits := 0
		addresses, names, owners := map[netip.Addr]bool{}, map[string]bool{}, map[string]bool{}
		for _, s := range sites(test.nodes, test.exits) {
			addresses[s.address(true)], addresses[s.address(false)], names[s.name], owners[s.owner] = true, true, true, true
			if s.exit {
				exits++
			}
		}
		if exits != test.exits || len(names) != test.nodes || len(addresses) != 2*test.nodes || len(owners) < 3 {
			t.Errorf("%+v: %d exits, %d names, %d addresses, %d owners", test, exits, len(names), len(addresses), len(owners))
		}
	}
}

func TestPlan(t *testing.T) {
	good := usual("127.0.0.1:0")
	if err := good.validate(); err != nil {
		t.Errorf("the usual network: %v", err)
	}
	for what, change := range map[string]func(*plan){
		"two nodes":  func(p *plan) { p.nodes = 2 },
		"many nodes": func(p *plan) { p.nodes = maxNodes + 1 },
		"no exit":    func(p *plan) { p.exits = 0 },
		"more exits": func(p *plan) { p.exits = p.nodes + 1 },
		"no client":  func(p *plan) { p.clients = 0 },
		"negative":   func(p *plan) { p.link = wan.Link{Delay: -time.Second} },
	} {
		p := good
		change(&p)
		if p.validate() == nil {
			t.Errorf("%s: taken", what)
		}
	}
}
