package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

const (
	jobSlack   = 3 * time.Minute // for a load beyond its own times
	maxTries   = 3               // of a measurement that met other work
	quietProbe = 300 * time.Millisecond
)

// A reading is what one measurement of one contestant has found.
type reading struct {
	Measure string    `json:"measure"`
	Unit    string    `json:"unit"`
	Values  []float64 `json:"values"`
}

// A measure can be taken of contestants.
type measure struct {
	name  string
	suits func(*contestant) bool // nil: all
	take  func(context.Context, *contestant) ([]reading, error)
}

// compare takes all measures of all contestants in every round. They take
// turns, in another order each round.
func (b *bench) compare(ctx context.Context, part string, all []*contestant, measures []measure) error {
	for round := range b.rounds {
		for _, m := range measures {
			b.progress("%s: round %d of %d: %s", part, round+1, b.rounds, m.name)
			for i := range all {
				c := all[(i+round)%len(all)]
				if m.suits != nil && !m.suits(c) {
					continue
				}
				if err := b.takeQuiet(ctx, part, round, c, m); err != nil {
					return fmt.Errorf("%s, %s: %w", c.name, m.name, err)
				}
			}
		}
	}
	return nil
}

// takeQuiet takes a measure once other work lets it, and again while other
// work came in between; of all tries the one with the least other work counts.
func (b *bench) takeQuiet(ctx context.Context, part string, round int, c *contestant, m measure) error {
	var best []reading
	var least float64
	for try := range maxTries {
		if err := b.awaitQuiet(ctx); err != nil {
			return err
		}
		met := b.meter()
		r, err := m.take(ctx, c)
		if err != nil {
			return err
		}
		foreign := met()
		if try == 0 || foreign < least {
			best, least = r, foreign
		}
		if least <= b.quiet {
			break
		}
	}
	return b.record(part, round, c.name, least, best)
}

// meter begins to measure how many cores other work uses; what it returns says
// how many that were.
func (b *bench) meter() func() float64 {
	start, others := time.Now(), busy()-b.crew.cpu()
	return func() float64 {
		return max(0, (busy()-b.crew.cpu()-others).Seconds()/time.Since(start).Seconds())
	}
}

func (b *bench) awaitQuiet(ctx context.Context) error {
	for end := time.Now().Add(b.wait); time.Now().Before(end); {
		met := b.meter()
		if err := sleep(ctx, quietProbe); err != nil {
			return err
		}
		if met() <= b.quiet {
			return nil
		}
	}
	return nil
}

// startLoad starts a load on the client's host.
func (b *bench) startLoad(c *contestant, j job) (*process, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	return c.arena.startRole(clientHost, "load", "load", string(text))
}

// do runs a load that says one thing.
func (b *bench) do(ctx context.Context, c *contestant, j job) (e event, err error) {
	p, err := b.startLoad(c, j)
	if err != nil {
		return e, err
	}
	defer b.crew.stop(p)
	return e, p.json(ctx, j.Warm+j.Window+jobSlack, &e)
}

// bulk measures throughput and what it costs.
func (b *bench) bulk(name string, streams, circuits int, warm time.Duration) measure {
	m := measure{name: name}
	if circuits > 1 {
		m.suits = (*contestant).onCircuits
	}
	m.take = func(ctx context.Context, c *contestant) ([]reading, error) {
		p, err := b.startLoad(c, job{
			Kind: "bulk", Target: c.as("bulk"), Streams: streams, Circuits: circuits, Warm: warm, Window: b.window,
		})
		if err != nil {
			return nil, err
		}
		defer b.crew.stop(p)
		var e event
		if err := p.json(ctx, warm+jobSlack, &e); err != nil {
			return nil, err
		}
		before := totalCPU(c.carriers)
		if err := p.json(ctx, b.window+jobSlack, &e); err != nil {
			return nil, err
		}
		used := totalCPU(c.carriers) - before
		r := []reading{{name, "MB/s", []float64{float64(e.Bytes) / 1e6 / e.Seconds}}}
		if len(c.carriers) > 0 && e.Bytes > 0 {
			r = append(r, reading{name, "CPU-s/GB", []float64{used.Seconds() / (float64(e.Bytes) / 1e9)}})
		}
		return r, nil
	}
	return m
}

// firstByte measures from dialling to the first byte of the answer, on a
// circuit that is there.
func (b *bench) firstByte(name string, count int) measure {
	return measure{name: name, take: func(ctx context.Context, c *contestant) ([]reading, error) {
		return b.times(ctx, c, name, job{Kind: "times", Target: c.as("first"), Count: count, Size: 1})
	}}
}

// firstByteFresh does so with a circuit that is built for the request.
func (b *bench) firstByteFresh(name string, count int) measure {
	take := func(ctx context.Context, c *contestant) (r []reading, err error) {
		if c.fresh != nil {
			if err := c.fresh(ctx, true); err != nil {
				return nil, err
			}
		}
		r, err = b.times(ctx, c, name, job{Kind: "times", Target: c.as("fresh"), Count: count, Fresh: true, Size: 1})
		if err == nil && c.fresh != nil {
			err = c.fresh(ctx, false)
		}
		return r, err
	}
	return measure{name: name, suits: (*contestant).onCircuits, take: take}
}

// beside measures small requests while eight streams download: on circuits of
// their own, or all on the circuit of the requests.
func (b *bench) beside(name string, size uint64, circuits int) measure {
	const streams = 8
	user := "bulk"
	if circuits > 1 {
		user = "small"
	}
	return measure{name: name, take: func(ctx context.Context, c *contestant) ([]reading, error) {
		p, err := b.startLoad(c, job{
			Kind: "bulk", Target: c.as("bulk"), Streams: streams, Circuits: circuits, Warm: time.Second, Window: time.Hour,
		})
		if err != nil {
			return nil, err
		}
		defer b.crew.stop(p)
		var e event
		if err := p.json(ctx, jobSlack, &e); err != nil {
			return nil, err
		}
		return b.times(ctx, c, name, job{Kind: "times", Target: c.as(user), Window: b.window, Size: size})
	}}
}

// building measures how many circuits are built in a second, and the CPU time
// that one takes at each of its relays.
func (b *bench) building(name string) measure {
	const atOnce, hops = 16, 3
	return measure{name: name, suits: func(c *contestant) bool { return c.name == namePort17 }, take: func(ctx context.Context, c *contestant) ([]reading, error) {
		before := totalCPU(c.relays)
		e, err := b.do(ctx, c, job{Kind: "build", Target: c.as("build"), Streams: atOnce, Window: b.window})
		if err != nil {
			return nil, err
		}
		if e.Failed > 0 || e.Open == 0 {
			return nil, fmt.Errorf("%d of %d circuits failed: %s", e.Failed, e.Failed+e.Open, e.Error)
		}
		used := totalCPU(c.relays) - before
		return []reading{
			{name, perSecond, []float64{float64(e.Open) / e.Seconds}},
			{name, perRelay, []float64{used.Seconds() * 1e3 / float64(e.Open*hops)}},
		}, nil
	}}
}

// times runs a load that measures times. A request that fails ends the run:
// left out, it would make the others look good.
func (b *bench) times(ctx context.Context, c *contestant, name string, j job) ([]reading, error) {
	e, err := b.do(ctx, c, j)
	if err != nil {
		return nil, err
	}
	if e.Failed > 0 || len(e.Times) == 0 {
		return nil, fmt.Errorf("%d of %d requests failed: %s", e.Failed, e.Failed+len(e.Times), e.Error)
	}
	return []reading{{name, "ms", e.Times}}, nil
}
