package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
)

const (
	// budgetTunnels is how many tunnels are made in each world with hostile
	// nodes, at most, and of how many clients.
	budgetTunnels = 100_000
	budgetClients = 10_000
	// lives is how many clients live for a year.
	lives = 1000
)

// servers are how many an adversary adds.
var servers = []int{10, 30, 100, 300, 1000}

// An AttackResult is all that adversaries get.
type AttackResult struct {
	Exposures []Exposure `json:"exposures"`
	Watches   []Watch    `json:"watches"`
	Fates     []Fate     `json:"fates"`
	Budgets   []Exposure `json:"budgets"`
}

func (s *simulation) attackReport(ctx context.Context) (*Report, error) {
	all, err := s.selections(ctx)
	if err != nil {
		return nil, err
	}
	var result AttackResult
	r := &Report{}
	s.Progress("adversaries", 0)
	result.Exposures = s.exposures(all)
	r.Tables = append(r.Tables, exposureTable("Part of tunnels of which an adversary has both ends (all nodes)", result.Exposures, labels(all)))
	r.Charts = append(r.Charts, exposureChart(result.Exposures, labels(all)))

	for _, one := range all {
		result.Watches = append(result.Watches, one.tunnels.watched())
	}
	r.Tables = append(r.Tables, watchTable(result.Watches))

	if result.Fates, err = s.fates(ctx, all); err != nil {
		return nil, err
	}
	r.Tables = append(r.Tables, fateTable(result.Fates))
	r.Charts = append(r.Charts, fateChart(result.Fates))

	if result.Budgets, err = s.budgets(ctx); err != nil {
		return nil, err
	}
	if len(result.Budgets) > 0 {
		r.Tables = append(r.Tables, exposureTable("Part of tunnels of which servers that were added have both ends (all nodes)", result.Budgets, labels(all)))
		r.Charts = append(r.Charts, budgetChart(result.Budgets, labels(all)))
	}
	r.Results = result
	return r, nil
}

// exposures are those to adversaries who have nodes that there are.
func (s *simulation) exposures(all []selection) (found []Exposure) {
	kinds := [][]adversary{}
	for _, part := range parts {
		var drawn []adversary
		for i := range draws {
			drawn = append(drawn, s.w.atRandom(part, rand.New(rand.NewPCG(s.Seed, uint64(i)|1<<43))))
		}
		kinds = append(kinds, drawn)
	}
	for _, one := range []adversary{
		s.w.smallest(0.05), s.w.greatest(0.05), s.w.owners(1), s.w.owners(2), s.w.owners(5), s.w.owners(10), s.w.greatestAS(),
	} {
		kinds = append(kinds, []adversary{one})
	}
	for _, state := range states {
		kinds = append(kinds, []adversary{s.w.country("nodes in "+state.name, state.codes)})
	}
	for _, kind := range kinds {
		for _, one := range all {
			var each []Exposure
			for _, a := range kind {
				each = append(each, one.tunnels.exposed(a))
			}
			found = append(found, mean(each))
		}
	}
	return found
}

// fates are those of clients over a year.
func (s *simulation) fates(ctx context.Context, all []selection) (fates []Fate, err error) {
	few := *s.w
	few.Clients = few.Clients[:min(lives, len(few.Clients))]
	for i, part := range []float64{0.01, 0.05, 0.10} {
		for k, one := range all {
			s.Progress("a year of clients", float64(i*len(all)+k)/float64(3*len(all)))
			f, err := few.overTime(ctx, one.chooser, one.tunnels.label, part, s.Seed)
			if err != nil {
				return nil, err
			}
			fates = append(fates, f)
		}
	}
	return fates, nil
}

// budgets add servers to the world, as many as it can have, who claim this or
// that.
func (s *simulation) budgets(ctx context.Context) (found []Exposure, err error) {
	for _, claims := range []Claims{Truthful, Physical, Shameless} {
		for _, count := range servers {
			if count > len(s.w.Nodes) || len(s.w.Nodes)+count > MaxNodes {
				break
			}
			more, err := s.w.withHostile(count, claims, s.Seed)
			if err != nil {
				return nil, err
			}
			more.Clients = more.Clients[:min(budgetClients, len(more.Clients))]
			all, err := s.choose(ctx, more, min(s.Tunnels, budgetTunnels))
			if err != nil {
				return nil, err
			}
			for _, one := range all {
				found = append(found, one.tunnels.exposed(more.hostile()))
			}
		}
	}
	return found, nil
}

func exposureTable(title string, all []Exposure, labels []string) Table {
	t := Table{Title: title, Header: append([]string{"adversary", "nodes", "capacity"}, labels...)}
	for each := range slices.Chunk(all, len(labels)) {
		row := []string{each[0].Adversary, percent(each[0].Nodes), percent(each[0].Capacity)}
		for _, e := range each {
			row = append(row, fmt.Sprintf("%s (%s)", percent(e.Ends), percent(e.All)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func exposureChart(all []Exposure, labels []string) Chart {
	c := Chart{
		Name: "attack", Title: "Tunnels of which an adversary has both ends", X: Axis{Label: "part of nodes that are the adversary's, at random", Percent: true},
		Y: Axis{Label: "part of tunnels", Percent: true},
	}
	for i, label := range labels {
		line := Line{Label: label, Points: [][2]float64{{0, 0}}}
		for k, part := range parts {
			line.Points = append(line.Points, [2]float64{part, all[k*len(labels)+i].Ends})
		}
		c.Lines = append(c.Lines, line)
		c.Description += fmt.Sprintf("%s: %s of tunnels with %s of nodes. ", label, percent(line.Points[3][1]), percent(line.Points[3][0]))
	}
	return c
}

func watchTable(all []Watch) Table {
	t := Table{
		Title:  "Part of tunnels whose both ends somebody can watch who has no node",
		Header: []string{"", "some one network", "the network that sees most", "which"},
	}
	for _, state := range states {
		t.Header = append(t.Header, state.name)
	}
	for _, w := range all {
		row := []string{w.Selection, percent(w.Any), percent(w.Worst), w.Name}
		for _, state := range states {
			row = append(row, percent(w.States[state.name]))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func fateTable(all []Fate) Table {
	t := Table{Title: "Part of clients who were seen at both ends at least once", Header: []string{"adversary", "selection"}}
	shown := []int{1, 3, 6, months}
	for _, m := range shown {
		t.Header = append(t.Header, fmt.Sprintf("after %d months", m))
	}
	for _, f := range all {
		row := []string{f.Adversary, f.Selection}
		for _, m := range shown {
			row = append(row, percent(f.Hit[m-1]))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func fateChart(all []Fate) Chart {
	c := Chart{
		Name: "attack-year", Title: "Clients seen at both ends at least once, 5 % of nodes hostile", X: Axis{Label: "months", Max: months},
		Y: Axis{Label: "part of clients", Percent: true},
	}
	for _, f := range all {
		if f.Adversary != "5 % of nodes" {
			continue
		}
		l := Line{Label: f.Selection, Points: [][2]float64{{0, 0}}}
		for i, h := range f.Hit {
			l.Points = append(l.Points, [2]float64{float64(i + 1), h})
		}
		c.Lines = append(c.Lines, l)
		c.Description += fmt.Sprintf("%s: %s after a year. ", f.Selection, percent(f.Hit[len(f.Hit)-1]))
	}
	return c
}

// budgetChart shows the first level by claims, and Tor.
func budgetChart(all []Exposure, labels []string) Chart {
	c := Chart{
		Name: "attack-budget", Title: "Tunnels whose both ends an adversary has who adds servers", X: Axis{Label: "euros a year", Log: true},
		Y: Axis{Label: "part of tunnels", Log: true, Percent: true, Min: 1e-4, Max: 1},
	}
	of := len(all) / 3 // of one kind of claims
	add := func(label string, from, which int) {
		l := Line{Label: label}
		for k := from + which; k < from+of; k += len(labels) {
			l.Points = append(l.Points, [2]float64{float64(Cost(servers[(k-from)/len(labels)])), all[k].Ends})
		}
		c.Lines = append(c.Lines, l)
		last := l.Points[len(l.Points)-1]
		c.Description += fmt.Sprintf("%s: %s for %.0f euros. ", label, percent(last[1]), last[0])
	}
	for claims := Truthful; claims <= Shameless; claims++ {
		add(labels[0]+", who "+claims.String(), of*int(claims), 0)
	}
	add(labels[len(labels)-1], 0, len(labels)-1)
	return c
}
