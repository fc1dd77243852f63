package client

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"safing/netmap"
	"safing/port17/link"
)

const linkTimeout = 10 * time.Second

// entries are the links to the nodes that a client enters the network by.
type entries struct {
	log *slog.Logger

	mu      sync.Mutex
	closed  bool
	links   map[netmap.NodeID]*link.Link
	pending map[netmap.NodeID]chan struct{} // closed when a dial has ended
}

func newEntries(log *slog.Logger) *entries {
	return &entries{log: log, links: make(map[netmap.NodeID]*link.Link), pending: make(map[netmap.NodeID]chan struct{})}
}

// rtt returns how far the entries are that there are links to.
func (e *entries) rtt() map[netmap.NodeID]time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	rtt := make(map[netmap.NodeID]time.Duration)
	for id, l := range e.links {
		if d := l.RTT(); d > 0 {
			rtt[id] = d
		}
	}
	return rtt
}

// link returns the link to the entry, and makes one if there is none.
func (e *entries) link(ctx context.Context, n netmap.Node) (*link.Link, error) {
	for {
		e.mu.Lock()
		if e.closed {
			e.mu.Unlock()
			return nil, ErrClosed
		}
		l := e.links[n.ID]
		if l != nil && l.Err() == nil {
			e.mu.Unlock()
			return l, nil
		}
		pending := e.pending[n.ID]
		if pending == nil {
			pending = make(chan struct{})
			e.pending[n.ID] = pending
			e.mu.Unlock()
			return e.dial(ctx, n, pending)
		}
		e.mu.Unlock()
		select { // somebody else is at it
		case <-pending:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (e *entries) dial(ctx context.Context, n netmap.Node, pending chan struct{}) (*link.Link, error) {
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	l, err := link.Dial(ctx, n, link.Config{Log: e.log})
	e.mu.Lock()
	defer e.mu.Unlock()
	close(pending)
	delete(e.pending, n.ID)
	if err != nil {
		return nil, fmt.Errorf("link to entry: %w", err)
	}
	if e.closed {
		l.Close()
		return nil, ErrClosed
	}
	e.links[n.ID] = l
	return l, nil
}

func (e *entries) close() {
	e.mu.Lock()
	e.closed = true
	links := e.links
	e.links = nil
	e.mu.Unlock()
	for _, l := range links {
		l.Close()
	}
	for _, l := range links {
		<-l.Done()
	}
}
