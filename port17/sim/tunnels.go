package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"safing/port17/route"
)

// MaxTunnels is how many tunnels are made at most.
const MaxTunnels = 10_000_000

// maxHops is of how many nodes a tunnel consists at most.
const maxHops = 5

// A tunnel is a request and the nodes that were chosen for it.
type tunnel struct {
	client, destination int32
	count               uint8 // of nodes; 0 if there was no way
	nodes               [maxHops]int16
}

// hops returns the nodes, entry first, in the space given.
func (t *tunnel) hops(space *[maxHops]int) []int {
	for i := range t.count {
		space[i] = int(t.nodes[i])
	}
	return space[:t.count]
}

// Tunnels are what a selection made of requests.
type Tunnels struct {
	w     *World
	label string
	all   []tunnel
	// Failed is how many requests got no way at all.
	Failed int
	// First is how long the choice of a client's first tunnel took, and Time that
	// of a later one: for half of the clients less, on one core. So it hardly
	// matters what else the machine does.
	First, Time time.Duration
}

// run makes requests, as many for each client, and chooses nodes for them, on
// all cores. Requests are the same for the same seed, whatever the chooser; its
// own choices are so as far as it takes the randomness that it is given.
// Progress is called now and then, by one at a time, with the part that is done.
func (w *World) run(ctx context.Context, c chooser, count int, seed uint64, progress func(done float64)) (*Tunnels, error) {
	if count < 1 || count > MaxTunnels {
		return nil, fmt.Errorf("simulate %d tunnels: there can be 1 to %d", count, MaxTunnels)
	}
	if err := w.enter(ctx, c, seed); err != nil {
		return nil, err
	}
	t := &Tunnels{w: w, label: fmt.Sprint(c), all: make([]tunnel, count)}
	var mu sync.Mutex
	var failure error
	var first, later []time.Duration
	err := parallel(ctx, len(w.Clients), func(client int) {
		from, to := client*count/len(w.Clients), (client+1)*count/len(w.Clients)
		if from == to {
			return
		}
		begin, rest, failed, err := t.fill(c, client, t.all[from:to], seed)
		mu.Lock()
		defer mu.Unlock()
		first = append(first, begin)
		if to-from > 1 {
			later = append(later, rest/time.Duration(to-from-1))
		}
		t.Failed += failed
		failure = errors.Join(failure, err)
	}, progress)
	if err := errors.Join(err, failure); err != nil {
		return nil, err
	}
	if t.Failed == count {
		return nil, fmt.Errorf("none of %d tunnels of %s had a way through %d nodes: simulate more nodes", count, t.label, len(w.Nodes))
	}
	t.First, t.Time = median(first), median(later)
	return t, nil
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)/2]
}

// fill makes the tunnels of one client, and says how long the first and the
// others took.
func (t *Tunnels) fill(c chooser, client int, all []tunnel, seed uint64) (first, later time.Duration, failed int, err error) {
	asked, chosen := rand.New(rand.NewPCG(seed, uint64(client))), rand.New(rand.NewPCG(seed, uint64(client)|1<<41))
	began := time.Now()
	for i := range all {
		all[i] = tunnel{client: int32(client), destination: int32(t.w.popularity.draw(asked))}
		nodes, err := c.choose(chosen, client, int(all[i].destination))
		if i == 0 {
			first = time.Since(began)
		}
		switch {
		case errors.Is(err, route.ErrNoRoute), errors.Is(err, errNoPath):
			failed++
		case err != nil:
			return first, 0, failed, err
		case len(nodes) > maxHops:
			return first, 0, failed, fmt.Errorf("%d nodes were chosen, at most %d are expected", len(nodes), maxHops)
		}
		for k, n := range nodes {
			all[i].nodes[k], all[i].count = int16(n), uint8(k+1)
		}
	}
	return first, time.Since(began) - first, failed, nil
}

// enter gives all clients entries.
func (w *World) enter(ctx context.Context, c chooser, seed uint64) error {
	count, _, _ := c.entries()
	return parallel(ctx, len(w.Clients), func(i int) {
		r := rand.New(rand.NewPCG(seed, uint64(i)|1<<40))
		for which := range count {
			c.renew(r, i, which)
		}
	}, nil)
}

// parallel calls f for 0 to n-1 on all cores, until the context ends.
func parallel(ctx context.Context, n int, f func(i int), progress func(done float64)) error {
	next := make(chan int)
	var running sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		running.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	defer running.Wait()
	defer close(next)
	for i := range n {
		if progress != nil && i%64 == 0 {
			progress(float64(i) / float64(n))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case next <- i:
		}
	}
	return nil
}
