package shape

import (
	"math/rand/v2"
	"time"
)

// catchUp is how many intervals of a constant rate are made up for when Take is
// called late, such as after a computer slept.
const catchUp = 8

// A Gate says when cells of one direction of a circuit leave.
type Gate struct {
	rand    *rand.Rand
	mean    time.Duration
	delayed int       // cells that wait for their delays
	leaves  time.Time // when the next of them is over

	ready    int           // cells that were delayed
	came     time.Time     // when the last of them came, if they are not
	interval time.Duration // of a constant rate; 0 without one
	tick     time.Time     // when the next interval ends
	padder   *padder       // nil unless adaptive
}

// runtimeSource is the runtime's generator: ChaCha8, seeded by the system.
type runtimeSource struct{}

// Uint64 implements rand.Source.
func (runtimeSource) Uint64() uint64 { return rand.Uint64() }

// NewGate returns a gate that delays each cell by an exponential time with the
// mean, 0 for none, and then shapes them. Nil is a source that nobody can
// predict; others are for tests and simulators.
func NewGate(mean time.Duration, s Shape, now time.Time, source rand.Source) *Gate {
	if source == nil {
		source = runtimeSource{}
	}
	g := &Gate{rand: rand.New(source), mean: mean}
	switch {
	case s.Kind == None:
	case s.Kind == Constant:
		g.interval = s.interval()
		g.tick = now.Add(time.Duration(g.rand.Float64() * float64(g.interval)))
	default:
		g.padder = newPadder(s, g.rand)
	}
	return g
}

// Waiting returns how many cells have not left.
func (g *Gate) Waiting() int { return g.delayed + g.ready }

// Add says that n cells have arrived.
//
// Of n cells that wait, the first is due after an exponential time with an n-th
// of the mean. As that has no memory, those that were there and those that have
// come can be looked at by themselves.
func (g *Gate) Add(now time.Time, n int) {
	if g.mean <= 0 {
		g.ready, g.came = g.ready+n, now
		return
	}
	if due := now.Add(g.draw(n)); g.delayed == 0 || due.Before(g.leaves) {
		g.leaves = due
	}
	g.delayed += n
}

// draw is the time until the first of n delays is over.
func (g *Gate) draw(n int) time.Duration {
	return time.Duration(g.rand.ExpFloat64() * float64(g.mean) / float64(n))
}

// Seen says that cells have passed in the other direction.
func (g *Gate) Seen(now time.Time) {
	if g.padder != nil {
		g.padder.seen(now)
	}
}

// Take says how many cells leave now, and how much padding behind them.
func (g *Gate) Take(now time.Time) (cells, padding int) {
	if g.interval > 0 && now.Sub(g.tick) > catchUp*g.interval {
		g.tick = now.Add(-catchUp * g.interval)
	}
	if g.padder != nil {
		g.padder.skip(now)
	}
	for {
		at, what := g.first()
		if what == nothing || at.After(now) {
			return cells, padding
		}
		switch what {
		case cellsReady:
			cells += g.release(now)
		case delayOver:
			g.delayed--
			g.ready++
			if g.delayed > 0 {
				g.leaves = at.Add(g.draw(g.delayed))
			}
			if g.interval == 0 {
				cells += g.release(at)
			}
		case intervalOver:
			g.tick = at.Add(g.interval)
			if g.ready > 0 {
				g.ready--
				cells++
			} else {
				padding++
			}
		case paddingDue:
			if g.padder.fire(at) {
				padding++
			}
		}
	}
}

// release lets what is ready leave at once.
func (g *Gate) release(at time.Time) (cells int) {
	cells, g.ready = g.ready, 0
	if cells > 0 && g.padder != nil {
		g.padder.sent(at)
	}
	return cells
}

// Next returns when Take has to be called; zero if not before the next Add or
// Seen.
func (g *Gate) Next() time.Time {
	at, _ := g.first()
	return at
}

type event uint8

const (
	nothing event = iota
	cellsReady
	delayOver
	intervalOver
	paddingDue
)

// first is what happens next.
func (g *Gate) first() (at time.Time, what event) {
	if g.ready > 0 && g.interval == 0 {
		return g.came, cellsReady
	}
	if g.delayed > 0 {
		at, what = g.leaves, delayOver
	}
	if g.interval > 0 && (what == nothing || g.tick.Before(at)) {
		at, what = g.tick, intervalOver
	}
	if p := g.padder; p != nil && p.state != idle && (what == nothing || p.due.Before(at)) {
		at, what = p.due, paddingDue
	}
	return at, what
}
