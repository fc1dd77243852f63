package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// held streams are spread over circuits of so many.
const streamsOfCircuit = 100

// What is recorded at each number of streams.
const (
	openStreams  = "open streams"
	exitMemory   = "exit, MB"
	exitFiles    = "its descriptors"
	largestRelay = "largest relay, MB"
	allRelays    = "all relays, MB"
	allClients   = "clients, MB"
	manyStreams  = 10_000
	holders      = 4 // clients of Port17: one proxy takes 4096 connections
)

// A memoryPlan is a network and the numbers of streams to open.
type memoryPlan struct {
	name   string
	levels []int
	start  func(context.Context, *arena) (*contestant, error)
}

func memoryPlans() []memoryPlan {
	port17 := func(ctx context.Context, a *arena) (*contestant, error) { return a.startPort17(ctx, holders) }
	tor := func(ctx context.Context, a *arena) (*contestant, error) { return a.startTor(ctx, nameTor, "") }
	return []memoryPlan{
		{nameTor, []int{0, 1_000, manyStreams}, tor},
		{namePort17, []int{0, 1_000, manyStreams}, port17},
	}
}

// memory measures what open streams cost. The networks are new: what a
// download leaves in allocators is more than streams need.
func (b *bench) memory(ctx context.Context) error {
	for i, plan := range memoryPlans() {
		b.progress("memory: starting %s", plan.name)
		a, err := b.newArena(fmt.Sprintf("memory%d", i), 0)
		if err != nil {
			return err
		}
		err = b.memoryOf(ctx, a, plan)
		a.close()
		if err != nil {
			return err
		}
	}
	return b.printMemory()
}

func (b *bench) memoryOf(ctx context.Context, a *arena, plan memoryPlan) error {
	c, err := plan.start(ctx, a)
	if err != nil {
		return err
	}
	if err := c.settle(ctx, settleTime); err != nil {
		return err
	}
	open := 0
	for _, level := range plan.levels {
		b.progress("memory: %s with %d streams", plan.name, level)
		now, err := b.hold(ctx, c, level-open)
		if err != nil {
			return err
		}
		open += now
		if err := sleep(ctx, settleTime); err != nil {
			return err
		}
		if err := b.record("memory", 0, plan.name, 0, memoryReadings(c, level, open)); err != nil {
			return err
		}
	}
	return nil
}

// hold opens streams for as long as the arena lives, some over each of the
// clients, and returns how many there are.
func (b *bench) hold(ctx context.Context, c *contestant, streams int) (open int, err error) {
	for i, socks := range c.sockets {
		share := streams / len(c.sockets)
		if share == 0 {
			continue
		}
		t := c.as(fmt.Sprintf("hold-%d", streams))
		t.Socks = socks
		j := job{Kind: "hold", Target: t, Streams: share, Circuits: max(share/streamsOfCircuit, 1)}
		p, err := b.startLoad(c, j)
		if err != nil {
			return 0, err
		}
		var e event
		if err := p.json(ctx, 10*time.Minute, &e); err != nil {
			return 0, err
		}
		if e.Failed > 0 {
			b.progress("memory: %s refused %d streams at client %d: %s", c.name, e.Failed, i+1, e.Error)
		}
		open += e.Open
	}
	return open, nil
}

func memoryReadings(c *contestant, level, open int) []reading {
	var total, clients, largest, exit, files float64
	for _, p := range c.carriers {
		pid := p.cmd.Process.Pid
		m := rss(pid) / 1e6
		if !slices.Contains(c.relays, p) {
			clients += m
			continue
		}
		total += m
		largest = max(largest, m)
		if n := float64(descriptors(pid)); slices.Contains(c.exits, p) && n > files {
			exit, files = m, n
		}
	}
	var all []reading
	add := func(name string, v float64) { all = append(all, reading{name, atLevel(level), []float64{v}}) }
	add(openStreams, float64(open))
	add(exitMemory, exit)
	add(exitFiles, files)
	add(largestRelay, largest)
	add(allRelays, total)
	add(allClients, clients)
	return all
}

func atLevel(streams int) string { return fmt.Sprintf("at %d", streams) }

func (b *bench) printMemory() error {
	measures := []string{openStreams, exitMemory, exitFiles, largestRelay, allRelays, allClients}
	var t strings.Builder
	fmt.Fprintf(&t, "\n### Resident memory with idle streams\n\n| | %s |\n|---|%s\n", strings.Join(measures, " | "), strings.Repeat("--:|", len(measures)))
	for _, plan := range memoryPlans() {
		for _, level := range plan.levels {
			fmt.Fprintf(&t, "| %s", plan.name)
			for _, m := range measures {
				fmt.Fprintf(&t, " | %.0f", median(b.figures(key{"memory", plan.name, m, atLevel(level)}, median)))
			}
			t.WriteString(" |\n")
		}
	}
	_, err := fmt.Fprint(b.out, t.String())
	return err
}
