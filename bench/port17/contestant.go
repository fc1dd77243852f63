package main

import (
	"context"
	"fmt"
	"time"
)

// A contestant is one way to the destination.
type contestant struct {
	name     string
	arena    *arena
	target   target
	carriers []*process // what carries the traffic: their CPU time counts
	relays   []*process // of carriers, those that are not at the user's
	exits    []*process // of relays
	sockets  []string   // SOCKS proxies of all clients; the target's first
	// fresh prepares for circuits that are built for a request, and undoes that.
	fresh func(ctx context.Context, on bool) error
}

// onCircuits says whether streams can be told to share a circuit or not.
func (c *contestant) onCircuits() bool { return c.target.Socks != "" }

// as is the target with a circuit of its own.
func (c *contestant) as(user string) target {
	t := c.target
	t.User = user
	return t
}

// settle waits until requests through the contestant work, and then for its
// start to be over.
func (c *contestant) settle(ctx context.Context, after time.Duration) error {
	deadline := time.Now().Add(90 * time.Second)
	for {
		e, err := c.arena.bench.do(ctx, c, job{Kind: "times", Target: c.as("settle"), Count: 3, Size: 1})
		if err != nil {
			return err
		}
		if e.Failed == 0 {
			return sleep(ctx, after)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no stream through %s works: %s", c.name, e.Error)
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
