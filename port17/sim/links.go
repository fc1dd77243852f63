package sim

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"safing/netmap"
	"safing/port17/mesh"
)

const (
	// meshRounds is how often all nodes choose their neighbours, each time by the
	// links that came of the time before.
	meshRounds = 5
	// hostileRounds are enough for some nodes that join later.
	hostileRounds = 2
	// meshProbes is to how many others each measures the round trip in a round,
	// besides its neighbours.
	meshProbes = 24
)

// links are to which others each node keeps links, known to both ends.
type links struct {
	once sync.Once
	to   [][]int
	err  error
}

// links lets the nodes find each other by the code that they run, from nothing
// on, as in a network that has just been started and has had some time.
func (w *World) links() ([][]int, error) {
	w.joined.once.Do(func() { w.joined.to, w.joined.err = w.join(nil, meshRounds) })
	return w.joined.to, w.joined.err
}

// join makes the links, in so many rounds, of those that the first nodes have.
func (w *World) join(before [][]int, rounds int) ([][]int, error) {
	nodes, err := w.bare()
	if err != nil {
		return nil, err
	}
	j := &joining{w: w, nodes: nodes, to: make([][]int, len(nodes)), measured: make([]map[netmap.NodeID]time.Duration, len(nodes))}
	for i := range j.measured {
		j.measured[i] = make(map[netmap.NodeID]time.Duration)
	}
	for i, to := range before {
		j.to[i] = slices.Clone(to)
		for _, k := range to {
			j.measured[i][nodes[k].ID] = w.claimed(i, k)
		}
	}
	for round := range rounds {
		if err := j.round(uint64(round)); err != nil {
			return nil, err
		}
	}
	return j.to, nil
}

// joining is the state of nodes that choose their neighbours.
type joining struct {
	w        *World
	nodes    []netmap.Node // without links
	to       [][]int
	measured []map[netmap.NodeID]time.Duration
}

// round lets all choose by the map of the links that there are.
func (j *joining) round(number uint64) error {
	m, index, err := j.published()
	if err != nil {
		return err
	}
	on := mesh.New(m)
	chosen := make([]mesh.Selection, len(j.nodes))
	each(len(j.nodes), func(i int) {
		v := mesh.View{Self: j.nodes[i].Descriptor, MaxLinks: j.w.Links, Measured: j.measured[i], Linked: make(map[netmap.NodeID]bool, len(j.to[i]))}
		for _, k := range j.to[i] {
			v.Linked[j.nodes[k].ID] = true
		}
		chosen[i] = on.Choose(v)
	})
	// Those that are linked come first, so that no newcomer takes their place.
	neighbours := make([][]int, len(j.nodes))
	for i, had := range j.to {
		neighbours[i] = slices.Clone(had)
	}
	add := func(i, k int) {
		if !slices.Contains(neighbours[i], k) {
			neighbours[i] = append(neighbours[i], k)
		}
	}
	for i := range chosen {
		r := rand.New(rand.NewPCG(j.w.Seed+number, uint64(i)))
		for _, l := range chosen[i].Links {
			k := index(l.ID)
			add(i, k)
			add(k, i)
			j.measured[i][l.ID] = j.w.claimed(i, k)
		}
		for _, id := range chosen[i].Candidates(meshProbes, r) {
			j.measured[i][id] = j.w.claimed(i, index(id))
		}
	}
	j.admit(chosen, neighbours, index)
	return nil
}

// admit keeps the links that are chosen by one end and count for both.
func (j *joining) admit(chosen []mesh.Selection, neighbours [][]int, index func(netmap.NodeID) int) {
	wanted := func(i, k int) bool {
		return slices.ContainsFunc(chosen[i].Links, func(l mesh.Choice) bool { return l.ID == j.nodes[k].ID })
	}
	admitted := make([]map[int]bool, len(j.nodes))
	each(len(j.nodes), func(i int) {
		var ids []netmap.NodeID
		for _, k := range neighbours[i] {
			if wanted(i, k) || wanted(k, i) {
				ids = append(ids, j.nodes[k].ID)
			}
		}
		admitted[i] = make(map[int]bool, len(ids))
		for _, id := range chosen[i].Admit(ids) {
			admitted[i][index(id)] = true
		}
	})
	for i, all := range neighbours {
		j.to[i] = j.to[i][:0:0]
		for _, k := range all {
			if admitted[i][k] && admitted[k][i] {
				j.to[i] = append(j.to[i], k)
			}
		}
	}
}

// published is the map of the links that there are, and what the index in the
// world is of a node on it.
func (j *joining) published() (*netmap.Map, func(netmap.NodeID) int, error) {
	nodes := slices.Clone(j.nodes)
	for i := range nodes {
		d := *nodes[i].Descriptor
		d.Links = nil
		for _, k := range j.to[i] {
			d.Links = append(d.Links, netmap.Link{To: nodes[k].ID, RTT: j.w.claimed(i, k)})
		}
		nodes[i].Descriptor = &d
	}
	m, err := netmap.New("simulation", 1, meshWeek, meshWeek.Add(mapValidity), nodes)
	if err != nil {
		return nil, nil, err
	}
	indexes := make([]int, len(nodes))
	for i := range nodes {
		at, _ := m.Index(nodes[i].ID)
		indexes[at] = i
	}
	return m, func(id netmap.NodeID) int {
		at, _ := m.Index(id) // it comes from there
		return indexes[at]
	}, nil
}

// each calls f for 0 to n-1 on all cores.
func each(n int, f func(i int)) {
	var running sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for k := range workers {
		running.Go(func() {
			for i := k; i < n; i += workers {
				f(i)
			}
		})
	}
	running.Wait()
}
