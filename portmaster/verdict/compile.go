package verdict

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"safing/profile"
)

// An Entry is what happens to connections into a network, outside of the
// longer prefixes of the same table.
type Entry struct {
	Prefix netip.Prefix
	Cases  []Case // the first that matches decides; the last is unconditional
}

// Compile returns the kernel's table for an application: all that is decided
// without a name. For every address the entry with the longest prefix says
// what [Engine.Decide] says for a flow without a domain. The entries are in
// order of their prefixes.
func (e *Engine) Compile(app string) []Entry {
	entries, _ := e.policy(app).compile()
	return entries
}

// Check says which rules need more cases for a destination than the kernel
// takes. Such destinations are refused. The error names each profile and
// destination; it joins one error for each profile.
func Check(c Config) error {
	s := New(c).state.Load()
	errs := []error{s.none.check("")}
	for _, p := range c.Profiles {
		errs = append(errs, s.policies[p.ID].check(p.File))
	}
	return errors.Join(errs...)
}

func (p *policy) check(file string) error {
	conditions := 0
	for i := range p.rules {
		if p.rules[i].Protocol != 0 {
			conditions += max(1, len(p.rules[i].Ports))
		}
	}
	if conditions < CasesLimit {
		return nil
	}
	_, where := p.compile()
	if where == "" {
		where = p.fullDomain()
	}
	if where == "" {
		return nil
	}
	if file != "" {
		file += ": "
	}
	return fmt.Errorf("%s%s: more than %d protocols or port ranges are named for %s, which is refused: join ports to ranges or remove rules", file, p.name, CasesLimit, where)
}

// fullDomain returns a domain with too many cases among those that rules name.
func (p *policy) fullDomain() string {
	var none registry // no lists are asked
	bare := *p
	bare.feeds = nil
	for i := range p.rules {
		if d := p.rules[i].Domain; d != "" {
			if _, _, ok := bare.collect(&none, profile.Flow{Domain: d}, nil); !ok {
				return d
			}
		}
	}
	return ""
}

// A table finds the rules that hold for a prefix.
type table struct {
	rules    map[netip.Prefix][]int // by the prefix that they are about
	internet []int                  // about what is not in a local scope
	bits     [2][]int               // lengths of prefixes, in order; IPv4 and IPv6
}

func (p *policy) compile() (entries []Entry, full string) {
	t := p.table()
	prefixes := make([]netip.Prefix, 0, len(t.rules))
	for prefix := range t.rules {
		prefixes = append(prefixes, prefix)
	}
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(a.Addr().BitLen(), b.Addr().BitLen()), cmp.Compare(a.Bits(), b.Bits()), a.Addr().Compare(b.Addr()))
	})
	all := make(map[netip.Prefix][]Case, len(prefixes))
	for _, prefix := range prefixes {
		cases, ok := p.cases(t.holding(prefix))
		if !ok {
			cases, full = p.refuseAll(), prefix.String()
		}
		all[prefix] = cases
		if around, ok := t.around(prefix); ok && slices.Equal(all[around], cases) {
			continue
		}
		entries = append(entries, Entry{prefix, cases})
	}
	return entries, full
}

// cases joins rules, which are given by their places, with the default.
func (p *policy) cases(rules []int) ([]Case, bool) {
	var l caseList
	for _, i := range rules {
		r := &p.rules[i]
		l.add(r.decision, r.Protocol, r.Ports)
		if l.full || l.done {
			return l.cases, !l.full
		}
	}
	l.add(p.fallback, 0, nil)
	return l.cases, !l.full
}

// table sorts the rules by prefix. Rules about domains are not part of it.
func (p *policy) table() *table {
	whole := []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	t := &table{rules: make(map[netip.Prefix][]int)}
	add := func(prefixes []netip.Prefix, rules ...int) {
		for _, prefix := range prefixes {
			t.rules[prefix] = append(t.rules[prefix], rules...)
		}
	}
	add(whole)
	for i := range p.rules {
		switch r := &p.rules[i]; {
		case r.Kind == profile.Any:
			add(whole, i)
		case r.Kind == profile.Network:
			add([]netip.Prefix{r.Prefix}, i)
		case r.Kind == profile.InScope && r.Scope == profile.Internet:
			t.internet = append(t.internet, i)
			add(profile.Localhost.Prefixes()) // they are where it ends
			add(profile.LAN.Prefixes())
		case r.Kind == profile.InScope:
			add(r.Scope.Prefixes(), i)
		}
	}
	for prefix := range t.rules {
		f := family(prefix)
		if at, found := slices.BinarySearch(t.bits[f], prefix.Bits()); !found {
			t.bits[f] = slices.Insert(t.bits[f], at, prefix.Bits())
		}
	}
	return t
}

func family(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

// holding returns the places of the rules about a prefix or one around it, in
// order. Prefixes lie inside each other or apart, so these are the rules that
// hold for an address whose longest prefix this is.
func (t *table) holding(p netip.Prefix) []int {
	var rules []int
	for _, bits := range t.bits[family(p)] {
		if bits > p.Bits() {
			break
		}
		rules = append(rules, t.rules[netip.PrefixFrom(p.Addr(), bits).Masked()]...)
	}
	if len(t.internet) > 0 && !local(p) {
		rules = append(rules, t.internet...)
	}
	slices.Sort(rules)
	return rules
}

// local says whether a prefix lies within a local scope.
func local(p netip.Prefix) bool {
	for _, s := range []profile.Scope{profile.Localhost, profile.LAN} {
		for _, q := range s.Prefixes() {
			if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
				return true
			}
		}
	}
	return false
}

// around is the next shorter prefix of the table that holds p.
func (t *table) around(p netip.Prefix) (netip.Prefix, bool) {
	for _, bits := range slices.Backward(t.bits[family(p)]) {
		if bits >= p.Bits() {
			continue
		}
		q := netip.PrefixFrom(p.Addr(), bits).Masked()
		if _, ok := t.rules[q]; ok {
			return q, true
		}
	}
	return netip.Prefix{}, false
}
