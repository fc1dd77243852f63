package sim

import (
	"context"
	"math/rand/v2"
)

const (
	circuitsPerDay = 50   // of a client, each to a destination of its own
	mostCircuits   = 1000 // that are tried with the same entries
	days           = 360
)

// months are for how many a client's luck is looked at.
const months = days / 30

// A Fate says what part of clients an adversary has seen at both ends, in one
// circuit at least, after each month.
type Fate struct {
	Adversary string    `json:"adversary"`
	Selection string    `json:"selection"`
	Hit       []float64 `json:"hit"`
}

// overTime lets clients live for a year against adversaries who have a part of
// the nodes, drawn anew for each client. Entries are kept as long as the
// selection keeps them.
func (w *World) overTime(ctx context.Context, c chooser, label string, part float64, seed uint64) (Fate, error) {
	if err := w.enter(ctx, c, seed); err != nil {
		return Fate{}, err
	}
	first := make([]float64, len(w.Clients)) // day of the first hit
	err := parallel(ctx, len(w.Clients), func(i int) {
		r := rand.New(rand.NewPCG(seed, uint64(i)|1<<42))
		first[i] = w.life(c, w.atRandom(part, r), i, r)
	}, nil)
	f := Fate{Adversary: w.atRandom(part, rand.New(rand.NewPCG(seed, 0))).name, Selection: label, Hit: make([]float64, months)}
	for _, day := range first {
		for k := range f.Hit {
			if day < float64(30*(k+1)) {
				f.Hit[k] += 1 / float64(len(first))
			}
		}
	}
	return f, err
}

// life returns the day on which the client is first seen at both ends.
func (w *World) life(c chooser, a adversary, client int, r *rand.Rand) float64 {
	count, least, most := c.entries()
	entries, until := make([]int, count), make([]float64, count)
	draw := func(which int, now float64) {
		entries[which] = c.renew(r, client, which)
		until[which] = now + least + (most-least)*r.Float64()
	}
	for which := range count {
		draw(which, 0)
	}
	for now := 0.0; now < days; {
		next := float64(days)
		bad := false
		for which, e := range entries {
			next = min(next, until[which])
			bad = bad || e != noEntry && a.nodes[e]
		}
		if bad {
			if after, hit := w.tries(c, a, client, int((next-now)*circuitsPerDay), r); hit {
				return now + float64(after)/circuitsPerDay
			}
		}
		now = next
		for which := range entries {
			if until[which] <= now {
				draw(which, now)
			}
		}
	}
	return days + 1
}

// tries makes circuits until one has the adversary at both ends.
func (w *World) tries(c chooser, a adversary, client, count int, r *rand.Rand) (after int, hit bool) {
	for after := range min(count, mostCircuits) {
		nodes, err := c.choose(r, client, w.popularity.draw(r))
		if err == nil && a.nodes[nodes[0]] && a.nodes[nodes[len(nodes)-1]] {
			return after, true
		}
	}
	return 0, false
}
