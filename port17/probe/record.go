package probe

import (
	"math/rand/v2"
	"time"
)

const (
	firstRetry = time.Minute         // of a node that did not answer; then twice as long each time
	enoughFail = 3                   // probes in a row that a node has to miss to be given up
	badFor     = 7 * 24 * time.Hour  // after its last misdeed an exit is bad: who knows that it was caught behaves
	keepRates  = 5                   // measurements of a node, the best of which counts
	rateFor    = 14 * 24 * time.Hour // a measurement counts
	remeasure  = 10 * time.Minute    // after a measurement that has failed, over another partner
)

// A measured is one measurement.
type measured struct {
	at   time.Time
	rate uint64
}

// A record is what is known of a node. It belongs to Scanner.mu.
type record struct {
	seen      bool
	binding   [32]byte // of the descriptor that was seen last
	probing   bool
	reachable bool
	failed    int       // probes since the last that succeeded
	failing   time.Time // since when; of the first of these
	next      time.Time // probe
	last      time.Time // probe

	badUntil     time.Time
	rates        []measured // the newest last
	tried        time.Time  // the last measurement, whether it failed or not
	nextMeasured time.Time
	told         uint64 // the capacity that changed was last called for
}

// see takes in that the node is there. One with another descriptor is probed soon.
func (r *record) see(binding [32]byte, listed bool, now time.Time) {
	switch {
	case !r.seen:
		r.seen, r.reachable, r.next = true, listed, now
	case r.binding != binding && r.next.After(r.last.Add(firstRetry)):
		r.next = r.last.Add(firstRetry)
	}
	r.binding = binding
}

// gone forgets that the node was there.
func (r *record) gone() {
	*r = record{probing: r.probing, badUntil: r.badUntil, rates: r.rates, tried: r.tried, nextMeasured: r.nextMeasured, told: r.told}
}

// worthKeeping says whether what is known still counts should the node come back.
func (r *record) worthKeeping(now time.Time) bool {
	return now.Before(r.badUntil) || r.capacity(now) > 0
}

// probed takes in what a probe has found, which is nothing unless told. A node is
// given up when it has missed some probes in a row, while others have answered: if
// nobody does, it is our own network.
func (r *record) probed(now time.Time, reached, told bool, answered time.Time, every time.Duration) {
	r.last = now
	switch {
	case reached:
		r.reachable, r.failed = true, 0
		r.next = now.Add(every - time.Duration(rand.Int64N(int64(every)/8+1))) // not all at once
		return
	case !told:
		r.next = now.Add(every)
		return
	}
	if r.failed == 0 {
		r.failing = now
	}
	r.failed++
	if r.failed >= enoughFail && answered.After(r.failing) {
		r.reachable = false
	}
	longest := every
	if !r.reachable {
		longest *= 4
	}
	r.next = now.Add(min(longest, firstRetry<<min(r.failed-1, 20)))
}

// add keeps a measurement, and the newest of those before.
func (r *record) add(m measured) {
	r.rates, r.tried = append(r.rates, m), m.at
	if len(r.rates) > keepRates {
		r.rates = append(r.rates[:0], r.rates[len(r.rates)-keepRates:]...)
	}
}

// capacity is the best of the last measurements: each is bounded by the slowest
// node of its circuit, and by who else was using that.
func (r *record) capacity(now time.Time) (best uint64) {
	for _, m := range r.rates {
		if now.Sub(m.at) < rateFor {
			best = max(best, m.rate)
		}
	}
	return best
}

// tell says whether the capacity has changed by more than a quarter since it last
// said so.
func (r *record) tell(now time.Time) bool {
	is := r.capacity(now)
	if is <= r.told+r.told/4 && is >= r.told-r.told/4 {
		return false
	}
	r.told = is
	return true
}
