package route

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"safing/netmap"
)

var (
	// ErrNoRoute means that no route fulfils the request.
	ErrNoRoute = errors.New("no route")
	// ErrNoExit means that this is as no exit may be used and allows the
	// destination. It wraps ErrNoRoute.
	ErrNoExit = fmt.Errorf("%w: no exit", ErrNoRoute)
)

// A NoRouteError says that no route fulfils a request, and what of it is in the
// way. It wraps [ErrNoRoute], and [ErrNoExit] if there is no exit.
type NoRouteError struct {
	Nodes       int    // of the route that was asked for
	Destination string // for people
	Exits       int    // that may be used

	relaxed func() []Relaxation
}

// A Relaxation is a part of a request without which there are routes.
type Relaxation struct {
	// Constraint is the field of the [Request], such as AvoidCountries.
	Constraint string `json:"constraint"`
	// Asks is what it asks for, such as "avoids country US".
	Asks string `json:"asks"`
	// Routes is how many there are without it; if More, at least that many.
	Routes int  `json:"routes"`
	More   bool `json:"more"`
}

// Relaxed returns the parts of the request that are each alone in the way. It
// looks for routes without each of them, once.
func (e *NoRouteError) Relaxed() []Relaxation { return e.relaxed() }

// Error implements error. It names what to relax.
func (e *NoRouteError) Error() string {
	if all := e.Relaxed(); len(all) > 0 {
		return fmt.Sprintf("%s of %d nodes to %s %s", ErrNoRoute, e.Nodes, e.Destination, Relaxations(all, func(c string) string { return c }))
	}
	if e.Exits == 0 {
		return fmt.Sprintf("%s: no node that may be used allows %s", ErrNoExit, e.Destination)
	}
	return fmt.Sprintf("%s: no %d linked nodes of different owners, groups and networks (/16, in IPv6 /32) lead to one of the %d exits that may be used for %s; dropping one requirement alone does not help", ErrNoRoute, e.Nodes, e.Exits, e.Destination)
}

// Relaxations says which parts of a request are each alone in the way, in one
// line. The function names what people have asked with, by the constraint.
func Relaxations(all []Relaxation, name func(constraint string) string) string {
	var parts []string
	for _, r := range all {
		more := ""
		if r.More {
			more = "more than "
		}
		parts = append(parts, fmt.Sprintf("%s (%s%d do without %s)", r.Asks, more, r.Routes, name(r.Constraint)))
	}
	return strings.Join(parts, ", nor one that ")
}

// Unwrap returns ErrNoExit or ErrNoRoute.
func (e *NoRouteError) Unwrap() error {
	if e.Exits == 0 {
		return ErrNoExit
	}
	return ErrNoRoute
}

// none returns the error of a search that has found nothing.
func (s *search) none() error {
	f, r := s.f, *s.r
	e := &NoRouteError{Nodes: s.want, Destination: describe(&r)}
	for i := range f.places {
		if s.mayExit(int32(i)) {
			e.Exits++
		}
	}
	e.relaxed = sync.OnceValue(func() (all []Relaxation) {
		for _, c := range constraints {
			asks := c.asks(&r)
			if asks == "" {
				continue
			}
			without := r
			c.drop(&without)
			if n := f.countRoutes(without); n > 0 {
				all = append(all, Relaxation{Constraint: c.name, Asks: asks, Routes: min(n, mostCounted-1), More: n >= mostCounted})
			}
		}
		return all
	})
	return e
}

func describe(r *Request) string {
	if r.Destination.Addr().IsValid() {
		return r.Destination.String()
	}
	return fmt.Sprintf("port %d", r.Destination.Port())
}

// countRoutes counts routes, up to mostCounted.
func (f *Finder) countRoutes(r Request) int {
	s := f.begin(&r)
	defer f.searches.Put(s)
	s.mode, s.steps = counted, stepsToBest
	s.findStarts()
	for _, t := range s.starts {
		if s.steps <= 0 || s.from(t) {
			break
		}
	}
	return s.count
}

// constraints are what of a request can be dropped, one at a time.
var constraints = [...]struct {
	name string
	asks func(*Request) string // "" if nothing
	drop func(*Request)
}{
	{"AvoidCountries", func(r *Request) string { return list("avoids", "country", "countries", r.AvoidCountries) }, func(r *Request) { r.AvoidCountries = nil }},
	{"AvoidASNs", func(r *Request) string { return list("avoids", "AS", "AS", r.AvoidASNs) }, func(r *Request) { r.AvoidASNs = nil }},
	{"ExitCountries", func(r *Request) string {
		return list("has its exit in", "country", "one of the countries", r.ExitCountries)
	}, func(r *Request) { r.ExitCountries = nil }},
	{"Exits", func(r *Request) string { return list("ends at", "exit", "one of the exits", short(r.Exits)) }, func(r *Request) { r.Exits = nil }},
	{"AvoidExits", func(r *Request) string {
		return list("ends elsewhere than at", "exit", "the exits", short(r.AvoidExits))
	}, func(r *Request) { r.AvoidExits = nil }},
	{"Unencrypted", func(r *Request) string {
		if !r.Unencrypted {
			return ""
		}
		return "has a trusted exit, for what is not encrypted"
	}, func(r *Request) { r.Unencrypted = false }},
	{"Nodes", func(r *Request) string {
		if r.Nodes <= r.Level.Nodes() {
			return ""
		}
		return fmt.Sprintf("is longer than the %d of the level %s", r.Level.Nodes(), r.Level)
	}, func(r *Request) { r.Nodes = 0 }},
	{"Level", func(r *Request) string {
		if r.Level <= Normal || r.Nodes >= r.Level.Nodes() {
			return ""
		}
		return fmt.Sprintf("is as long as the level %s asks for", r.Level)
	}, func(r *Request) { r.Level = Normal }},
	{"Delay", func(r *Request) string {
		if r.Delay <= 0 {
			return ""
		}
		return fmt.Sprintf("offers delays of %s at each node", r.Delay.Round(time.Millisecond))
	}, func(r *Request) { r.Delay = 0 }},
	{"Padding", func(r *Request) string {
		if r.Padding <= 0 {
			return ""
		}
		return fmt.Sprintf("offers padding of %d cells a second at each node", r.Padding)
	}, func(r *Request) { r.Padding = 0 }},
	{"Exclude", func(r *Request) string {
		if len(r.Exclude) == 0 {
			return ""
		}
		return "does without the nodes that failed recently"
	}, func(r *Request) { r.Exclude = nil }},
	{"Entries", func(r *Request) string { return list("begins at", "entry", "one of the entries", short(r.Entries)) }, func(r *Request) { r.Entries = nil }},
}

func list[T any](verb, one, many string, values []T) string {
	switch len(values) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%s %s %v", verb, one, values[0])
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	return fmt.Sprintf("%s %s %s", verb, many, strings.Join(texts, ", "))
}

func short(ids []netmap.NodeID) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.Short()
	}
	return texts
}
