package sim

import (
	"context"
	"fmt"
	"math"

	"safing/netmap"
	"safing/port17/route"
)

const (
	settleUse     = 0.3 // of all capacity
	settleRounds  = 4
	settleTunnels = 50_000
	settleClients = 10_000
)

// settle lets nodes publish how busy they are, and clients avoid those that are,
// for some rounds. All tunnels together need a part of the network's capacity.
// It returns how load is spread in each round.
func (s *simulation) settle(ctx context.Context, m *netmap.Map, level route.Level) ([]Load, error) {
	published := make([]float64, len(s.w.Nodes)) // parts of capacity in use
	w := *s.w
	w.Clients = w.Clients[:min(settleClients, len(w.Clients))]
	var rounds []Load
	for round := range settleRounds {
		s.Progress(fmt.Sprintf("load, %s", level), float64(round)/settleRounds)
		loaded, err := w.loaded(m, published)
		if err != nil {
			return nil, err
		}
		t, err := w.run(ctx, newPort17(&w, loaded, level), min(s.Tunnels, settleTunnels), s.Seed+uint64(round), nil)
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, t.load())
		for i, n := range t.nodeLoads() {
			// As nodes do, by what they saw for a while.
			published[i] = (published[i] + min(1, settleUse*n.load/n.capacity)) / 2
		}
	}
	return rounds, nil
}

// loaded returns the map with the nodes' loads, in steps of 10 %.
func (w *World) loaded(m *netmap.Map, use []float64) (*netmap.Map, error) {
	nodes := make([]netmap.Node, len(w.Nodes))
	for i := range w.Nodes {
		n, ok := m.Node(w.identity(i))
		if !ok {
			return nil, fmt.Errorf("node %d is not on the map", i)
		}
		d := *n.Descriptor
		d.Load = 10 * int(math.Round(10*use[i]))
		n.Descriptor = &d
		nodes[i] = n
	}
	return netmap.New(m.Network, m.Sequence, m.ValidAfter, m.ValidUntil, nodes)
}
