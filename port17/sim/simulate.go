package sim

import (
	"context"
	"fmt"

	"safing/netmap"
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
func Names() []string { return []string{"latency", "load", "attack", "entries", "scale", "view"} }

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
			"latency": s.latencyReport, "load": s.loadReport, "attack": s.attackReport, "scale": s.scaleReport, "entries": s.entriesReport, "view": s.viewReport,
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
	m    *netmap.Map
	made []selection
}

// A selection is a way to choose nodes, and the tunnels it made.
type selection struct {
	chooser
	tunnels *Tunnels
	builder
}

// clientsOfNode is how many clients there are for each node: if they were few,
// some nodes would be the entry of none.
const clientsOfNode = 5

func (s *simulation) world() (*World, error) {
	if s.w == nil {
		w, err := New(Config{Nodes: s.Nodes, Clients: max(defaultClients, clientsOfNode*s.Nodes), Seed: s.Seed})
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
	if w == s.w {
		s.m = m
	}
	var all []selection
	for _, level := range s.Levels {
		p := newPort17(w, m, level)
		all = append(all, selection{chooser: p, builder: builderOf(level)})
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

// labels returns those of selections.
func labels(all []selection) []string {
	var names []string
	for _, one := range all {
		names = append(names, one.tunnels.label)
	}
	return names
}

// builderOf says how Port17 builds circuits of the level.
func builderOf(level route.Level) builder {
	if level == route.Normal {
		return firstFlight
	}
	return held
}
