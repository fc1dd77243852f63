package portmaster

import (
	"slices"

	"safing/portmaster/kernel"
)

// The IP protocols that have ports.
const (
	protocolTCP = 6
	protocolUDP = 17
)

// casesLimit is how many cases the kernel takes for one destination.
const casesLimit = 8

// strictest joins what several names that share an address allow, so that no
// connection gets more than each of the names would: deny before tunnel
// before permit. Two sites on one address are the reason: a rule that sends
// one of them through the tunnel must not be undone by the other.
func strictest(lists [][]kernel.Case) []kernel.Case {
	for len(lists) > 1 && slices.Equal(lists[0], lists[1]) {
		lists = lists[1:]
	}
	if len(lists) == 1 {
		return lists[0]
	}
	tcp, udp, other := joined(lists, protocolTCP), joined(lists, protocolUDP), joined(lists, 0)
	if sameButProtocol(tcp, other) && sameButProtocol(udp, other) {
		return bounded(other)
	}
	return bounded(slices.Concat(tcp, udp, other))
}

// joined is the strictest answer of all lists for each port of one protocol;
// protocol 0 stands for those that are neither TCP nor UDP.
func joined(lists [][]kernel.Case, protocol uint8) []kernel.Case {
	starts := []uint32{0}
	for _, list := range lists {
		for _, c := range list {
			starts = append(starts, uint32(c.PortLow), uint32(c.PortHigh)+1)
		}
	}
	slices.Sort(starts)
	var out []kernel.Case
	for _, start := range slices.Compact(starts) {
		if start > 65535 {
			break
		}
		c := kernel.Case{Protocol: protocol, PortLow: uint16(start), PortHigh: 65535}
		for n, list := range lists {
			action, rule := first(list, protocol, uint16(start))
			if n == 0 || rank(action) > rank(c.Action) {
				c.Action, c.Rule = action, rule
			}
		}
		if last := len(out) - 1; last >= 0 {
			if out[last].Action == c.Action && out[last].Rule == c.Rule {
				continue
			}
			out[last].PortHigh = uint16(start) - 1
		}
		out = append(out, c)
	}
	return out
}

// first is the answer of one list: its first case that matches, or deny.
func first(list []kernel.Case, protocol uint8, port uint16) (kernel.Action, uint32) {
	for _, c := range list {
		if (c.Protocol == 0 || c.Protocol == protocol) && c.PortLow <= port && port <= c.PortHigh {
			return c.Action, c.Rule
		}
	}
	return kernel.Deny, 0
}

func rank(a kernel.Action) int {
	switch a {
	case kernel.Permit:
		return 0
	case kernel.Tunnel:
		return 1
	default:
		return 2
	}
}

func sameButProtocol(a, b []kernel.Case) bool {
	return slices.EqualFunc(a, b, func(x, y kernel.Case) bool {
		x.Protocol = y.Protocol
		return x == y
	})
}

// bounded gives up the distinction between ports when there are too many
// cases for the kernel: the strictest of them holds for all.
func bounded(cases []kernel.Case) []kernel.Case {
	if len(cases) <= casesLimit {
		return cases
	}
	worst := slices.MaxFunc(cases, func(a, b kernel.Case) int { return rank(a.Action) - rank(b.Action) })
	return []kernel.Case{{PortHigh: 65535, Action: worst.Action, Rule: worst.Rule}}
}
