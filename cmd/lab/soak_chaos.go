package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"safing/internal/wan"
	"safing/netmap"
	"safing/port17/directory"
	"safing/port17/soak"
)

// A chaos disturbs a network: one hand ends nodes, another one cuts links.
type chaos struct {
	world   *world
	network *network
	seed    uint64

	kills, stops, freezes, cuts, slowed atomic.Uint64

	mu   sync.Mutex
	down map[string]bool // nodes that were ended on purpose
}

type chaosCounts struct {
	Kills   uint64 `json:"kills"`   // SIGKILL
	Stops   uint64 `json:"stops"`   // SIGTERM
	Freezes uint64 `json:"freezes"` // SIGSTOP and SIGCONT
	Cuts    uint64 `json:"cuts"`    // of links
	Slowed  uint64 `json:"slowed"`  // links
}

func (c *chaos) counts() chaosCounts {
	return chaosCounts{c.kills.Load(), c.stops.Load(), c.freezes.Load(), c.cuts.Load(), c.slowed.Load()}
}

// run disturbs until ctx ends, and leaves everything as it was.
func (c *chaos) run(ctx context.Context) error {
	var hands sync.WaitGroup
	var err error
	hands.Go(func() { err = c.nodes(ctx, rand.New(rand.NewPCG(c.seed, 1<<33))) })
	if c.world.hosts != nil {
		hands.Go(func() { c.links(ctx, rand.New(rand.NewPCG(c.seed, 1<<34))) })
	}
	hands.Wait()
	return err
}

// between is a time between the two, in milliseconds.
func between(lots *rand.Rand, least, most int) time.Duration {
	return time.Duration(least+lots.IntN(most-least)) * time.Millisecond
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// nodes ends one node after the other and starts it again.
func (c *chaos) nodes(ctx context.Context, lots *rand.Rand) error {
	for {
		pause(ctx, between(lots, 2000, 15000))
		if ctx.Err() != nil {
			return nil
		}
		var all []*process
		for _, p := range c.world.snapshot() {
			if p.role == "node" {
				all = append(all, p)
			}
		}
		p := all[lots.IntN(len(all))]
		away := between(lots, 500, 12000)
		switch lots.IntN(3) {
		case 0:
			c.freezes.Add(1)
			p.cmd.Process.Signal(syscall.SIGSTOP) //nolint:errcheck // one that has crashed is noticed
			pause(ctx, away)
			p.cmd.Process.Signal(syscall.SIGCONT) //nolint:errcheck // likewise
			continue
		case 1:
			c.stops.Add(1)
			c.fell(p.name, true)
			p.stop()
		case 2:
			c.kills.Add(1)
			c.fell(p.name, true)
			p.cmd.Process.Kill() //nolint:errcheck // likewise
			<-p.ended
		}
		c.world.forget(p)
		pause(ctx, away)
		listen, err := netip.ParseAddrPort(p.ready["listen"])
		if err == nil { // also when it is over: the network is left whole
			err = c.world.startNode(context.WithoutCancel(ctx), c.network, p.host, p.site, listen)
		}
		if err != nil {
			return fmt.Errorf("start node %s again: %w", p.name, err)
		}
		c.fell(p.name, false)
	}
}

func (c *chaos) fell(name string, down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down[name] = down
}

// crashed returns the processes that have ended by themselves, each once.
func (c *chaos) crashed() []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*process
	for _, p := range c.world.snapshot() {
		select {
		case <-p.ended:
			if !c.down[p.name] {
				c.down[p.name] = true
				all = append(all, p)
			}
		default:
		}
	}
	return all
}

// links cuts one link after the other, or slows it down, for a while.
func (c *chaos) links(ctx context.Context, lots *rand.Rand) {
	h := c.world.hosts
	for {
		pause(ctx, between(lots, 2000, 10000))
		if ctx.Err() != nil {
			return
		}
		a, b := h.all[lots.IntN(len(h.all))], h.all[lots.IntN(len(h.all))]
		if a == b {
			continue
		}
		d := between(lots, 500, 15000)
		if lots.IntN(2) == 0 {
			c.slowed.Add(1)
			h.wan.Set(a.addr, b.addr, wan.Link{Delay: 4*h.link.Delay + 50*time.Millisecond, Loss: 0.02, Rate: 4e6})
		} else {
			// Some so long that the link breaks, which takes it a minute.
			if lots.IntN(8) == 0 && a != h.server && b != h.server {
				d += 65 * time.Second
			}
			c.cuts.Add(1)
			h.wan.Set(a.addr, b.addr, wan.Link{Loss: 1})
		}
		pause(ctx, d)
		h.wan.Reset(a.addr, b.addr)
	}
}

const mapAge = 20 * time.Second // after which the hostile neighbour reads it again

// hostile is a neighbour on a host, with the map that a client has.
func hostile(trust *netmap.Network, state string, at *host, seed uint64) *soak.Hostile {
	var read time.Time
	var m *netmap.Map
	return &soak.Hostile{
		Seed: seed,
		Map: func() *netmap.Map {
			if time.Since(read) > mapAge {
				read, m = time.Now(), directory.New(directory.Config{Network: trust, State: state}).Map()
			}
			return m
		},
		Dial: func(to netip.AddrPort) (conn net.Conn, err error) {
			if !to.IsValid() {
				return nil, errors.New("a node without an address")
			}
			err = at.do(func() (err error) {
				conn, err = net.DialTimeout("tcp", to.String(), 2*time.Second)
				return err
			})
			return conn, err
		},
	}
}
