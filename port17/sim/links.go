package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// links returns to which others each node keeps links: half of them near, half
// at random. Each is known to both ends.
func (w *World) links() [][]int {
	r := rand.New(rand.NewPCG(w.Seed, 7))
	to := make([][]int, len(w.Nodes))
	join := func(i, j int) {
		if i != j && !slices.Contains(to[i], j) {
			to[i], to[j] = append(to[i], j), append(to[j], i)
		}
	}
	for i := range w.Nodes {
		near := make([]int, 0, 64)
		for range 64 {
			near = append(near, r.IntN(len(w.Nodes)))
		}
		slices.SortFunc(near, func(a, b int) int {
			return cmp.Compare(w.RTT(w.Nodes[i].Site, w.Nodes[a].Site), w.RTT(w.Nodes[i].Site, w.Nodes[b].Site))
		})
		for _, j := range near[:w.Links/4] {
			join(i, j)
		}
		for range w.Links / 4 {
			join(i, r.IntN(len(w.Nodes)))
		}
	}
	return to
}
