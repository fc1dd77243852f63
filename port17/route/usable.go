package route

import (
	"net/netip"
	"slices"
	"time"

	"safing/netmap"
	"safing/tinker"
)

// What is known of a node.
const (
	isUsable uint8 = 1 << iota
	isUnusable
	isExit
	isNoExit
)

// usable says whether the node may be on a route.
func (s *search) usable(i int32) bool {
	if s.state[i]&(isUsable|isUnusable) == 0 {
		s.state[i] |= isUnusable
		if s.whyNot(i) == "" {
			s.state[i] ^= isUsable | isUnusable
		}
	}
	return s.state[i]&isUsable != 0
}

// whyNot says why the node can't be on a route; "" if it can.
func (s *search) whyNot(i int32) string {
	n := &s.f.m.Nodes[i]
	if s.r.Exclude[n.ID] {
		return "it failed recently"
	}
	if why := s.filter.why(n); why != "" {
		return why
	}
	if n.Closed {
		return "it takes no new circuits"
	}
	if s.f.isolated(int(i)) {
		return "it has no link that both ends publish"
	}
	if !(s.r.WithoutKeys && n.Keys == nil) && !hasPrekey(n, s.now, s.r.Suites) {
		return "it has no prekey for now"
	}
	return ""
}

// hasPrekey says whether hellos can be made for the node. It spares the errors
// of prekeys for other times, which say a lot.
func hasPrekey(n *netmap.Node, now time.Time, suites []tinker.SuiteID) bool {
	if n.Keys == nil {
		return false
	}
	at := now.Unix()
	for i := range n.Keys.Prekeys {
		p := &n.Keys.Prekeys[i]
		if len(suites) > 0 && !slices.Contains(suites, p.Suite) {
			continue
		}
		if p.NotBefore <= at && at < p.NotAfter && p.Check(now) == nil {
			return true
		}
	}
	return false
}

// mayExit says whether the node may be the exit.
func (s *search) mayExit(i int32) bool {
	if s.state[i]&(isExit|isNoExit) == 0 {
		s.state[i] |= isNoExit
		if s.whyNoExit(i) == "" {
			s.state[i] ^= isExit | isNoExit
		}
	}
	return s.state[i]&isExit != 0 && s.usable(i)
}

// whyNoExit says why a node that can be on a route can't be its exit; "" if it
// can.
func (s *search) whyNoExit(i int32) string {
	n := &s.f.m.Nodes[i]
	switch {
	case n.Flags&netmap.FlagBadExit != 0:
		return "it is a bad exit"
	case !s.exitAllows(i):
		return "its exit policy does not allow the destination"
	case s.r.Unencrypted && s.f.trusted && n.Flags&netmap.FlagTrusted == 0:
		return "it is no trusted exit, and the connection is not encrypted"
	case slices.Contains(s.r.AvoidExits, n.ID):
		return "it is an exit to avoid"
	case len(s.r.Exits) > 0 && !slices.Contains(s.r.Exits, n.ID):
		return "it is none of the exits wanted"
	case len(s.r.ExitCountries) > 0 && !slices.Contains(s.r.ExitCountries, n.Country):
		return "it is in none of the exits' countries wanted"
	}
	return ""
}

// exitAllows says whether the node's policy allows the destination. What it says
// of the node's own addresses is in none that others have, too.
func (s *search) exitAllows(i int32) bool {
	n, policy := &s.f.m.Nodes[i], s.f.exits[i].policy
	to := s.r.Destination
	isOwn := func(a netip.AddrPort) bool { return a.Addr() == to.Addr().Unmap() }
	switch {
	case !s.allows[policy]:
		return false
	case policy == ownPolicy && !to.Addr().IsValid():
		return n.Exit.AllowsPort(to.Port())
	case policy == ownPolicy, slices.ContainsFunc(n.Addresses, isOwn),
		slices.ContainsFunc(n.Entrances, func(e netmap.Entrance) bool { return isOwn(e.Addr) }):
		return n.Allows(to)
	}
	return true
}
