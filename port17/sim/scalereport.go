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

const (
	usedClients = 100
	usedTunnels = 100
)

// scaleTunnels is how many tunnels are made to measure how long that takes.
const scaleTunnels = 20_000

func (s *simulation) scaleReport(ctx context.Context) (*Report, error) {
	var sized []Size
	for _, count := range sizes {
		if count > s.Nodes && len(sized) > 0 {
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
		sized = append(sized, one)
	}
	bytes := Table{
		Title:  "Bytes of a map",
		Header: []string{"nodes", "links of each", "map", "compressed", "difference in an hour", "all keys", "keys that 100 tunnels need", "a client's day", "with all keys"},
	}
	times := Table{
		Title:  "What a client does with it, on one core",
		Header: []string{"nodes", "apply the difference, ms", "check and read, ms", "check all keys, ms", "map and keys in memory", "finder in memory", "prepare the finder, ms", "first route, µs", "further route, µs"},
	}
	c := Chart{
		Name: "scale", Title: "What a client downloads in a day", X: Axis{Label: "nodes", Log: true}, Y: Axis{Label: "bytes", Log: true},
		Description: "Maps and all keys grow in proportion to the number of nodes. ",
	}
	all, used, maps := Line{Label: "all keys"}, Line{Label: "keys that 100 tunnels need"}, Line{Label: "maps"}
	for _, o := range sized {
		bytes.Rows = append(bytes.Rows, []string{
			fmt.Sprint(o.Nodes), fmt.Sprintf("%.1f", o.Links), inBytes(o.Body), inBytes(o.Compressed), inBytes(o.Delta), inBytes(o.Keys), inBytes(o.Used), inBytes(o.Daily), inBytes(o.DailyAll),
		})
		times.Rows = append(times.Rows, []string{
			fmt.Sprint(o.Nodes), fmt.Sprintf("%.1f", o.Expand), fmt.Sprintf("%.1f", o.Decode), fmt.Sprintf("%.1f", o.Check),
			inBytes(o.Memory), inBytes(o.FinderMemory), fmt.Sprintf("%.1f", o.Prepare), fmt.Sprintf("%.0f", o.First), fmt.Sprintf("%.0f", o.Further),
		})
		n := float64(o.Nodes)
		all.Points = append(all.Points, [2]float64{n, float64(o.DailyAll - 24*o.Delta)})
		used.Points = append(used.Points, [2]float64{n, float64(o.Daily - 24*o.Delta)})
		maps.Points = append(maps.Points, [2]float64{n, float64(24 * o.Delta)})
		c.Description += fmt.Sprintf("%d nodes: %s, with all keys %s. ", o.Nodes, inBytes(o.Daily), inBytes(o.DailyAll))
	}
	c.Lines = []Line{all, used, maps}
	return &Report{Results: sized, Tables: []Table{bytes, times}, Charts: []Chart{c}}, nil
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
	return s.countShards(ctx, w, f, seed)
}

// countShards finds out the shards of which nodes some clients' tunnels need.
func (s *Size) countShards(ctx context.Context, w *World, f *route.Finder, seed uint64) error {
	few := *w
	few.Clients = few.Clients[:min(usedClients, len(few.Clients))]
	p := portOver(&few, f, route.Normal)
	t, err := few.run(ctx, p, usedTunnels*len(few.Clients), seed, nil)
	if err != nil {
		return err
	}
	m, sum := f.Map(), 0
	for client := range few.Clients {
		used := make(map[int]bool)
		for _, one := range t.all[client*usedTunnels : (client+1)*usedTunnels] {
			var space [maxHops]int
			for _, n := range one.hops(&space) {
				at, _ := m.Index(w.identity(n)) // it comes from there
				if shard := m.Shard(at); !used[shard] {
					used[shard] = true
					sum += s.shards[shard]
				}
			}
		}
	}
	s.Used = sum / len(few.Clients)
	s.Daily = 24*s.Delta + int(24*time.Hour/keySlot)*s.Used
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
