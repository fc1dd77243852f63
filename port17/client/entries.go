package client

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"safing/netmap"
	"safing/port17/link"
)

const (
	wantEntries = 2
	maxEntries  = 5 // more are only taken when these lead nowhere
	linkTimeout = 10 * time.Second
)

// entries are the nodes that a client connects to, and the links to them.
type entries struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	closed  bool
	chosen  []netmap.NodeID
	links   map[netmap.NodeID]*link.Link
	pending map[netmap.NodeID]chan struct{} // closed when a dial has ended
}

func newEntries(path string, log *slog.Logger) *entries {
	e := &entries{path: path, log: log, links: make(map[netmap.NodeID]*link.Link), pending: make(map[netmap.NodeID]chan struct{})}
	b, err := os.ReadFile(path)
	if err != nil {
		return e // the first start
	}
	if err := json.Unmarshal(b, &e.chosen); err != nil || len(e.chosen) > maxEntries {
		log.Warn("the remembered entries can't be read and are chosen anew", "error", err)
		e.chosen = nil
	}
	return e
}

// known returns the entries and how far they are.
func (e *entries) known() ([]netmap.NodeID, map[netmap.NodeID]time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	rtt := make(map[netmap.NodeID]time.Duration)
	for id, l := range e.links {
		if d := l.RTT(); d > 0 {
			rtt[id] = d
		}
	}
	return slices.Clone(e.chosen), rtt
}

// full says whether enough entries are chosen.
func (e *entries) full(most int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.chosen) >= most
}

// choose remembers the node as an entry. Links call it once they know that the
// node is there: whoever is on the way to it can accept a connection, and would
// make a client forget entries that work.
func (e *entries) choose(id netmap.NodeID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || slices.Contains(e.chosen, id) {
		return
	}
	e.chosen = append(e.chosen, id)
	if len(e.chosen) > maxEntries {
		e.chosen = e.chosen[1:]
	}
	if err := e.saveLocked(); err != nil {
		e.log.Warn("the entries could not be remembered", "error", err)
	}
}

// saveLocked replaces the file as a whole: half of one would be no entries.
func (e *entries) saveLocked() error {
	b, err := json.Marshal(e.chosen)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(e.path), 0o700); err != nil {
		return err
	}
	temp := e.path + ".new"
	if err := os.WriteFile(temp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, e.path)
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
	l, err := link.Dial(ctx, n, link.Config{Log: e.log, Authenticated: func(*link.Link) { e.choose(n.ID) }})
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
