package netmap

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// A Standing is what statements come to. It is a pure function of them: all who
// have the same statements have the same Standing.
type Standing struct {
	threshold int
	newest    map[subject]Statement
	agreed    map[subject]int // how many ask for it; authority is 0
}

// A subject is what an authority has one opinion about: a node's suspension, its
// trust, or the authority itself.
type subject struct {
	authority int
	kind      Action // Suspend, Trust, or 0 for canaries
	node      NodeID
}

// Stand judges the statements at a time. Of each authority the newest about a
// subject is in force; those of a later date than the time don't count yet. Of
// two of the same second the one counts that asks for more care.
func (n *Network) Stand(statements []Statement, at time.Time) *Standing {
	s := &Standing{threshold: n.Threshold, newest: make(map[subject]Statement), agreed: make(map[subject]int)}
	for _, next := range statements {
		about := next.subject()
		if last, ok := s.newest[about]; !next.Date.After(at) && (!ok || next.supersedes(last)) {
			s.newest[about] = next
		}
	}
	for about, n := range s.newest {
		if n.Moderation != nil && n.Moderation.Action == about.kind {
			s.agreed[subject{kind: about.kind, node: about.node}]++
		}
	}
	return s
}

func (s Statement) subject() subject {
	if s.Canary != nil {
		return subject{authority: s.Authority}
	}
	kind := s.Moderation.Action
	switch kind {
	case Restore:
		kind = Suspend
	case Distrust:
		kind = Trust
	}
	return subject{authority: s.Authority, kind: kind, node: s.Moderation.Node}
}

// care orders statements of the same second.
func (s Statement) care() int {
	if s.Canary != nil && !s.Canary.Good || s.Moderation != nil && (s.Moderation.Action == Suspend || s.Moderation.Action == Distrust) {
		return 1
	}
	return 0
}

// supersedes says whether the statement counts instead of another about the
// same subject.
func (s Statement) supersedes(o Statement) bool {
	return cmp.Or(s.Date.Compare(o.Date), cmp.Compare(s.care(), o.care()), bytes.Compare(s.Signed, o.Signed)) > 0
}

// InForce returns the statements that count, in the order in which maps have
// them.
func (s *Standing) InForce() []Statement {
	all := make([]Statement, 0, len(s.newest))
	for _, n := range s.newest {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b Statement) int { return bytes.Compare(a.Signed, b.Signed) })
	return all
}

// Suspended says whether as many authorities as the threshold suspend the node.
func (s *Standing) Suspended(id NodeID) bool { return s.agree(id, Suspend) }

// Trusted says whether as many authorities as the threshold trust the node.
func (s *Standing) Trusted(id NodeID) bool { return s.agree(id, Trust) }

func (s *Standing) agree(id NodeID, kind Action) bool {
	return s.agreed[subject{kind: kind, node: id}] >= s.threshold
}

// Suspensions returns what the authorities say that have suspended the node, as
// it stands on the map; nothing if they are fewer than the threshold.
func (n *Network) Suspensions(m *Map, id NodeID) (said []Statement) {
	var all []Statement
	for _, notice := range m.Notices {
		if s, err := n.OpenStatement(notice.Signed); err == nil {
			all = append(all, s)
		}
	}
	standing := n.Stand(all, m.ValidUntil) // what was too early is not on the map
	if !standing.Suspended(id) {
		return nil
	}
	for _, s := range standing.InForce() {
		if s.Moderation != nil && s.Moderation.Node == id && s.Moderation.Action == Suspend {
			said = append(said, s)
		}
	}
	slices.SortFunc(said, func(a, b Statement) int { return cmp.Compare(a.Authority, b.Authority) })
	return said
}

// Canary returns an authority's newest canary.
func (s *Standing) Canary(authority int) (Canary, bool) {
	n, ok := s.newest[subject{authority: authority}]
	if !ok {
		return Canary{}, false
	}
	return *n.Canary, true
}

// Alive says whether the authority's operator has said that all is well, and not
// too long ago.
func (c *Canary) Alive(now time.Time) bool { return c.Good && now.Before(c.Until) }
