package route

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"safing/netmap"
)

// A place is what a search has to know of a node, in few bytes: thousands are
// looked at for one route.
type place struct {
	owner, key, group uint32 // numbers that stand for them; no key and no group are 0
	asn               uint32
	nets              [4]uint32 // the first neighbourhoods; 0 if there are fewer
	more              bool      // there are further ones, in Finder.nets
	load              cost
	free              uint32 // capacity, in kB a second
}

// An exit is what has to be known of a node as an exit, in still fewer bytes: for
// each route all nodes are looked at.
type exit struct {
	asn     uint32
	country country
	policy  uint8
	trusted bool
}

// A country is a number for each code of two letters, 0 for none.
type country uint16

const countries = 26*26 + 1

func countryOf(code string) country {
	if len(code) != 2 || code[0] < 'A' || code[0] > 'Z' || code[1] < 'A' || code[1] > 'Z' {
		return 0
	}
	return 1 + country(code[0]-'A')*26 + country(code[1]-'A')
}

func (c country) code() string {
	if c == 0 {
		return ""
	}
	return string([]byte{'A' + byte((c-1)/26), 'A' + byte((c-1)%26)})
}

const (
	mostPolicies = 64
	ownPolicy    = mostPolicies     // stands for those that are too many to give each a number
	noPolicy     = mostPolicies + 1 // stands for nodes that are no exit
)

// findPlaces fills in the Finder's places and exits.
func (f *Finder) findPlaces() {
	nodes := f.m.Nodes
	f.places, f.exits = make([]place, len(nodes)), make([]exit, len(nodes))
	owners := make(map[string]uint32, len(nodes))
	groups := make(map[string]uint32)
	keys := make(map[[32]byte]uint32)
	for i := range nodes {
		n, p := &nodes[i], &f.places[i]
		p.owner = number(owners, n.Owner)
		if n.Group != "" {
			p.group = number(groups, n.Group)
		}
		if n.OwnerKey != [32]byte{} {
			p.key = number(keys, n.OwnerKey)
		}
		free := freeCapacity(n.Measured, n.Capacity, n.Load)
		p.asn = n.ASN
		p.load, p.free = loadCost(free, n.Load), uint32(free>>10)
		for _, a := range n.Addresses {
			f.addNet(int32(i), neighbourhood(a.Addr()))
		}
		for _, e := range n.Entrances {
			f.addNet(int32(i), neighbourhood(e.Addr.Addr()))
		}
		f.exits[i] = exit{asn: n.ASN, country: countryOf(n.Country), policy: noPolicy, trusted: trustedExit(n)}
		if hasExit(n) {
			f.exits[i].policy = f.classify(n.Exit)
		}
	}
}

func number[K comparable](numbers map[K]uint32, k K) uint32 {
	n, ok := numbers[k]
	if !ok {
		n = uint32(len(numbers)) + 1
		numbers[k] = n
	}
	return n
}

// classify returns the policy's number, and adds it to those that there are.
func (f *Finder) classify(p netmap.ExitPolicy) uint8 {
	for i := range f.policies {
		if f.policies[i].Equal(p) {
			return uint8(i)
		}
	}
	if len(f.policies) == mostPolicies {
		return ownPolicy
	}
	f.policies = append(f.policies, p)
	return uint8(len(f.policies) - 1)
}

func (f *Finder) addNet(i int32, net uint32) {
	p := &f.places[i]
	for k := range p.nets {
		switch p.nets[k] {
		case net:
			return
		case 0:
			p.nets[k] = net
			return
		}
	}
	if f.nets == nil {
		f.nets = make(map[int32][]uint32)
	}
	p.more = true
	f.nets[i] = append(f.nets[i], net)
}

// neighbourhood stands for the prefix that no two nodes of a route share: /16
// of IPv4, /32 of IPv6. Those of IPv4, and the one of zeros, stand where IPv6
// has multicast addresses.
func neighbourhood(a netip.Addr) uint32 {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		return 0xffff<<16 | uint32(b[0])<<8 | uint32(b[1])
	}
	b := a.As16()
	return cmp.Or(binary.BigEndian.Uint32(b[:4]), 0xfffe<<16)
}

// conflict says whether the two nodes must not be on one route.
func (f *Finder) conflict(i, j int32) bool {
	a, b := &f.places[i], &f.places[j]
	switch {
	case i == j, a.owner == b.owner, a.group != 0 && a.group == b.group, a.key != 0 && a.key == b.key:
		return true
	case a.nets[0] == b.nets[0] && a.nets[0] != 0:
		return true
	case a.nets[1] == 0 && b.nets[1] == 0:
		return false
	}
	return f.neighbours(i, j)
}

// neighbours is conflict for nodes with several addresses.
func (f *Finder) neighbours(i, j int32) bool {
	a, b := &f.places[i], &f.places[j]
	for _, net := range a.nets {
		if net != 0 && (slices.Contains(b.nets[:], net) || b.more && slices.Contains(f.nets[j], net)) {
			return true
		}
	}
	return a.more && slices.ContainsFunc(f.nets[i], func(net uint32) bool {
		return slices.Contains(b.nets[:], net) || b.more && slices.Contains(f.nets[j], net)
	})
}
