package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// The contestants, as tables and bars name them.
const (
	nameDirect  = "direct"
	nameCells   = "3 hops, onion cells on plain TCP"
	nameTor     = "Tor"
	nameTuned   = "Tor, tuned"
	namePort17  = "Port17"
	nameForward = "3 TCP forwarders"
)

// The measures.
const (
	oneStream    = "1 stream"
	eightStreams = "8 streams, 1 circuit"
	eightApart   = "8 streams, 8 circuits"
	warmByte     = "circuit that is there"
	freshByte    = "circuit built for it"
	smallApart   = "on a circuit of their own"
	smallBeside  = "on the bulk streams' circuit"
	newCircuits  = "new circuits"
	perSecond    = "a second"
	perRelay     = "CPU-ms at each relay"
)

const (
	smallSize   = 10_000
	loopWarm    = time.Second
	delayedWarm = 6 * time.Second // for windows to open
	settleTime  = 10 * time.Second
)

// loop measures with all hosts on one loopback device.
func (b *bench) loop(ctx context.Context) error {
	all, closeAll, err := b.contestants(ctx, "loop", 0)
	defer closeAll()
	if err != nil {
		return err
	}
	if err := b.compare(ctx, "loop", all, []measure{
		b.bulk(oneStream, 1, 1, loopWarm),
		b.bulk(eightStreams, 8, 1, loopWarm),
		b.bulk(eightApart, 8, 8, loopWarm),
		b.firstByte(warmByte, 50),
		b.firstByteFresh(freshByte, 20),
		b.beside(smallApart, smallSize, 8),
		b.beside(smallBeside, smallSize, 1),
		b.building(newCircuits),
	}); err != nil {
		return err
	}
	const part = "loop"
	return errors.Join(
		b.table("Throughput, MB/s", part, median, column{oneStream, "MB/s"}, column{eightStreams, "MB/s"}, column{eightApart, "MB/s"}),
		b.table("CPU seconds per GB, of all processes that carry the traffic", part, median,
			column{oneStream, "CPU-s/GB"}, column{eightStreams, "CPU-s/GB"}, column{eightApart, "CPU-s/GB"}),
		b.table("First byte, ms", part, median, column{warmByte, "ms"}, column{freshByte, "ms"}),
		b.table("10 kB beside 8 bulk streams, ms, p50", part, median, column{smallApart, "ms"}, column{smallBeside, "ms"}),
		b.table("10 kB beside 8 bulk streams, ms, p99", part, p99, column{smallApart, "ms"}, column{smallBeside, "ms"}),
		b.table("Circuits built for one request each", part, median, column{newCircuits, perSecond}, column{newCircuits, perRelay}),
		b.printForeign(part),
	)
}

// delayed measures with a delay on every link.
func (b *bench) delayed(ctx context.Context) error {
	all, closeAll, err := b.contestants(ctx, "delayed", b.delay)
	defer closeAll()
	if err != nil {
		return err
	}
	if err := b.compare(ctx, "delayed", all, []measure{
		b.bulk(oneStream, 1, 1, delayedWarm),
		b.firstByte(warmByte, 10),
		b.firstByteFresh(freshByte, 10),
	}); err != nil {
		return err
	}
	const part = "delayed"
	return errors.Join(
		b.table(fmt.Sprintf("With %v on every link: throughput, MB/s", b.delay), part, median, column{oneStream, "MB/s"}),
		b.table(fmt.Sprintf("With %v on every link: first byte, round trips of one link", b.delay), part, b.roundTrips,
			column{warmByte, "ms"}, column{freshByte, "ms"}),
		b.printForeign(part),
	)
}

// roundTrips is a median of times in round trips of one link.
func (b *bench) roundTrips(ms []float64) float64 {
	return median(ms) / (2 * b.delay.Seconds() * 1e3)
}

// contestants starts all of them. Each network has an arena of its own; what
// runs without one shares the first.
func (b *bench) contestants(ctx context.Context, part string, delay time.Duration) ([]*contestant, func(), error) {
	b.progress("%s: starting the networks", part)
	starts := []func(*arena) ([]*contestant, error){
		(*arena).startPlain,
		one(func(a *arena) (*contestant, error) { return a.startTor(ctx, nameTor, "") }),
		one(func(a *arena) (*contestant, error) { return a.startTor(ctx, nameTuned, torTuned) }),
		one(func(a *arena) (*contestant, error) {
			return a.startPort17(ctx, 1)
		}),
	}
	arenas, groups, errs := make([]*arena, len(starts)), make([][]*contestant, len(starts)), make([]error, len(starts))
	closeAll := func() {
		for _, a := range arenas {
			if a != nil {
				a.close()
			}
		}
	}
	var starting sync.WaitGroup
	for i, start := range starts {
		starting.Go(func() {
			if arenas[i], errs[i] = b.newArena(fmt.Sprintf("%s%d", part, i), delay); errs[i] == nil {
				groups[i], errs[i] = start(arenas[i])
			}
		})
	}
	starting.Wait()
	var all []*contestant
	for _, g := range groups {
		all = append(all, g...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, closeAll, err
	}
	all = slices.DeleteFunc(all, func(c *contestant) bool { return !b.chosen(c.name) })
	for _, c := range all {
		if err := c.settle(ctx, 0); err != nil {
			return nil, closeAll, err
		}
	}
	b.progress("%s: all networks work", part)
	return all, closeAll, sleep(ctx, settleTime)
}

func one(start func(*arena) (*contestant, error)) func(*arena) ([]*contestant, error) {
	return func(a *arena) ([]*contestant, error) {
		c, err := start(a)
		return []*contestant{c}, err
	}
}

// startPlain starts what is no network.
func (a *arena) startPlain() ([]*contestant, error) {
	forwarders, err := a.startForwarders(7001)
	if err != nil {
		return nil, err
	}
	cells, err := a.startCells(7002)
	direct := &contestant{name: nameDirect, arena: a, target: target{Addr: destinationAddress}}
	return []*contestant{direct, forwarders, cells}, err
}
