package audit

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"safing/netmap"
)

// A Diff is how a map differs from an older one.
type Diff struct {
	Network string    `json:"network"`
	Old     uint64    `json:"old"` // sequence
	New     uint64    `json:"new"`
	From    time.Time `json:"from"` // from when the two are valid
	To      time.Time `json:"to"`

	Joined   []NodeRef  `json:"joined"`
	Left     []NodeRef  `json:"left"`
	Changed  []Change   `json:"changed"`
	Linked   []LinkRef  `json:"linked"`
	Unlinked []LinkRef  `json:"unlinked"`
	Said     []StateRef `json:"said"`      // statements that are new
	Unsaid   []StateRef `json:"withdrawn"` // those that are not in force any more
}

// A NodeRef names a node.
type NodeRef struct {
	ID      netmap.NodeID `json:"id"`
	Name    string        `json:"name"` // "" if it is on neither map
	Owner   string        `json:"owner,omitempty"`
	Country string        `json:"country,omitempty"`
}

// A Change is what is different about a node.
type Change struct {
	NodeRef
	Fields []Field `json:"fields"`
}

// A Field is one property, as text.
type Field struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// A LinkRef is a link between two nodes.
type LinkRef struct {
	A   NodeRef       `json:"a"`
	B   NodeRef       `json:"b"`
	RTT time.Duration `json:"rtt"` // nanoseconds
}

// A StateRef is what an authority says.
type StateRef struct {
	Authority string    `json:"authority"` // URL
	Date      time.Time `json:"date"`
	Says      string    `json:"says"` // such as "suspend", or "canary good"
	Node      *NodeRef  `json:"node,omitempty"`
	Reason    string    `json:"reason,omitempty"`
}

// Compare returns how next differs from old, both of the network. What changes
// all the time is left out unless traffic is set: loads, measured capacities, and
// the round trips and paths of links that stay.
func Compare(n *netmap.Network, old, next *netmap.Map, traffic bool) Diff {
	d := Diff{
		Network: next.Network, Old: old.Sequence, New: next.Sequence, From: old.ValidAfter, To: next.ValidAfter,
		Joined: []NodeRef{}, Left: []NodeRef{}, Changed: []Change{}, Linked: []LinkRef{}, Unlinked: []LinkRef{}, Said: []StateRef{}, Unsaid: []StateRef{},
	}
	for i := range old.Nodes {
		if _, ok := next.Index(old.Nodes[i].ID); !ok {
			d.Left = append(d.Left, ref(&old.Nodes[i]))
		}
	}
	for i := range next.Nodes {
		was, ok := old.Node(next.Nodes[i].ID)
		if !ok {
			d.Joined = append(d.Joined, ref(&next.Nodes[i]))
			continue
		}
		if f := changes(&was, &next.Nodes[i], traffic); len(f) > 0 {
			d.Changed = append(d.Changed, Change{ref(&next.Nodes[i]), f})
		}
	}
	d.links(old, next, traffic)
	d.Said, d.Unsaid = statements(n, next, old), statements(n, old, next)
	return d
}

// Empty says whether nothing is different.
func (d *Diff) Empty() bool {
	return len(d.Joined)+len(d.Left)+len(d.Changed)+len(d.Linked)+len(d.Unlinked)+len(d.Said)+len(d.Unsaid) == 0
}

func ref(n *netmap.Node) NodeRef {
	return NodeRef{ID: n.ID, Name: n.Name, Owner: n.Owner, Country: n.Country}
}

// changes compares what a node is, one field after the other.
func changes(a, b *netmap.Node, traffic bool) (all []Field) {
	add := func(name, before, after string) {
		if before != after {
			all = append(all, Field{name, before, after})
		}
	}
	add("name", a.Name, b.Name)
	add("owner", a.Owner, b.Owner)
	add("owner key", netmap.OwnerKey(a.OwnerKey).String(), netmap.OwnerKey(b.OwnerKey).String())
	add("group", a.Group, b.Group)
	add("country", a.Country, b.Country)
	add("AS", strconv.FormatUint(uint64(a.ASN), 10), strconv.FormatUint(uint64(b.ASN), 10))
	add("contact", a.Contact, b.Contact)
	add("version", a.Version, b.Version)
	add("addresses", places(a), places(b))
	add("exit", Policy(a.Exit.Rules()), Policy(b.Exit.Rules()))
	add("flags", strings.Join(Flags(a), " "), strings.Join(Flags(b), " "))
	add("greatest delay", a.MaxDelay.String(), b.MaxDelay.String())
	add("padding", strconv.Itoa(a.MaxPadding), strconv.Itoa(b.MaxPadding))
	if traffic {
		add("capacity", strconv.FormatUint(a.Measured, 10), strconv.FormatUint(b.Measured, 10))
		add("load", strconv.Itoa(a.Load), strconv.Itoa(b.Load))
	}
	return all
}

// Flags returns what authorities and the node itself say of it: trusted,
// bad-exit, closed, and exit if it is one.
func Flags(n *netmap.Node) []string {
	flags := []string{}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"trusted", n.Flags&netmap.FlagTrusted != 0},
		{"bad-exit", n.Flags&netmap.FlagBadExit != 0},
		{"closed", n.Closed},
		{"exit", len(n.Exit.Rules()) > 0},
	} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	return flags
}

// Policy returns the rules of an exit policy in one line: the name of a preset
// where there is one.
func Policy(rules []string) string {
	for _, p := range netmap.ExitPresets() {
		if slices.Equal(p.Rules, rules) {
			return p.Name
		}
	}
	return strings.Join(rules, ", ")
}

func places(n *netmap.Node) string {
	var all []string
	for _, a := range n.Addresses {
		all = append(all, a.String())
	}
	for _, e := range n.Entrances {
		all = append(all, e.String())
	}
	return strings.Join(all, " ")
}

// links compares the links of both maps.
func (d *Diff) links(old, next *netmap.Map, traffic bool) {
	was, is := linksOf(old), linksOf(next)
	for _, l := range is {
		if _, ok := slices.BinarySearchFunc(was, l, compareLinks); !ok {
			d.Linked = append(d.Linked, l.ref(next))
		}
	}
	for _, l := range was {
		at, ok := slices.BinarySearchFunc(is, l, compareLinks)
		if !ok {
			d.Unlinked = append(d.Unlinked, l.ref(old))
			continue
		}
		if traffic {
			if f := l.changes(is[at]); len(f) > 0 {
				a, b := l.ref(old).A, l.ref(old).B
				d.Changed = append(d.Changed, Change{a, prefixed("link to "+cmp.Or(b.Name, b.ID.Short())+": ", f)})
			}
		}
	}
}

func prefixed(with string, fields []Field) []Field {
	for i := range fields {
		fields[i].Name = with + fields[i].Name
	}
	return fields
}

// A pair is a link, at its lesser end.
type pair struct {
	a, b  netmap.NodeID
	edge  netmap.Edge
	index int // of a
}

func compareLinks(x, y pair) int {
	return cmp.Or(bytes.Compare(x.a[:], y.a[:]), bytes.Compare(x.b[:], y.b[:]))
}

// linksOf returns every link once, in the order of their ends.
func linksOf(m *netmap.Map) (all []pair) {
	for i := range m.Nodes {
		for _, e := range m.Edges(i) {
			if e.To > i {
				all = append(all, pair{m.Nodes[i].ID, m.Nodes[e.To].ID, e, i})
			}
		}
	}
	slices.SortFunc(all, compareLinks)
	return all
}

func (p pair) ref(m *netmap.Map) LinkRef {
	return LinkRef{A: ref(&m.Nodes[p.index]), B: ref(&m.Nodes[p.edge.To]), RTT: p.edge.RTT}
}

func (p pair) changes(next pair) (all []Field) {
	if p.edge.RTT != next.edge.RTT {
		all = append(all, Field{"round trip", p.edge.RTT.String(), next.edge.RTT.String()})
	}
	if a, b := crossed(p.edge.Crossed), crossed(next.edge.Crossed); a != b {
		all = append(all, Field{"crosses", a, b})
	}
	return all
}

func crossed(c *netmap.Crossed) string {
	how := "as far as is known"
	if c.Traced {
		how = "traced"
	}
	return fmt.Sprintf("AS %v, %v, %s", c.ASNs, c.Countries, how)
}

// statements returns what the map has that the other has not.
func statements(n *netmap.Network, m, without *netmap.Map) []StateRef {
	found := []StateRef{}
	for _, notice := range m.Notices {
		if slices.ContainsFunc(without.Notices, func(o netmap.Notice) bool { return bytes.Equal(o.Signed, notice.Signed) }) {
			continue
		}
		s, err := n.OpenStatement(notice.Signed)
		if err != nil {
			found = append(found, StateRef{Says: "what can't be read: " + err.Error()})
			continue
		}
		r := StateRef{Authority: n.Authorities[s.Authority].URL, Date: s.Date}
		switch {
		case s.Canary == nil:
			r.Says, r.Reason, r.Node = s.Moderation.Action.String(), s.Moderation.Reason, &NodeRef{ID: s.Moderation.Node}
			for _, on := range []*netmap.Map{without, m} {
				if node, ok := on.Node(s.Moderation.Node); ok {
					*r.Node = ref(&node)
				}
			}
		case s.Canary.Good:
			r.Says = "canary until " + s.Canary.Until.Format(time.DateOnly)
		default:
			r.Says = "canary withdrawn"
		}
		found = append(found, r)
	}
	return found
}
