package shape

import (
	"math/rand/v2"
	"time"
)

// A padder is the state machine of adaptive padding.
//
//	        a cell              no cell for so long: padding
//	idle ──────────► burst ─────────────────────────────────► gap ─┐ padding
//	  ▲  "never" drawn │ ▲         "never" drawn, or a cell     │ ▲  │ again
//	  └────────────────┘ └──────────────────────────────────────┘ └──┘
//
// In each state a time is drawn from the state's histogram, which loses a token
// by that. If a cell comes first, the token goes back and that of the real gap
// is taken. An empty histogram is filled again. So the gaps between all cells
// come to follow it, whatever those between the real ones are.
type padder struct {
	rand  *rand.Rand
	least time.Duration // between two cells of padding
	state state
	due   time.Time // of padding, unless idle
	cell  time.Time // when a cell left last, padding included
	pad   time.Time // when padding left last

	burst, gap tokens
	drawn      int  // bin that the time was drawn from
	never      bool // it is none: nothing follows
}

type state uint8

const (
	idle state = iota
	inBurst
	inGap
)

// tokens are a histogram in use.
type tokens struct {
	full, left Histogram
}

func newPadder(s Shape, source *rand.Rand) *padder {
	m := s.machine()
	return &padder{
		rand: source, least: s.interval(),
		burst: tokens{full: m.Burst, left: m.Burst}, gap: tokens{full: m.Gap, left: m.Gap},
	}
}

// sent says that cells have left that are no padding.
func (p *padder) sent(now time.Time) {
	if p.state != idle {
		p.tokens().exchange(p.drawn, now.Sub(p.cell))
	}
	p.cell = now
	p.enter(inBurst, now)
}

// seen says that cells have passed in the other direction: an answer may follow.
func (p *padder) seen(now time.Time) {
	if p.state == idle {
		p.enter(inBurst, now)
	}
}

// fire is called when the time drawn is over, and says whether padding leaves.
func (p *padder) fire(now time.Time) bool {
	switch {
	case p.never && p.state == inGap:
		p.enter(inBurst, now)
		return false
	case p.never:
		p.state = idle
		return false
	}
	p.cell, p.pad = now, now
	p.enter(inGap, now)
	return true
}

// enter draws how long the machine stays in the state.
func (p *padder) enter(s state, now time.Time) {
	p.state = s
	var wait time.Duration
	wait, p.drawn = p.tokens().draw(p.rand)
	p.due, p.never = now.Add(wait), p.drawn == never
	if !p.never && !p.pad.IsZero() && p.due.Before(p.pad.Add(p.least)) {
		p.due = p.pad.Add(p.least)
	}
}

// skip puts off padding that is late, such as after a computer slept.
func (p *padder) skip(now time.Time) {
	if p.state != idle && now.Sub(p.due) > catchUp*p.least {
		p.due = now
	}
}

// tokens are those of the state.
func (p *padder) tokens() *tokens {
	if p.state == inGap {
		return &p.gap
	}
	return &p.burst
}

// never is the bin of the token that says that nothing follows.
const never = maxBins

// draw takes a token, and returns its bin and a time within that.
func (t *tokens) draw(source *rand.Rand) (wait time.Duration, bin int) {
	total := t.left.Never
	for _, b := range t.left.Bins {
		total += b.Tokens
	}
	if total == 0 {
		t.left = t.full
		return t.draw(source)
	}
	n := source.IntN(total)
	low := time.Duration(0)
	for i := range t.left.Bins {
		b := &t.left.Bins[i]
		if n < b.Tokens {
			b.Tokens--
			return low + time.Duration(source.Float64()*float64(b.Below-low)), i
		}
		n -= b.Tokens
		low = b.Below
	}
	t.left.Never--
	return 0, never
}

// exchange puts a token back that was drawn, and takes that of the gap that
// there was, or of the next longer one.
func (t *tokens) exchange(drawn int, gap time.Duration) {
	if drawn == never {
		t.left.Never++
	} else {
		t.left.Bins[drawn].Tokens++
	}
	for i := range t.left.Bins {
		if b := &t.left.Bins[i]; gap < b.Below && b.Tokens > 0 {
			b.Tokens--
			return
		}
	}
}
