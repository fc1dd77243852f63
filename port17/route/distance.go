package route

import (
	"sync/atomic"
	"time"

	"safing/internal/geo"
)

const (
	// unknownAway is how far an exit is from the destination of whose country
	// nothing is known: as from one continent to the next.
	unknownAway cost = 100_000
	// leastAway is to a destination in the exit's own network.
	leastAway cost = 1000
)

// between estimates the round trip between two countries by [geo.RTT]. It returns
// false if one of them is not known.
func between(a, b string) (time.Duration, bool) {
	from, ok := geo.CountryPlace(a)
	to, known := geo.CountryPlace(b)
	if !ok || !known {
		return 0, false
	}
	return geo.RTT(from, to), true
}

// distances remembers how far each country is from another one, by the other
// one's number.
type distances struct {
	places [countries]bool // those in which there are nodes
	rows   [countries]atomic.Pointer[row]
}

// A row is how far the countries are from one.
type row [countries]cost

// from returns how far all countries are from the destination's. If that is not
// known, all are as near: nil.
func (d *distances) from(code string) *row {
	c := countryOf(code)
	if c == 0 {
		return nil
	}
	if _, known := between(code, code); !known {
		return nil
	}
	if r := d.rows[c].Load(); r != nil {
		return r
	}
	r := new(row)
	for i := range r {
		r[i] = unknownAway
		if !d.places[i] || i == 0 {
			continue
		}
		if rtt, ok := between(country(i).code(), code); ok {
			r[i] = max(costOf(rtt), leastAway)
		}
	}
	d.rows[c].Store(r)
	return r
}
