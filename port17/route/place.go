package route

import (
	"net/netip"
	"slices"

	"safing/netmap"
)

// A place is what a search has to know of a node, in few bytes: thousands are
// looked at for one route.
type place struct {
	owner, key, group uint32 // numbers that stand for them; no key and no group are 0
	asn               uint32
	net               uint64   // the first neighbourhood; 0 if there is none
	nets              []uint64 // the further ones
	load              cost
	free              uint32 // capacity, in kB a second
	country           country
	policy            uint16
	flags             netmap.Flags
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

// ownPolicy stands for policies that are too many to give each a number.
const (
	mostPolicies = 64
	ownPolicy    = mostPolicies
)

func newPlaces(nodes []netmap.Node) ([]place, []netmap.ExitPolicy) {
	places := make([]place, len(nodes))
	owners := make(map[string]uint32, len(nodes))
	groups := make(map[string]uint32)
	keys := make(map[[32]byte]uint32)
	var policies []netmap.ExitPolicy
	for i := range nodes {
		n, p := &nodes[i], &places[i]
		p.owner = number(owners, n.Owner)
		if n.Group != "" {
			p.group = number(groups, n.Group)
		}
		if n.OwnerKey != [32]byte{} {
			p.key = number(keys, n.OwnerKey)
		}
		free := freeCapacity(n.Measured, n.Capacity, n.Load)
		p.asn, p.country, p.flags = n.ASN, countryOf(n.Country), n.Flags
		p.load, p.free = loadCost(free, n.Load), uint32(free>>10)
		for _, a := range n.Addresses {
			p.addNet(neighbourhood(a.Addr()))
		}
		for _, e := range n.Entrances {
			p.addNet(neighbourhood(e.Addr.Addr()))
		}
		p.policy, policies = classify(policies, n.Exit)
	}
	return places, policies
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
func classify(policies []netmap.ExitPolicy, p netmap.ExitPolicy) (uint16, []netmap.ExitPolicy) {
	for i := range policies {
		if policies[i].Equal(p) {
			return uint16(i), policies
		}
	}
	if len(policies) == mostPolicies {
		return ownPolicy, policies
	}
	return uint16(len(policies)), append(policies, p)
}

func (p *place) addNet(net uint64) {
	switch {
	case p.net == 0:
		p.net = net
	case p.net != net && !slices.Contains(p.nets, net):
		p.nets = append(p.nets, net)
	}
}

// neighbourhood stands for the prefix that no two nodes of a route share: /16
// of IPv4, /32 of IPv6.
func neighbourhood(a netip.Addr) uint64 {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		return 1<<32 | uint64(b[0])<<8 | uint64(b[1])
	}
	b := a.As16()
	return 1<<33 | uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
}

// conflict says whether the two nodes must not be on one route.
func (f *Finder) conflict(i, j int32) bool {
	a, b := &f.places[i], &f.places[j]
	switch {
	case i == j, a.owner == b.owner, a.group != 0 && a.group == b.group, a.key != 0 && a.key == b.key:
		return true
	case a.net != 0 && a.net == b.net:
		return true
	case a.nets == nil && b.nets == nil:
		return false
	}
	return slices.Contains(b.nets, a.net) || slices.Contains(a.nets, b.net) ||
		slices.ContainsFunc(a.nets, func(n uint64) bool { return slices.Contains(b.nets, n) })
}
