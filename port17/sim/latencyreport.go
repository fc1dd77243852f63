package sim

import (
	"context"
	"fmt"
)

func (s *simulation) latencyReport(ctx context.Context) (*Report, error) {
	all, err := s.selections(ctx)
	if err != nil {
		return nil, err
	}
	r := new(Report)
	var results []Latency
	times := Table{
		Title:  "Milliseconds: median / 90 % / 99 %",
		Header: []string{"", "round trip to the destination", "first byte, circuit is there", "first byte, new circuit", "to the entry", "between nodes", "exit to destination"},
	}
	ways := Table{
		Title:  "Kilometres from exit to destination, where that is in one place",
		Header: []string{"", "median", "90 %", "different routes", "different exits", "without route", "µs to choose the first", "a further one"},
	}
	curves := Chart{
		Name: "latency", Title: "Round trip from client to destination", X: Axis{Label: "milliseconds", Max: 800}, Y: Axis{Label: "part of tunnels", Percent: true, Max: 1},
	}
	first := Chart{
		Name: "first-byte", Title: "First byte on a circuit that is built for the request", X: Axis{Label: "milliseconds", Max: 2000}, Y: Axis{Label: "part of tunnels", Percent: true, Max: 1},
	}
	direct := all[0].tunnels.direct()
	times.Rows = append(times.Rows, []string{"direct", direct.short(), "", "", "", "", ""})
	for _, one := range all {
		l := one.tunnels.latency(one.builder)
		results = append(results, l)
		times.Rows = append(times.Rows, []string{l.Label, l.RTT.short(), l.First.short(), l.Fresh.short(), l.Entry.short(), l.Inside.short(), l.Exit.short()})
		ways.Rows = append(ways.Rows, []string{
			l.Label, fmt.Sprintf("%.0f", l.Distance.Median), fmt.Sprintf("%.0f", l.Distance.P90),
			fmt.Sprint(l.Routes), fmt.Sprint(l.Exits), percent(l.Failed), fmt.Sprintf("%.0f", l.FirstChoice), fmt.Sprintf("%.0f", l.Choice),
		})
		curves.Lines = append(curves.Lines, cumulative(l.Label, l.RTT))
		first.Lines = append(first.Lines, cumulative(l.Label, l.Fresh))
		curves.Description += fmt.Sprintf("%s: half are below %.0f ms, 99 %% below %.0f ms. ", l.Label, l.RTT.Median, l.RTT.P99)
		first.Description += fmt.Sprintf("%s: half are below %.0f ms, 99 %% below %.0f ms. ", l.Label, l.Fresh.Median, l.Fresh.P99)
	}
	curves.Lines = append(curves.Lines, cumulative("direct", direct))
	near := results[0]
	ways.Rows = append(ways.Rows,
		[]string{"nearest exit", fmt.Sprintf("%.0f", near.Nearest.Median), fmt.Sprintf("%.0f", near.Nearest.P90), "", "", "", "", ""},
		[]string{"any exit", fmt.Sprintf("%.0f", near.Random.Median), fmt.Sprintf("%.0f", near.Random.P90), "", "", "", "", ""})
	r.Results, r.Tables, r.Charts = results, []Table{times, ways}, []Chart{curves, first}
	return r, nil
}
