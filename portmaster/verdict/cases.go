package verdict

import "safing/profile"

// CasesLimit is how many cases the kernel takes for one destination.
const CasesLimit = 8

// A Case is a condition on protocol and ports, and what happens then. It has
// the shape of the kernel's.
type Case struct {
	Protocol          uint8  // as in the IP header; 0: any, with all ports
	PortLow, PortHigh uint16 // 0 and 65535: any
	Action            profile.Action
	Rule              uint32 // number of the reason
}

func (c Case) matches(protocol uint8, port uint16) bool {
	return (c.Protocol == 0 || c.Protocol == protocol) && c.PortLow <= port && port <= c.PortHigh
}

// covers says whether d can match nothing that c does not.
func (c Case) covers(d Case) bool {
	return (c.Protocol == 0 || c.Protocol == d.Protocol) && c.PortLow <= d.PortLow && d.PortHigh <= c.PortHigh
}

// unconditional says whether nothing after the case matters.
func (c Case) unconditional() bool {
	return c.Protocol == 0 && c.PortLow == 0 && c.PortHigh == 65535
}

// A caseList collects the cases of rules in their order.
type caseList struct {
	cases []Case
	last  Decision // of the unconditional case
	done  bool     // it is there
	full  bool     // there was no room for one
}

// add takes the cases of a decision that holds for a protocol and ports. A
// case that earlier ones leave nothing to is passed over.
func (l *caseList) add(d Decision, protocol uint8, ports []profile.PortRange) {
	if protocol == 0 || len(ports) == 0 {
		l.put(Case{Protocol: protocol, PortHigh: 65535, Action: d.Action, Rule: d.RuleID}, d)
		return
	}
	for _, p := range ports {
		l.put(Case{Protocol: protocol, PortLow: p.Low, PortHigh: p.High, Action: d.Action, Rule: d.RuleID}, d)
	}
}

func (l *caseList) put(c Case, d Decision) {
	for _, before := range l.cases {
		if before.covers(c) {
			return
		}
	}
	if len(l.cases) == CasesLimit {
		l.full = true
		return
	}
	l.cases = append(l.cases, c)
	if c.unconditional() {
		l.last, l.done = d, true
	}
}

// collect appends the cases of what holds for a flow, without regard to its
// own protocol and port, to the room that is passed; the last is
// unconditional and comes from the returned decision. ok is false when there
// are too many.
func (p *policy) collect(r *registry, f profile.Flow, room []Case) (cases []Case, last Decision, ok bool) {
	l := caseList{cases: room}
	for i := range p.rules {
		x := &p.rules[i]
		if !x.MatchesTarget(f) {
			continue
		}
		l.add(x.decision, x.Protocol, x.Ports)
		if l.full {
			return nil, Decision{}, false
		}
		if l.done {
			return l.cases, l.last, true
		}
	}
	d, listed := p.listed(r, f)
	if !listed {
		d = p.fallback
	}
	l.add(d, 0, nil)
	return l.cases, l.last, !l.full
}

// CompileAddr returns the cases for an address that a DNS answer gave for the
// flow's domain. Protocol and port of the flow do not matter. The last case is
// unconditional.
func (e *Engine) CompileAddr(app string, f profile.Flow) []Case {
	p := e.policy(app)
	cases, _, ok := p.collect(&e.reasons, f, nil)
	if !ok {
		return p.refuseAll()
	}
	return cases
}

// refuseAll stands for cases that are too many.
func (p *policy) refuseAll() []Case {
	return []Case{{PortHigh: 65535, Action: p.tooMany.Action, Rule: p.tooMany.RuleID}}
}
