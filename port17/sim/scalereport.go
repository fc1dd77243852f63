package sim

import (
	"context"
	"fmt"
	"time"

	"safing/netmap"
	"safing/port17/route"
)

// sizes are the numbers of nodes that are measured, as far as asked for.
var sizes = []int{100, 300, 1000, 3000, 10_000}

// scaleTunnels is how many tunnels are made to measure how long that takes.
const scaleTunnels = 20_000

func (s *simulation) scaleReport(ctx context.Context) (*Report, error) {
	var all []Size
	for _, count := range sizes {
		if count > s.Nodes && len(all) > 0 {
			break
		}
		s.Progress(fmt.Sprintf("a map of %d nodes", count), 0)
		one, w, m, err := size(count, s.Seed)
		if err != nil {
			return nil, err
		}
		if err := one.timeRoutes(ctx, w, m, s.Seed); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	bytes := Table{
		Title:  "Bytes of a map",
		Header: []string{"nodes", "links of each", "map", "compressed", "difference in an hour", "all keys", "a client's day"},
	}
	times := Table{
		Title:  "What a client does with it, on one core",
		Header: []string{"nodes", "apply the difference, ms", "check and read, ms", "check all keys, ms", "map and keys in memory", "finder in memory", "prepare the finder, ms", "first route, µs", "further route, µs"},
	}
	c := Chart{
		Name: "scale", Title: "What a client downloads in a day", X: Axis{Label: "nodes", Log: true}, Y: Axis{Label: "bytes", Log: true},
		Description: "Both grow in proportion to the number of nodes. ",
	}
	keys, maps := Line{Label: "keys"}, Line{Label: "maps"}
	for _, o := range all {
		bytes.Rows = append(bytes.Rows, []string{
			fmt.Sprint(o.Nodes), fmt.Sprintf("%.1f", o.Links), inBytes(o.Body), inBytes(o.Compressed), inBytes(o.Delta), inBytes(o.Keys), inBytes(o.Daily),
		})
		times.Rows = append(times.Rows, []string{
			fmt.Sprint(o.Nodes), fmt.Sprintf("%.1f", o.Expand), fmt.Sprintf("%.1f", o.Decode), fmt.Sprintf("%.1f", o.Check),
			inBytes(o.Memory), inBytes(o.FinderMemory), fmt.Sprintf("%.1f", o.Prepare), fmt.Sprintf("%.0f", o.First), fmt.Sprintf("%.0f", o.Further),
		})
		n := float64(o.Nodes)
		keys.Points = append(keys.Points, [2]float64{n, float64(o.Daily - 24*o.Delta)})
		maps.Points = append(maps.Points, [2]float64{n, float64(24 * o.Delta)})
		c.Description += fmt.Sprintf("%d nodes: %s. ", o.Nodes, inBytes(o.Daily))
	}
	c.Lines = []Line{keys, maps}
	return &Report{Results: all, Tables: []Table{bytes, times}, Charts: []Chart{c}}, nil
}

// timeRoutes measures how long routes of the level normal take to find.
func (s *Size) timeRoutes(ctx context.Context, w *World, m *netmap.Map, seed uint64) error {
	before := memory()
	began := time.Now()
	f := route.New(m)
	s.Prepare = ms(time.Since(began))
	s.FinderMemory = memory() - before
	t, err := w.run(ctx, portOver(w, f, route.Normal), scaleTunnels, seed, nil)
	if err != nil {
		return err
	}
	s.First, s.Further = 1000*ms(t.First), 1000*ms(t.Time)
	return nil
}

// inBytes prints a number of bytes with three digits.
func inBytes(n int) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.3g MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.3g kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
