package sim

import (
	"context"
	"fmt"
)

func (s *simulation) loadReport(ctx context.Context) (*Report, error) {
	all, err := s.selections(ctx)
	if err != nil {
		return nil, err
	}
	t := Table{
		Title:  "How load spreads over nodes",
		Header: []string{"", "load on the busiest 1 % of nodes (their capacity)", "on the busiest 10 % (capacity)", "Gini of use, by nodes", "Gini, by capacity", "capacity usable until 1 % of it is full", "nodes not used"},
	}
	c := Chart{
		Name: "load", Title: "How evenly capacity is used", X: Axis{Label: "part of capacity, the least used first", Percent: true, Max: 1},
		Y: Axis{Label: "part of load", Percent: true, Max: 1}, Description: "The straighter, the more even. ",
	}
	var results []Load
	for _, one := range all {
		l := one.tunnels.load()
		results = append(results, l)
		t.Rows = append(t.Rows, []string{
			l.Label, fmt.Sprintf("%s (%s)", percent(l.Busiest1), percent(l.Capacity1)), fmt.Sprintf("%s (%s)", percent(l.Busiest10), percent(l.Capacity10)),
			fmt.Sprintf("%.2f", l.Gini), fmt.Sprintf("%.2f", l.GiniByCapacity), percent(l.Usable), percent(l.Unused),
		})
		line := Line{Label: l.Label}
		for i, v := range l.Curve {
			line.Points = append(line.Points, [2]float64{float64(i) / 100, v})
		}
		c.Lines = append(c.Lines, line)
		c.Description += fmt.Sprintf("%s: Gini coefficient %.2f. ", l.Label, l.GiniByCapacity)
	}
	c.Lines = append(c.Lines, Line{Label: "even", Points: [][2]float64{{0, 0}, {1, 1}}})
	settled := Table{
		Title:  fmt.Sprintf("Gini of use, by capacity, when nodes publish their load and %s of all capacity is needed", percent(settleUse)),
		Header: []string{"round"},
	}
	for i := range settleRounds {
		settled.Header = append(settled.Header, fmt.Sprint(i+1))
	}
	settled.Header = append(settled.Header, "capacity usable in the last")
	for _, level := range s.Levels {
		rounds, err := s.settle(ctx, s.m, level)
		if err != nil {
			return nil, err
		}
		row := []string{fmt.Sprintf("Port17, %s", level)}
		for _, l := range rounds {
			row = append(row, fmt.Sprintf("%.2f", l.GiniByCapacity))
		}
		last := rounds[len(rounds)-1]
		last.Label += ", settled"
		results = append(results, last)
		settled.Rows = append(settled.Rows, append(row, percent(last.Usable)))
	}
	return &Report{Results: results, Tables: []Table{t, settled}, Charts: []Chart{c}}, nil
}
