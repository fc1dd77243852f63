package sim

import (
	"context"
	"fmt"

	"safing/port17/route"
)

// Options say what is simulated.
type Options struct {
	Nodes   int           `json:"nodes"`
	Tunnels int           `json:"tunnels"`
	Levels  []route.Level `json:"levels"` // of Port17; all if there are none
	Seed    uint64        `json:"seed"`
	// Progress is told what is done now, and what part of it, from 0 to 1. It is
	// called by one at a time.
	Progress func(what string, done float64) `json:"-"`
}

// Names returns those of the reports that Run makes.
func Names() []string { return []string{"latency", "load", "attack", "scale", "view"} }

// Run makes the reports with the names.
func Run(ctx context.Context, o Options, names ...string) ([]*Report, error) {
	if len(o.Levels) == 0 {
		o.Levels = []route.Level{route.Normal, route.High, route.Extreme}
	}
	if o.Progress == nil {
		o.Progress = func(string, float64) {}
	}
	s := &simulation{Options: o}
	var all []*Report
	for _, name := range names {
		makes := map[string]func(context.Context) (*Report, error){
			"latency": s.latencyReport, "load": s.loadReport, "attack": s.attackReport, "scale": s.scaleReport, "view": s.viewReport,
		}[name]
		if makes == nil {
			return nil, fmt.Errorf("there is no report %q: ask for %s", name, Names())
		}
		r, err := makes(ctx)
		if err != nil {
			return nil, fmt.Errorf("simulate %s: %w", name, err)
		}
		r.Name, r.Config = name, o
		all = append(all, r)
	}
	return all, nil
}

// A simulation is the world and the tunnels that several reports are about.
type simulation struct {
	Options
	w    *World
	made []selection
}

// A selection is a way to choose nodes, and the tunnels it made.
type selection struct {
	chooser
	tunnels *Tunnels
	builder
}

func (s *simulation) world() (*World, error) {
	if s.w == nil {
		w, err := New(Config{Nodes: s.Nodes, Seed: s.Seed})
		if err != nil {
			return nil, err
		}
		s.w = w
	}
	return s.w, nil
}

// selections makes the tunnels of each level and of Tor, once.
func (s *simulation) selections(ctx context.Context) ([]selection, error) {
	w, err := s.world()
	if err != nil || s.made != nil {
		return s.made, err
	}
	s.made, err = s.choose(ctx, w, s.Tunnels)
	return s.made, err
}

// choose makes tunnels in a world by each selection.
func (s *simulation) choose(ctx context.Context, w *World, count int) ([]selection, error) {
	s.Progress("map", 0)
	m, err := w.Map()
	if err != nil {
		return nil, err
	}
	var all []selection
	for _, level := range s.Levels {
		p := newPort17(w, m, level)
		b := firstFlight
		if level != route.Normal {
			b = held
		}
		all = append(all, selection{chooser: p, builder: b})
	}
	all = append(all, selection{chooser: NewTor(w), builder: telescope})
	for i := range all {
		label := fmt.Sprint(all[i].chooser)
		if all[i].tunnels, err = w.run(ctx, all[i].chooser, count, s.Seed, func(done float64) { s.Progress(label, done) }); err != nil {
			return nil, err
		}
	}
	return all, nil
}

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

func (s Spread) short() string { return fmt.Sprintf("%.0f / %.0f / %.0f", s.Median, s.P90, s.P99) }

// percent prints a part with three digits at most.
func percent(part float64) string {
	switch {
	case part == 0:
		return "0 %"
	case part < 0.0001:
		return fmt.Sprintf("%.1g %%", 100*part)
	case part < 0.1:
		return fmt.Sprintf("%.2f %%", 100*part)
	}
	return fmt.Sprintf("%.1f %%", 100*part)
}

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
	return &Report{Results: results, Tables: []Table{t}, Charts: []Chart{c}}, nil
}

// labels returns those of selections.
func labels(all []selection) []string {
	var names []string
	for _, one := range all {
		names = append(names, one.tunnels.label)
	}
	return names
}
