package verdict

import (
	"fmt"
	"slices"

	"safing/feed"
	"safing/profile"
)

// A policy is what holds for one application. It does not change.
type policy struct {
	name     string // for errors
	rules    []rule // the profile's own first
	own      int    // how many are the profile's own
	feeds    []*feed.Feed
	fallback Decision // the default
	tooMany  Decision // where the rules need more cases than the kernel takes
}

type rule struct {
	profile.Rule
	decision Decision
}

// newPolicy joins a profile with what holds for all; p is nil for
// applications without one.
func newPolicy(r *registry, c Config, p *profile.Profile) *policy {
	out := &policy{name: "applications without a profile", feeds: c.Feeds}
	action, reason := c.Default, "default for applications without a profile"
	if p != nil {
		out.name = fmt.Sprintf("profile %q", p.Name)
		out.own = len(p.Rules)
		for _, x := range p.Rules {
			why := fmt.Sprintf("rule %q of %s%s", x.Text, out.name, place(x))
			out.rules = append(out.rules, rule{x, r.pin(Decision{Action: x.Action, Reason: why, Rule: x.Text, Layer: LayerProfile})})
		}
		if !p.UsesLists() {
			out.feeds = nil
		}
		reason = "default for all applications, as " + out.name + " names none"
		if p.Default != "" {
			action, reason = p.Default, "default of "+out.name
		}
		if !action.Valid() {
			action = profile.Deny
		}
	}
	for _, x := range c.Rules {
		why := fmt.Sprintf("rule %q for all applications%s", x.Text, place(x))
		out.rules = append(out.rules, rule{x, r.pin(Decision{Action: x.Action, Reason: why, Rule: x.Text, Layer: LayerGlobal})})
	}
	out.fallback = r.pin(Decision{Action: action, Reason: reason, Rule: fmt.Sprintf("default = %q", action), Layer: LayerDefault})
	out.tooMany = r.pin(Decision{
		Action: profile.Deny, Layer: LayerProfile,
		Reason: fmt.Sprintf("the rules for %s name more than %d protocols or port ranges for this destination, so all of it is refused: join ports to ranges", out.name, CasesLimit),
	})
	return out
}

// place is where a rule stands, in brackets.
func place(r profile.Rule) string {
	switch {
	case r.File == "":
		return ""
	case r.Line == 0:
		return " (" + r.File + ")"
	default:
		return fmt.Sprintf(" (%s:%d)", r.File, r.Line)
	}
}

// listed looks for the name, and those over which its answer led, in lists.
func (p *policy) listed(r *registry, f profile.Flow) (Decision, bool) {
	if f.Domain == "" {
		return Decision{}, false
	}
	for _, list := range p.feeds {
		if e, ok := list.Lookup(f.Domain); ok {
			return r.number(listDecision(list, e, "")), true
		}
		for _, alias := range f.CNAMEs {
			if e, ok := list.Lookup(alias); ok {
				return r.number(listDecision(list, e, fmt.Sprintf("; %s is an alias of %s", f.Domain, alias))), true
			}
		}
	}
	return Decision{}, false
}

func listDecision(list *feed.Feed, e feed.Entry, more string) Decision {
	return Decision{
		Action: profile.Deny, Layer: LayerLists, Rule: list.Name + ": " + e.Domain,
		Reason: fmt.Sprintf("blocked by list %q: entry %s, line %d%s", list.Name, e.Domain, e.Line, more),
	}
}

// DecideDomain answers for a DNS question, before addresses are known. cnames
// are the aliases over which an answer led, if there is one already.
//
// Deny means that the name need not be resolved: a rule or a list refuses it
// by name, or nothing but deny is possible. Otherwise rules about addresses,
// protocols and ports may decide later, and all that is possible then counts.
// Tunnel means that a connection may be tunnelled: the question has to be, as
// it tells as much. Permit means that nothing else is possible. Where decided
// is false, the name may be resolved, and the connection is judged when it is
// opened.
func (e *Engine) DecideDomain(app, domain string, cnames []string) (d Decision, decided bool) {
	p := e.policy(app)
	last, byName, possible := p.named(&e.reasons, profile.Flow{Domain: domain, CNAMEs: cnames})
	if byName && last.Action == profile.Deny && !slices.ContainsFunc(possible, func(r *rule) bool {
		return r.Action != profile.Deny && !aboutAddr(r)
	}) {
		return last, true
	}
	if last.Action == profile.Tunnel {
		return last, true
	}
	if i := slices.IndexFunc(possible, func(r *rule) bool { return r.Action == profile.Tunnel }); i >= 0 {
		return possible[i].decision, true
	}
	other := slices.ContainsFunc(possible, func(r *rule) bool { return r.Action != last.Action })
	return last, !other
}

// named returns the first decision that holds for all connections by a name,
// whether it is about names, and the rules before it that hold for some.
func (p *policy) named(r *registry, f profile.Flow) (d Decision, byName bool, possible []*rule) {
	for i := range p.rules {
		x := &p.rules[i]
		if !aboutAddr(x) && !x.MatchesTarget(f) {
			continue
		}
		if !aboutAddr(x) && x.Protocol == 0 {
			return x.decision, x.Kind != profile.Any, possible
		}
		possible = append(possible, x)
	}
	if d, ok := p.listed(r, f); ok {
		return d, true, possible
	}
	return p.fallback, false, possible
}

func aboutAddr(r *rule) bool { return r.Kind == profile.Network || r.Kind == profile.InScope }
