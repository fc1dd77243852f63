package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"safing/netmap"
	"safing/port17/route"
)

// viewParts are which parts of the nodes clients know.
var viewParts = []float64{1, 1. / 2, 1. / 4, 1. / 8, 1. / 16}

const (
	viewClients  = 60        // who know a part each
	viewTunnels  = 100       // of each
	viewCrowd    = 1_000_000 // clients of the network
	viewSeenMost = 30
)

// viewSeen are after how many tunnels it is counted who may be the client.
var viewSeen = []int{1, 3, 10, viewSeenMost}

// A View says what it is worth and what it costs that each client knows only a
// part of the nodes, drawn at random for each.
type View struct {
	Part   float64 `json:"part"` // of nodes that a client knows
	RTT    Spread  `json:"rtt"`
	Failed float64 `json:"failed"`
	// Left is how many of a million clients have views that hold all exits of a
	// client's first 1, 3, 10, … tunnels, for half of the clients: among so many
	// is the client for who sees that these tunnels are of one.
	Left []float64 `json:"left"`
	// Shared is the same if as many views are shared by all clients as there are
	// parts.
	Shared float64 `json:"shared"`
}

func (s *simulation) viewReport(ctx context.Context) (*Report, error) {
	w, err := s.world()
	if err != nil {
		return nil, err
	}
	m, err := w.Map()
	if err != nil {
		return nil, err
	}
	var views []View
	t := Table{Title: fmt.Sprintf("Clients that know a part of %d nodes", len(w.Nodes)), Header: []string{"part known", "round trip, ms: median / 90 % / 99 %", "without route"}}
	for _, n := range viewSeen {
		t.Header = append(t.Header, fmt.Sprintf("of %d k clients left after %d tunnels", viewCrowd/1000, n))
	}
	t.Header = append(t.Header, "with shared views")
	c := Chart{
		Name: "view", Title: "Who may be the client, if each knows another part of the nodes", X: Axis{Label: "tunnels that are known to be of one client", Max: viewSeenMost},
		Y: Axis{Label: "clients of a million", Log: true, Min: 1, Max: viewCrowd},
	}
	for i, part := range viewParts {
		s.Progress("views", float64(i)/float64(len(viewParts)))
		v, curve, err := s.view(ctx, w, m, part)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
		row := []string{percent(part), v.RTT.short(), percent(v.Failed)}
		for _, left := range v.Left {
			row = append(row, fmt.Sprintf("%.0f", left))
		}
		t.Rows = append(t.Rows, append(row, fmt.Sprintf("%.0f", v.Shared)))
		if part < 1 {
			c.Lines = append(c.Lines, Line{Label: percent(part) + " known", Points: curve})
			c.Description += fmt.Sprintf("Knowing %s: %.0f clients are left after 10 tunnels. ", percent(part), v.Left[2])
		}
	}
	return &Report{Results: views, Tables: []Table{t}, Charts: []Chart{c}}, nil
}

// view simulates some clients, each with a part of its own.
func (s *simulation) view(ctx context.Context, w *World, m *netmap.Map, part float64) (View, [][2]float64, error) {
	var mu sync.Mutex
	var rtt []float64
	left := make([][]float64, viewSeenMost+1)
	failed := 0
	var failure error
	err := parallel(ctx, viewClients, func(client int) {
		tunnels, err := w.partial(m, part, uint64(client), s.Levels[0], s.Seed)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failure = err
			return
		}
		failed += tunnels.Failed
		for i := range tunnels.all {
			if one := &tunnels.all[i]; one.count > 0 {
				way, _ := w.ToDestination(w.Nodes[one.nodes[one.count-1]].Site, &w.Destinations[one.destination])
				rtt = append(rtt, ms(total(tunnels.legs(one))+way))
			}
		}
		for seen, count := range w.candidates(tunnels, part, uint64(client)) {
			left[seen] = append(left[seen], count)
		}
	}, nil)
	if err == nil {
		err = failure
	}
	v := View{Part: part, RTT: spread(rtt), Failed: float64(failed) / (viewClients * viewTunnels), Shared: viewCrowd * part}
	for _, n := range viewSeen {
		v.Left = append(v.Left, spread(left[n]).Median)
	}
	var curve [][2]float64
	for n := range left {
		if m := spread(left[n]).Median; n > 0 && m > 0 {
			curve = append(curve, [2]float64{float64(n), m})
		}
	}
	return v, curve, err
}

// knows says whether a node is in the view of a client: for a view that can be
// verified, a hash over both decides.
func (w *World) knows(client uint64, node int, part float64) bool {
	return w.chance(int(client&0xffffffff)+1<<20, node) < part
}

// partial makes tunnels for one client by a map of what it knows.
func (w *World) partial(m *netmap.Map, part float64, client uint64, level route.Level, seed uint64) (*Tunnels, error) {
	var known []netmap.Node
	in := make(map[netmap.NodeID]bool)
	for i := range w.Nodes {
		if w.knows(client, i, part) {
			in[w.identity(i)] = true
		}
	}
	for _, n := range m.Nodes {
		if !in[n.ID] {
			continue
		}
		d := *n.Descriptor
		d.Links = nil
		for _, l := range n.Links {
			if in[l.To] {
				d.Links = append(d.Links, l)
			}
		}
		n.Descriptor = &d
		known = append(known, n)
	}
	sub, err := netmap.New(m.Network, m.Sequence, m.ValidAfter, m.ValidUntil, known)
	if err != nil {
		return nil, err
	}
	c := newPort17(w, sub, level)
	t := &Tunnels{w: w}
	r := rand.New(rand.NewPCG(seed, client|1<<44))
	who := r.IntN(len(w.Clients))
	for which := range entryCount {
		c.renew(r, who, which)
	}
	for range viewTunnels {
		one := tunnel{client: int32(who), destination: int32(w.popularity.draw(r))}
		nodes, err := c.choose(r, who, int(one.destination))
		if err != nil {
			t.Failed++
		}
		for k, n := range nodes {
			one.nodes[k], one.count = int16(n), uint8(k+1)
		}
		t.all = append(t.all, one)
	}
	return t, nil
}

// candidates returns how many of a million clients know all exits of the first
// so many tunnels, the client itself included. The first is for none.
func (w *World) candidates(t *Tunnels, part float64, client uint64) []float64 {
	var exits []int
	for i := range t.all {
		if one := &t.all[i]; one.count > 0 && len(exits) < viewSeenMost {
			exits = append(exits, int(one.nodes[one.count-1]))
		}
	}
	left := make([]float64, len(exits)+1)
	if part >= 1 { // everybody knows all
		for n := range left {
			left[n] = viewCrowd
		}
		return left
	}
	for other := range uint64(viewCrowd) {
		for n := range left {
			if n > 0 && other != client && !w.knows(other, exits[n-1], part) {
				break
			}
			left[n]++
		}
	}
	return left
}
