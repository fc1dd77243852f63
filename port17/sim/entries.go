package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"safing/netmap"
	"safing/port17/route"
)

// An entryRule is another way for clients to draw an entry than theirs, which it
// is given, to see what that would change.
type entryRule func(p *Port17, r *rand.Rand, client int, draw func() (netmap.NodeID, bool)) (netmap.NodeID, bool)

// entryRules are those that are compared.
func entryRules() []struct {
	name string
	rule entryRule
} {
	return []struct {
		name string
		rule entryRule
	}{
		{"any, as clients draw now", nil},
		{"the nearer of 2", nearestOf(2)},
		{"the nearest of 4", nearestOf(4)},
		{"the nearest of 8", nearestOf(8)},
		{"by capacity", byCapacity},
		{"by capacity, the nearest of 4", func(p *Port17, r *rand.Rand, client int, draw func() (netmap.NodeID, bool)) (netmap.NodeID, bool) {
			return nearestOf(4)(p, r, client, func() (netmap.NodeID, bool) { return byCapacity(p, r, client, draw) })
		}},
	}
}

// nearestOf draws some and takes the nearest.
func nearestOf(count int) entryRule {
	return func(p *Port17, _ *rand.Rand, client int, draw func() (netmap.NodeID, bool)) (best netmap.NodeID, found bool) {
		least := time.Duration(0)
		for range count {
			id, ok := draw()
			if !ok {
				return best, found
			}
			if rtt := p.w.RTT(p.w.Clients[client], p.w.Nodes[p.node(id)].Site); !found || rtt < least {
				best, least, found = id, rtt, true
			}
		}
		return best, found
	}
}

// byCapacity draws until one is taken: each as likely as its capacity, up to a
// bound, is a part of that bound.
func byCapacity(p *Port17, r *rand.Rand, _ int, draw func() (netmap.NodeID, bool)) (id netmap.NodeID, ok bool) {
	for range maxDraws {
		if id, ok = draw(); !ok || r.Float64()*mostCapacity < float64(p.w.Nodes[p.node(id)].Capacity) {
			return id, ok
		}
	}
	return id, ok
}

// An EntryResult is what a rule would change.
type EntryResult struct {
	Rule    string     `json:"rule"`
	Latency Latency    `json:"latency"`
	Load    Load       `json:"load"`
	Exposed []Exposure `json:"exposed"` // to 5 % of nodes: at random, the smallest, the greatest
}

func (s *simulation) entriesReport(ctx context.Context) (*Report, error) {
	w, err := s.world()
	if err != nil {
		return nil, err
	}
	m, err := w.Map()
	if err != nil {
		return nil, err
	}
	finder := route.New(m)
	t := Table{
		Title: "Ways to draw entries, at the level " + s.Levels[0].String(),
		Header: []string{
			"an entry is", "round trip, ms: median / 90 % / 99 %", "to the entry", "Gini of use, by capacity", "capacity usable",
			"both ends: 5 % of nodes", "the smallest 5 %", "the greatest 5 %",
		},
	}
	c := Chart{
		Name: "entries", Title: "Round trip from client to destination, by how entries are drawn", X: Axis{Label: "milliseconds", Max: 600}, Y: Axis{Label: "part of tunnels", Percent: true, Max: 1},
	}
	var results []EntryResult
	rules := entryRules()
	for i, one := range rules {
		s.Progress("entries", float64(i)/float64(len(rules)))
		p := portOver(w, finder, s.Levels[0])
		p.rule = one.rule
		tunnels, err := w.run(ctx, p, s.Tunnels, s.Seed, nil)
		if err != nil {
			return nil, err
		}
		var random []Exposure
		for i := range draws {
			random = append(random, tunnels.exposed(w.atRandom(0.05, rand.New(rand.NewPCG(s.Seed, uint64(i)|1<<43)))))
		}
		e := EntryResult{
			Rule: one.name, Latency: tunnels.latency(builderOf(s.Levels[0])), Load: tunnels.load(),
			Exposed: []Exposure{mean(random), tunnels.exposed(w.smallest(0.05)), tunnels.exposed(w.greatest(0.05))},
		}
		results = append(results, e)
		t.Rows = append(t.Rows, []string{
			one.name, e.Latency.RTT.short(), fmt.Sprintf("%.0f", e.Latency.Entry.Median), fmt.Sprintf("%.2f", e.Load.GiniByCapacity), percent(e.Load.Usable),
			percent(e.Exposed[0].Ends), percent(e.Exposed[1].Ends), percent(e.Exposed[2].Ends),
		})
		if len(c.Lines) < colours {
			c.Lines = append(c.Lines, cumulative(one.name, e.Latency.RTT))
			c.Description += fmt.Sprintf("%s: half are below %.0f ms. ", one.name, e.Latency.RTT.Median)
		}
	}
	return &Report{Results: results, Tables: []Table{t}, Charts: []Chart{c}}, nil
}
