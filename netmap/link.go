package netmap

import (
	"fmt"
	"slices"
	"time"
)

// maxCrossed is how many systems, and how many countries, a node says that the
// path to a neighbour crosses.
const maxCrossed = 8

// A Link is a connection that a node keeps to another.
type Link struct {
	To      NodeID
	RTT     time.Duration // to the microsecond
	Crossed Crossed
}

// Crossed is what a path through the Internet crosses, its ends included.
type Crossed struct {
	ASNs      []uint32 // autonomous systems, ascending
	Countries []string // ISO 3166-1 alpha-2, ascending
	// Traced says that the path was traced. Otherwise only its ends are known.
	Traced bool
}

// NewCrossed returns what a path crosses, in the order in which it does: of
// each kind the first eight different ones, without zeros and empty texts.
func NewCrossed(asns []uint32, countries []string, traced bool) Crossed {
	return Crossed{ASNs: firstFew(asns), Countries: firstFew(countries), Traced: traced}
}

func firstFew[T uint32 | string](all []T) (few []T) {
	var zero T
	for _, v := range all {
		if v != zero && !slices.Contains(few, v) && len(few) < maxCrossed {
			few = append(few, v)
		}
	}
	slices.Sort(few)
	return few
}

// join returns what paths in both directions cross. It is traced if both are.
func (c Crossed) join(back Crossed) Crossed {
	return Crossed{ASNs: union(c.ASNs, back.ASNs), Countries: union(c.Countries, back.Countries), Traced: c.Traced && back.Traced}
}

func union[T uint32 | string](a, b []T) []T {
	if slices.Equal(a, b) {
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func (c Crossed) isZero() bool { return len(c.ASNs) == 0 && len(c.Countries) == 0 && !c.Traced }

func (c Crossed) validate(most int) error {
	if len(c.ASNs) > most || len(c.Countries) > most {
		return fmt.Errorf("%w: a link crosses %d systems and %d countries, at most %d are allowed", ErrDescriptor, len(c.ASNs), len(c.Countries), most)
	}
	if !ascending(c.ASNs) || !ascending(c.Countries) {
		return fmt.Errorf("%w: what a link crosses is not in ascending order", ErrDescriptor)
	}
	for _, country := range c.Countries {
		if err := checkCountry(country); err != nil {
			return err
		}
	}
	return nil
}

// ascending says whether each value is above the one before it, and the first
// above zero.
func ascending[T uint32 | string](values []T) bool {
	var last T
	for _, v := range values {
		if v <= last {
			return false
		}
		last = v
	}
	return true
}
