package route

import (
	"cmp"
	"slices"
	"time"
)

// An Explanation says how a route was chosen.
type Explanation struct {
	Chosen     Route       `json:"-"`
	Candidates []Candidate `json:"candidates"` // the cheapest first
	Excluded   []Exclusion `json:"excluded"`   // those of most nodes first
}

// A Candidate is a route that fulfils the request.
type Candidate struct {
	Nodes  []string      `json:"nodes"` // names, entry first
	Cost   time.Duration `json:"cost"`
	Parts  Parts         `json:"parts"`
	Chosen bool          `json:"chosen"`
}

// An Exclusion is why nodes could not be used.
type Exclusion struct {
	Reason string `json:"reason"`
	// Exit says that they could be used, but not as the exit.
	Exit  bool     `json:"exit"`
	Nodes int      `json:"nodes"`
	Names []string `json:"names"` // of a few of them
}

// mostNames is how many nodes are named in an Exclusion.
const mostNames = 5

// Explain is Find with its reasons. With an error it still says which nodes
// could not be used.
func (f *Finder) Explain(r Request) (Explanation, error) {
	s := f.begin(&r)
	defer f.searches.Put(s)
	chosen, err := s.find()
	e := Explanation{Excluded: s.excluded(), Candidates: []Candidate{}}
	if err != nil {
		return e, err
	}
	e.Chosen = s.route(chosen)
	for i := range s.found {
		found := &s.found[i]
		c := Candidate{Cost: found.cost.duration(), Parts: s.parts(found), Chosen: found == chosen}
		for _, step := range slices.Backward(found.steps()) {
			c.Nodes = append(c.Nodes, f.m.Nodes[step.node].Name)
		}
		e.Candidates = append(e.Candidates, c)
	}
	return e, nil
}

// excluded groups the nodes that can't be used, or not as exits.
func (s *search) excluded() []Exclusion {
	type key struct {
		exit   bool
		reason string
	}
	groups := make(map[key]*Exclusion)
	for i := range s.f.places {
		k := key{reason: s.whyNot(int32(i))}
		if k.reason == "" {
			k = key{exit: true, reason: s.whyNoExit(int32(i))}
		}
		if k.reason == "" {
			continue
		}
		g := groups[k]
		if g == nil {
			g = &Exclusion{Reason: k.reason, Exit: k.exit}
			groups[k] = g
		}
		if g.Nodes++; len(g.Names) < mostNames {
			g.Names = append(g.Names, s.f.m.Nodes[i].Name)
		}
	}
	all := []Exclusion{}
	for _, g := range groups {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b Exclusion) int { return cmp.Or(b.Nodes-a.Nodes, cmp.Compare(a.Reason, b.Reason)) })
	return all
}
