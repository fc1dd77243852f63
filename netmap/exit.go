package netmap

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// An ExitPolicy says where a node connects on behalf of others. The first rule
// that matches decides; what no rule matches is refused. The zero value refuses
// everything: the node is no exit.
//
// Addresses of machines and local networks (private, loopback, link-local,
// multicast and the like) only match a rule that names a prefix inside such a
// range. So "accept *:80" never opens the operator's own network.
type ExitPolicy struct {
	rules []exitRule
}

type exitRule struct {
	text   string
	accept bool
	prefix netip.Prefix // not valid means every public address
	ports  []portRange  // none means every port
}

type portRange struct{ low, high uint16 }

// ParseExitPolicy reads rules such as "accept *:80,443", "reject *:25",
// "accept 127.0.0.0/8:*" and "accept [2001:db8::]/32:1000-2000". The names in
// [ExitPresets] stand for rules.
func ParseExitPolicy(rules []string) (ExitPolicy, error) {
	var p ExitPolicy
	for _, text := range rules {
		for _, expanded := range expand(strings.TrimSpace(text)) {
			r, err := parseExitRule(expanded)
			if err != nil {
				return ExitPolicy{}, err
			}
			p.rules = append(p.rules, r)
		}
	}
	if len(p.rules) > maxRules {
		return ExitPolicy{}, fmt.Errorf("exit policy: %d rules, at most %d are allowed", len(p.rules), maxRules)
	}
	return p, nil
}

func parseExitRule(text string) (exitRule, error) {
	bad := func(why string) (exitRule, error) {
		return exitRule{}, fmt.Errorf(`exit policy: rule %q %s: write it like "accept *:80,443" or "reject 192.0.2.0/24:*"`, text, why)
	}
	action, rest, _ := strings.Cut(text, " ")
	r := exitRule{text: text, accept: action == "accept"}
	if !r.accept && action != "reject" {
		return bad("begins with neither accept nor reject")
	}
	at := strings.LastIndexByte(rest, ':')
	if at < 0 {
		return bad("has no port")
	}
	host, ports := rest[:at], rest[at+1:]
	if host != "*" {
		var err error
		if r.prefix, err = parsePrefix(host); err != nil {
			return bad("has an address that can't be read")
		}
	}
	if ports == "*" {
		return r, nil
	}
	for _, part := range strings.Split(ports, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		l, err1 := strconv.ParseUint(low, 10, 16)
		h, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || l == 0 || l > h {
			return bad("has a port that can't be read")
		}
		r.ports = append(r.ports, portRange{uint16(l), uint16(h)})
	}
	return r, nil
}

// parsePrefix reads an address or a prefix; IPv6 addresses may be in brackets.
func parsePrefix(s string) (netip.Prefix, error) {
	s = strings.NewReplacer("[", "", "]", "").Replace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return netip.Prefix{}, errors.New("it has a zone")
		}
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, err
	}
	if p.Addr().Is4In6() {
		return p, errors.New("it is mapped: write it as IPv4")
	}
	return p.Masked(), nil
}

// Rules returns the policy as text, presets expanded.
func (p ExitPolicy) Rules() []string {
	var rules []string
	for _, r := range p.rules {
		rules = append(rules, r.text)
	}
	return rules
}

// Equal says whether the two policies have the same rules.
func (p ExitPolicy) Equal(o ExitPolicy) bool {
	if len(p.rules) != len(o.rules) || len(p.rules) == 0 || &p.rules[0] == &o.rules[0] {
		return len(p.rules) == len(o.rules)
	}
	return slices.EqualFunc(p.rules, o.rules, func(a, b exitRule) bool { return a.text == b.text })
}

// Allows says whether a node with the addresses own connects to the address
// and port. A node's own address leads to its machine, past the firewall before
// it: it only matches an accepting rule that names it alone.
func (p ExitPolicy) Allows(to netip.AddrPort, own ...netip.Addr) bool {
	addr := to.Addr().Unmap().WithZone("") // a prefix contains no address with a zone
	if !addr.IsValid() || to.Port() == 0 {
		return false
	}
	special := specialRange(addr)
	if !special.IsValid() && slices.Contains(own, addr) {
		special = netip.PrefixFrom(addr, addr.BitLen())
	}
	for _, r := range p.rules {
		if r.matchesPort(to.Port()) && r.matchesAddr(addr, special) {
			return r.accept
		}
	}
	return false
}

// AllowsPort says whether the node connects to some address with the port. It
// is what can be known of a destination that is a name.
func (p ExitPolicy) AllowsPort(port uint16) bool {
	for _, r := range p.rules {
		if !r.matchesPort(port) {
			continue
		}
		if r.accept {
			return true
		}
		if !r.prefix.IsValid() {
			// Public addresses are refused from here on; what follows may
			// still accept a special range, but a name should not lead there.
			return false
		}
	}
	return false
}

func (r exitRule) matchesPort(port uint16) bool {
	for _, p := range r.ports {
		if port >= p.low && port <= p.high {
			return true
		}
	}
	return len(r.ports) == 0
}

func (r exitRule) matchesAddr(addr netip.Addr, special netip.Prefix) bool {
	if !special.IsValid() {
		return !r.prefix.IsValid() || r.prefix.Contains(addr)
	}
	inside := r.prefix.IsValid() && r.prefix.Bits() >= special.Bits() && special.Contains(r.prefix.Addr())
	if !r.accept { // refusing is always safe
		return !r.prefix.IsValid() || r.prefix.Contains(addr)
	}
	return inside && r.prefix.Contains(addr)
}
