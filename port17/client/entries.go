package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"safing/internal/backoff"
	"safing/netmap"
	"safing/port17/link"
	"safing/tinker"
	"safing/tinker/policy"
)

const (
	linkTimeout     = 10 * time.Second
	defaultParallel = 2
	maxParallel     = 8

	// doubtful is for how long a link may owe the answer to a ping: then it has
	// perhaps broken, and others are better.
	doubtful = 5 * time.Second
	// shunFor is how long a wrapping comes last in which a connection was made
	// and no link: networks that forbid one let it begin.
	shunFor = 10 * time.Minute

	leastRedial = time.Second // between attempts at a further link
	mostRedial  = 5 * time.Minute
)

// allWrappings are those that a client may use, best first: plain TCP costs
// least.
var allWrappings = []netmap.Wrapping{netmap.TCP, netmap.QUIC, netmap.TLS}

// entries are the links to the nodes that a client enters the network by.
type entries struct {
	log       *slog.Logger
	wrappings []netmap.Wrapping // best first
	parallel  int
	policies  *policy.Policies
	ctx       context.Context
	stop      context.CancelFunc
	running   sync.WaitGroup

	mu    sync.Mutex
	nodes map[netmap.NodeID]*entry
}

// An entry is the links to one node. Circuits are spread over them.
type entry struct {
	links    []*link.Link
	proved   bool          // one of the links has
	dialling chan struct{} // closed when the dial under way has ended; nil if there is none

	pause   backoff.Backoff
	next    time.Time // when a further link may be made
	shunned map[netmap.Wrapping]time.Time
}

func newEntries(c Config, p *policy.Policies) *entries {
	e := &entries{log: c.Log, wrappings: c.Wrappings, parallel: c.Parallel, policies: p, nodes: make(map[netmap.NodeID]*entry)}
	e.ctx, e.stop = context.WithCancel(context.Background())
	return e
}

// rtt returns how far the entries are that there are links to.
func (e *entries) rtt() map[netmap.NodeID]time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	rtt := make(map[netmap.NodeID]time.Duration)
	for id, to := range e.nodes {
		for _, l := range to.links {
			if d := l.RTT(); d > 0 && (rtt[id] == 0 || d < rtt[id]) {
				rtt[id] = d
			}
		}
	}
	return rtt
}

// link returns a link to the entry, the one with the fewest circuits, and makes
// one if there is none.
func (e *entries) link(ctx context.Context, n netmap.Node) (*link.Link, error) {
	for {
		e.mu.Lock()
		if e.ctx.Err() != nil {
			e.mu.Unlock()
			return nil, ErrClosed
		}
		to := e.nodes[n.ID]
		if to == nil {
			to = &entry{pause: backoff.Backoff{Least: leastRedial, Most: mostRedial}, shunned: make(map[netmap.Wrapping]time.Time)}
			e.nodes[n.ID] = to
		}
		if l := link.LeastBusy(to.links, doubtful); l != nil {
			e.growLocked(n, to)
			e.mu.Unlock()
			return l, nil
		}
		pending := to.dialling
		if pending == nil {
			to.dialling = make(chan struct{})
			e.mu.Unlock()
			return e.dial(ctx, n, to)
		}
		e.mu.Unlock()
		select { // somebody else is at it
		case <-pending:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// growLocked makes a further link beside those that there are, once one has
// proved that the node is there.
func (e *entries) growLocked(n netmap.Node, to *entry) {
	if !to.proved || to.dialling != nil || len(to.links) >= e.parallel || time.Now().Before(to.next) {
		return
	}
	to.dialling = make(chan struct{})
	e.running.Go(func() {
		_, err := e.dial(e.ctx, n, to)
		e.mu.Lock()
		defer e.mu.Unlock()
		if err == nil {
			to.pause.Reset()
			return
		}
		to.next = time.Now().Add(to.pause.Next())
		e.log.Debug("no further link to an entry", "error", err)
	})
}

// dial makes a link. The caller has set dialling.
func (e *entries) dial(ctx context.Context, n netmap.Node, to *entry) (*link.Link, error) {
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	e.mu.Lock()
	wrappings := to.orderLocked(e.wrappings)
	e.mu.Unlock()
	var proved atomic.Bool
	l, err := link.Dial(ctx, n, link.Config{Log: e.log, Wrappings: wrappings, Policies: e.policies, Authenticated: func(*link.Link) {
		proved.Store(true)
		e.mu.Lock()
		defer e.mu.Unlock()
		to.proved = true
	}})
	e.mu.Lock()
	defer e.mu.Unlock()
	close(to.dialling)
	to.dialling = nil
	if err != nil {
		return nil, fmt.Errorf("link to entry: %w", err)
	}
	if e.ctx.Err() != nil {
		l.Close()
		return nil, ErrClosed
	}
	to.links = append(to.links, l)
	e.running.Go(func() {
		<-l.Done()
		e.mu.Lock()
		defer e.mu.Unlock()
		to.links = slices.DeleteFunc(to.links, func(o *link.Link) bool { return o == l })
		to.proved = to.proved && len(to.links) > 0
		if !proved.Load() && !answered(l.Err()) {
			to.shunned[l.Wrapping()] = time.Now().Add(shunFor)
		}
	})
	return l, nil
}

// answered says whether a link ended after its wrapping had carried something, or
// because this side did not want it any more.
func answered(err error) bool {
	return errors.Is(err, link.ErrClosed) || errors.As(err, new(*tinker.RetryError))
}

// orderLocked returns the wrappings to try: those in which links do not come
// about are last.
func (to *entry) orderLocked(wrappings []netmap.Wrapping) []netmap.Wrapping {
	now := time.Now()
	order := slices.Clone(wrappings)
	shunned := func(w netmap.Wrapping) int {
		if now.Before(to.shunned[w]) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(order, func(a, b netmap.Wrapping) int { return shunned(a) - shunned(b) })
	return order
}

func (e *entries) close() {
	e.mu.Lock()
	e.stop()
	var open []*link.Link
	for _, to := range e.nodes {
		open = append(open, to.links...)
	}
	e.mu.Unlock()
	for _, l := range open {
		l.Close()
	}
	for _, l := range open {
		<-l.Done()
	}
	e.running.Wait()
}
