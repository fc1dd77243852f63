package profile

import (
	"net/netip"
	"strings"
)

// The IP protocols that rules can name; 0 stands for any.
const (
	TCP = 6
	UDP = 17
)

// A Flow is a connection, or a packet without one, that asks for a verdict.
// Domains are lower case, in A-labels, without a final dot.
type Flow struct {
	Domain   string     // the name whose DNS answer held the address, or empty
	CNAMEs   []string   // the aliases over which the answer led
	Addr     netip.Addr // the zero Addr while only a name is known
	Port     uint16
	Protocol uint8 // as in the IP header
}

// Matches says whether the rule is about the flow.
func (r *Rule) Matches(f Flow) bool {
	return r.MatchesProtocol(f.Protocol, f.Port) && r.MatchesTarget(f)
}

// MatchesTarget is [Rule.Matches] without regard to protocol and port.
func (r *Rule) MatchesTarget(f Flow) bool {
	switch r.Kind {
	case Any:
		return true
	case Network:
		return f.Addr.IsValid() && r.Prefix.Contains(f.Addr.Unmap().WithZone(""))
	case InScope:
		return f.Addr.IsValid() && ScopeOf(f.Addr) == r.Scope
	}
	if r.matchesDomain(f.Domain) {
		return true
	}
	if r.Action != Deny {
		return false // an alias must not bring a permission
	}
	for _, name := range f.CNAMEs {
		if r.matchesDomain(name) {
			return true
		}
	}
	return false
}

func (r *Rule) matchesDomain(name string) bool {
	if name == "" {
		return false
	}
	switch r.Kind {
	case Exact:
		return name == r.Domain
	case Suffix:
		head, ok := strings.CutSuffix(name, r.Domain)
		return ok && (head == "" || head[len(head)-1] == '.')
	case Prefix:
		return strings.HasPrefix(name, r.Domain)
	case Part:
		return strings.Contains(name, r.Domain)
	default:
		return false
	}
}

// MatchesProtocol says whether the rule's protocol and ports allow for these.
func (r *Rule) MatchesProtocol(protocol uint8, port uint16) bool {
	if r.Protocol == 0 {
		return true
	}
	if r.Protocol != protocol {
		return false
	}
	for _, p := range r.Ports {
		if p.Low <= port && port <= p.High {
			return true
		}
	}
	return len(r.Ports) == 0
}
