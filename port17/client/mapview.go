package client

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"safing/netmap"
	"safing/port17/audit"
)

// A MapView is a map for people and programs to read.
type MapView struct {
	Network    string     `json:"network"`
	Sequence   uint64     `json:"sequence"`
	ValidAfter time.Time  `json:"valid_after"`
	ValidUntil time.Time  `json:"valid_until"`
	Nodes      []NodeView `json:"nodes"`
	// Canaries has one of each authority, and Moderation what each says of
	// nodes, those too that are not on the map.
	Canaries   []CanaryView     `json:"canaries"`
	Moderation []ModerationView `json:"moderation"`
	// Unreadable is how many statements no authority of the network's file has
	// signed.
	Unreadable int `json:"unreadable,omitempty"`
}

// A NodeView is one node of a MapView.
type NodeView struct {
	HopInfo
	OwnerKey   netmap.OwnerKey `json:"owner_key,omitzero"`
	Group      string          `json:"group,omitempty"`
	ASN        uint32          `json:"asn,omitempty"`
	Contact    string          `json:"contact,omitempty"`
	Version    string          `json:"version,omitempty"`
	Addresses  []string        `json:"addresses"` // plain TCP
	Entrances  []string        `json:"entrances"` // other wrappings, such as "quic://192.0.2.1:1717"
	Exit       []string        `json:"exit"`
	Flags      []string        `json:"flags"`               // as [audit.Flags] names them
	Measured   uint64          `json:"measured,omitempty"`  // bytes a second; 0 if unknown
	Load       int             `json:"load"`                // percent
	MaxDelay   time.Duration   `json:"max_delay"`           // nanoseconds
	MaxPadding int             `json:"max_padding"`         // cells a second
	KeysUntil  time.Time       `json:"keys_until,omitzero"` // until when its prekeys can be used; zero if it has none
	Links      []LinkView      `json:"links"`
}

// A LinkView is one of a node's links that both ends publish.
type LinkView struct {
	To        netmap.NodeID `json:"to"`
	Name      string        `json:"name"`
	RTT       time.Duration `json:"rtt"`  // nanoseconds
	ASNs      []uint32      `json:"asns"` // that its path crosses, its ends included
	Countries []string      `json:"countries"`
	Traced    bool          `json:"traced"` // or only the ends are known
}

// A CanaryView is an authority's canary.
type CanaryView struct {
	Authority string    `json:"authority"` // URL
	Date      time.Time `json:"date,omitzero"`
	Until     time.Time `json:"until,omitzero"`
	State     string    `json:"state"` // good, withdrawn, late or none
	Text      string    `json:"text,omitempty"`
}

// A ModerationView is what an authority says of a node.
type ModerationView struct {
	Authority string        `json:"authority"` // URL
	Node      netmap.NodeID `json:"node"`
	Name      string        `json:"name,omitempty"` // if the node is on the map
	Action    string        `json:"action"`         // suspend, restore, trust or distrust
	Date      time.Time     `json:"date"`
	Reason    string        `json:"reason"`
	Appeal    string        `json:"appeal,omitempty"` // the node's answer
	// Effective says whether it happens: whether enough authorities say the same.
	Effective bool `json:"effective"`
}

// ViewMap returns a view of the network's map.
func ViewMap(n *netmap.Network, m *netmap.Map) MapView {
	v := MapView{
		Network: m.Network, Sequence: m.Sequence, ValidAfter: m.ValidAfter, ValidUntil: m.ValidUntil,
		Nodes: []NodeView{}, Canaries: []CanaryView{}, Moderation: []ModerationView{},
	}
	for i := range m.Nodes {
		v.Nodes = append(v.Nodes, viewNode(m, i))
	}
	slices.SortStableFunc(v.Nodes, func(a, b NodeView) int { return cmp.Compare(a.Name, b.Name) })
	v.addStatements(n, m)
	return v
}

func viewNode(m *netmap.Map, i int) NodeView {
	n := &m.Nodes[i]
	v := NodeView{
		HopInfo: hopInfo(*n), OwnerKey: n.OwnerKey, Group: n.Group, ASN: n.ASN, Contact: n.Contact, Version: n.Version,
		Addresses: []string{}, Entrances: []string{}, Exit: append([]string{}, n.Exit.Rules()...), Flags: audit.Flags(n),
		Measured: n.Measured, Load: n.Load, MaxDelay: n.MaxDelay, MaxPadding: n.MaxPadding, Links: []LinkView{},
	}
	for _, a := range n.Addresses {
		v.Addresses = append(v.Addresses, a.String())
	}
	for _, e := range n.Entrances {
		v.Entrances = append(v.Entrances, e.String())
	}
	if n.Keys != nil {
		for _, p := range n.Keys.Prekeys {
			if until := time.Unix(p.NotAfter, 0).UTC(); until.After(v.KeysUntil) {
				v.KeysUntil = until
			}
		}
	}
	for _, e := range m.Edges(i) {
		v.Links = append(v.Links, LinkView{
			To: m.Nodes[e.To].ID, Name: m.Nodes[e.To].Name, RTT: e.RTT,
			ASNs: append([]uint32{}, e.ASNs...), Countries: append([]string{}, e.Countries...), Traced: e.Traced,
		})
	}
	return v
}

// addStatements adds what the authorities' operators say.
func (v *MapView) addStatements(n *netmap.Network, m *netmap.Map) {
	var all []netmap.Statement
	appeals := make(map[string]string)
	for _, notice := range m.Notices {
		s, err := n.OpenStatement(notice.Signed)
		if err != nil {
			v.Unreadable++
			continue
		}
		all = append(all, s)
		appeals[string(s.Signed)] = notice.Appeal
	}
	standing := n.Stand(all, m.ValidUntil) // what was too early is not on the map
	for i, a := range n.Authorities {
		v.Canaries = append(v.Canaries, viewCanary(standing, i, a.URL))
	}
	for _, s := range all {
		if s.Moderation == nil {
			continue
		}
		said := s.Moderation
		view := ModerationView{
			Authority: n.Authorities[s.Authority].URL, Node: said.Node, Action: said.Action.String(),
			Date: s.Date, Reason: said.Reason, Appeal: appeals[string(s.Signed)],
		}
		if node, ok := m.Node(said.Node); ok {
			view.Name = node.Name
		}
		switch said.Action {
		case netmap.Suspend:
			view.Effective = standing.Suspended(said.Node)
		case netmap.Restore:
			view.Effective = !standing.Suspended(said.Node)
		case netmap.Trust:
			view.Effective = standing.Trusted(said.Node)
		case netmap.Distrust:
			view.Effective = !standing.Trusted(said.Node)
		}
		v.Moderation = append(v.Moderation, view)
	}
	slices.SortStableFunc(v.Moderation, func(a, b ModerationView) int {
		return cmp.Or(bytes.Compare(a.Node[:], b.Node[:]), a.Date.Compare(b.Date), strings.Compare(a.Authority, b.Authority))
	})
}

func viewCanary(standing *netmap.Standing, authority int, url string) CanaryView {
	c, ok := standing.Canary(authority)
	if !ok {
		return CanaryView{Authority: url, State: "none"}
	}
	v := CanaryView{Authority: url, Date: c.Date, Until: c.Until, State: "good", Text: c.Text}
	switch {
	case !c.Good:
		v.State = "withdrawn"
	case !c.Alive(time.Now()):
		v.State = "late"
	}
	return v
}
