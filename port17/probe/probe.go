package probe

import (
	"cmp"
	"context"
	"errors"
	"time"

	"safing/netmap"
)

// Config says how a Prober works.
type Config struct {
	// Server is where exits are asked to connect to; nil tests reachability only.
	Server *Server
	// Timeout is how long an answer may take; 0 means 10 s.
	Timeout time.Duration
	// Transfer is how long a measurement lasts; 0 means 5 s.
	Transfer time.Duration
	// MostBytes is how many bytes one measurement moves at most; 0 means 250 MB.
	MostBytes int64
}

// A Prober measures nodes.
type Prober struct{ config Config }

// New returns a prober.
func New(c Config) *Prober {
	c.Timeout = cmp.Or(max(c.Timeout, 0), 10*time.Second)
	c.Transfer = cmp.Or(max(c.Transfer, 0), 5*time.Second)
	c.MostBytes = cmp.Or(max(c.MostBytes, 0), 250_000_000)
	return &Prober{c}
}

// A Result is what a probe has found.
type Result struct {
	Ways []Way
	// Exit is nil if the node is no exit, or there is no server to test it with.
	Exit *Exit
}

// ErrNoWay means that this machine cannot connect to any address of the node's
// families: it can't say whether others can.
var ErrNoWay = errors.New("this machine has no way to addresses of the node's kind")

// Probe tests whether the node can be reached and, if it is an exit and on the
// map, how it behaves as one. It takes some twelve times Config.Timeout at most. The
// error is the prober's own: the context's, or ErrNoWay.
func (p *Prober) Probe(ctx context.Context, n netmap.Node, m *netmap.Map) (Result, error) {
	r := Result{Ways: p.reach(ctx, n)}
	if err := ctx.Err(); err != nil {
		return r, err
	}
	if !r.Reachable() {
		if r.untold() {
			return r, ErrNoWay
		}
		return r, nil
	}
	if p.config.Server != nil && m != nil && len(n.Exit.Rules()) > 0 {
		r.Exit = p.testExit(ctx, n, m)
	}
	return r, ctx.Err()
}
