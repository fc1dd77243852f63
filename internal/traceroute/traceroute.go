package traceroute

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"safing/internal/geo"
)

const (
	maxHops     = 30
	maxAttempts = 3
	maxParallel = 16
)

// Config bounds a trace. Its zero value is useful.
type Config struct {
	// Hops is how many routers there are on the way at most; 0 means 30, which is
	// also the most.
	Hops int
	// Attempts is how many probes are sent to a hop that does not answer; 0 means
	// 2, and 3 are the most.
	Attempts int
	// Parallel is to how many hops probes are under way at once; 0 means 8, and
	// 16 are the most.
	Parallel int
	// Wait is how long an answer may take; 0 means 1 s.
	Wait time.Duration
	// Gap is after how many hops in a row that don't answer it gives up; 0 means
	// 6.
	Gap int
}

func (c Config) withDefaults() Config {
	c.Hops = within(c.Hops, maxHops, maxHops)
	c.Attempts = within(c.Attempts, 2, maxAttempts)
	c.Parallel = within(c.Parallel, 8, maxParallel)
	c.Gap = within(c.Gap, 6, maxHops)
	if c.Wait <= 0 {
		c.Wait = time.Second
	}
	return c
}

func within(n, unset, most int) int {
	if n <= 0 {
		n = unset
	}
	return min(n, most)
}

// An Outcome says how a path ends.
type Outcome int

// How a path ends.
const (
	Silent      Outcome = iota // nobody answered beyond the last hop
	Reached                    // the last hop is the destination
	Unreachable                // the last hop says that it cannot pass anything on
)

// String is the outcome in a word.
func (o Outcome) String() string {
	switch o {
	case Silent:
		return "silent"
	case Reached:
		return "reached"
	case Unreachable:
		return "unreachable"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// A Hop is a router on the way, or the destination.
type Hop struct {
	Addr netip.Addr    // invalid if it did not answer
	RTT  time.Duration // to it and back
}

// A Path has the hops in order, from the first router on. The last one has
// answered, unless there is none.
type Path struct {
	Hops    []Hop
	Outcome Outcome
}

// Crossed returns the networks and countries of the hops, each once, in the
// order in which they are reached. What db does not know is left out.
func Crossed(hops []Hop, db *geo.DB) (asns []uint32, countries []string) {
	for _, h := range hops {
		l := db.Locate(h.Addr)
		if l.ASN != 0 && !slices.Contains(asns, l.ASN) {
			asns = append(asns, l.ASN)
		}
		if l.Country != "" && !slices.Contains(countries, l.Country) {
			countries = append(countries, l.Country)
		}
	}
	return asns, countries
}

// An answer is what came back on a probe.
type answer struct {
	from    netip.Addr
	outcome Outcome // Silent: the way goes on
	at      time.Time
}

// A trace is the state of one Trace: which probes to send, and what their
// answers mean. It does no input and output.
type trace struct {
	config Config
	hops   []hop // all that there may be; shorter once the end is known
	ends   Outcome
}

type hop struct {
	attempts int       // probes sent
	sent     time.Time // the last one
	at       [maxAttempts]time.Time
	answer   answer
}

func newTrace(c Config) *trace {
	c = c.withDefaults()
	return &trace{config: c, hops: make([]hop, c.Hops)}
}

func (h *hop) answered() bool { return h.answer.from.IsValid() }

// due reports whether a hop wants another probe.
func (t *trace) due(h *hop, now time.Time) bool {
	return !h.answered() && h.attempts < t.config.Attempts && (h.attempts == 0 || now.Sub(h.sent) >= t.config.Wait)
}

// waits reports whether an answer of a hop may yet come.
func (t *trace) waits(h *hop, now time.Time) bool {
	return !h.answered() && h.attempts > 0 && now.Sub(h.sent) < t.config.Wait
}

// next returns the hop and the attempt of the next probe, which the caller
// sends at that time.
func (t *trace) next(now time.Time) (index, attempt int, ok bool) {
	flying, silent := 0, 0
	for i := range t.hops {
		h := &t.hops[i]
		switch {
		case h.answered():
			silent = 0
			continue
		case t.due(h, now):
			if flying == t.config.Parallel {
				return 0, 0, false
			}
			attempt := h.attempts
			h.at[attempt], h.sent = now, now
			h.attempts++
			return i, attempt, true
		case t.waits(h, now):
			flying++
		default: // it stays silent
			if silent++; silent == t.config.Gap {
				return 0, 0, false
			}
		}
	}
	return 0, 0, false
}

// wake returns when the next probe is due or given up, if one is under way.
func (t *trace) wake(now time.Time) (time.Time, bool) {
	var first time.Time
	for i := range t.hops {
		if h := &t.hops[i]; t.waits(h, now) {
			if end := h.sent.Add(t.config.Wait); first.IsZero() || end.Before(first) {
				first = end
			}
		}
	}
	return first, !first.IsZero()
}

// take notes an answer on a probe that was sent; others are ignored.
func (t *trace) take(index, attempt int, a answer) {
	if index < 0 || index >= len(t.hops) || attempt < 0 || attempt >= t.hops[index].attempts {
		return
	}
	h := &t.hops[index]
	if h.answered() {
		return
	}
	h.answer, h.sent = a, h.at[attempt]
	if a.outcome != Silent {
		t.ends, t.hops = a.outcome, t.hops[:index+1]
	}
}

// path is what was found.
func (t *trace) path() Path {
	p := Path{Outcome: t.ends}
	for i := range t.hops {
		h := &t.hops[i]
		if !h.answered() {
			continue
		}
		for len(p.Hops) < i {
			p.Hops = append(p.Hops, Hop{})
		}
		p.Hops = append(p.Hops, Hop{h.answer.from, h.answer.at.Sub(h.sent)})
	}
	return p
}
