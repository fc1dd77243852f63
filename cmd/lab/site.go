package main

import (
	"errors"
	"fmt"
	"net/netip"

	"safing/internal/wan"
)

// A plan says which network to start.
type plan struct {
	nodes, exits, clients int
	socks                 string   // where the first client's proxy listens
	link                  wan.Link // of every two hosts; none: all on loopback
	seed                  uint64   // of what is lost
}

// usual is the network that a lab has.
func usual(socks string) plan {
	return plan{nodes: len(named()), exits: 4, clients: 1, socks: socks}
}

const (
	maxNodes   = 200
	maxClients = 200
)

func (p plan) validate() error {
	switch {
	case p.nodes < 3 || p.nodes > maxNodes:
		return fmt.Errorf("a network has 3 to %d nodes: change --nodes", maxNodes)
	case p.exits < 1 || p.exits > p.nodes:
		return errors.New("at least one node, and at most all, can be exits: change --exits")
	case p.clients < 1 || p.clients > maxClients:
		return fmt.Errorf("a network has 1 to %d clients: change --clients", maxClients)
	}
	return p.link.Validate()
}

// A site is where a node of the lab pretends to stand.
type site struct {
	name, owner, country string
	asn                  uint32
	place                byte // the second byte of its address
	exit                 bool
}

// address is one in a /16 of the site's own, because routes never use two nodes
// of one.
func (s site) address(onLoopback bool) netip.Addr {
	if onLoopback {
		return netip.AddrFrom4([4]byte{127, s.place, 0, 1})
	}
	return netip.AddrFrom4([4]byte{10, s.place, 0, 1})
}

// named are seven nodes of four owners in five countries. Every owner runs an
// exit, so that a route remains when one of them fails. The first four are of
// different owners, so that a network of fewer has routes, too.
func named() []site {
	return []site{
		{"alder", "ada", "DE", 64501, 11, false},
		{"cedar", "ben", "NL", 64503, 13, false},
		{"elm", "cleo", "CH", 64505, 15, false},
		{"ginkgo", "dan", "NL", 64503, 17, true},
		{"birch", "ada", "FR", 64502, 12, true},
		{"dogwood", "ben", "SE", 64504, 14, true},
		{"fir", "cleo", "DE", 64501, 16, true},
	}
}

// sites are those of a network: the named ones and then as many more as it
// takes, each of an owner of its own. The named exits are the first to be
// exits, then the last nodes.
func sites(nodes, exits int) []site {
	all := named()
	all = all[:min(nodes, len(all))]
	for i := len(all); i < nodes; i++ {
		country := all[i%7].country
		all = append(all, site{fmt.Sprint("node", i+1), fmt.Sprint("owner", i+1), country, uint32(64501 + i), byte(11 + i), false})
	}
	for i := range all {
		all[i].exit = all[i].exit && exits > 0
		if all[i].exit {
			exits--
		}
	}
	for i := len(all) - 1; i >= 0 && exits > 0; i-- {
		if !all[i].exit {
			all[i].exit = true
			exits--
		}
	}
	return all
}
