package directory

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"safing/netmap"
	"safing/tinker/policy"
)

const (
	pollFor      = 30 * time.Second // how long a source may hold an answer
	leastBackoff = 200 * time.Millisecond
	mostBackoff  = 30 * time.Second
)

// Config says which network to follow.
type Config struct {
	Network *netmap.Network
	// State is the folder in which the newest map is kept, and what was seen of
	// maps; empty for none.
	State string
	// Dial connects to the directory of a node of the network, through circuits.
	// Maps are fetched there first, so that nobody else learns who follows the
	// network. It gets the newest map, which may have expired. Nil if there are
	// no circuits.
	Dial func(ctx context.Context, newest *netmap.Map) (net.Conn, error)
	// Policies of suites get those that maps have, before the map is handed out.
	// Nil if it does not matter which suites may be used.
	Policies *policy.Policies
	// Mirror gets every map that is accepted; nil for none.
	Mirror *Mirror
	// Log gets what a user wants to know; nil discards.
	Log *slog.Logger
}

// A Client follows the map of a network.
type Client struct {
	config   Config
	http     *http.Client
	circuits *source // nil without Config.Dial

	mu       sync.Mutex
	sources  []*source // those that worked last first
	held     *held     // nil before the first map
	seen     seen
	read     map[[sha256.Size]byte]bool // shards of keys of the newest maps
	err      error                      // of the last attempt to fetch one
	searched time.Time                  // when all sources were asked last because the map was old
	avoid    time.Time                  // until when circuits are asked last
}

// held is the newest map. It may have expired.
type held struct {
	*netmap.Map
	signed []byte
}

// New returns a client of the network. It begins with the map on disk.
func New(config Config) *Client {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{config: config, http: newHTTP(), read: make(map[[sha256.Size]byte]bool)}
	c.sources = newSources(config.Network, c.http)
	if config.Dial != nil {
		c.circuits = c.throughCircuits()
	}
	if config.Mirror != nil {
		config.Mirror.fetchKeys(func(ctx context.Context, hash [sha256.Size]byte) ([]byte, error) {
			sources := &keySources{left: c.inOrder(), failures: make(map[*source]int)}
			return sources.fetch(ctx, hash)
		})
	}
	if config.State != "" {
		c.load()
	}
	return c
}

// Map returns the newest map that was seen, if it is valid; else nil.
func (c *Client) Map() *netmap.Map {
	h := c.newest()
	if h == nil || !validAt(h.Map, time.Now()) {
		return nil
	}
	return h.Map
}

func validAt(m *netmap.Map, now time.Time) bool {
	return !now.Before(m.ValidAfter) && now.Before(m.ValidUntil)
}

func (c *Client) newest() *held {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// Err returns why the last attempt to fetch a map has failed; nil if it has not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Watch calls f with the map there is and then with every newer one, until the
// context ends. It returns the context's error.
func (c *Client) Watch(ctx context.Context, f func(*netmap.Map)) error {
	last := c.Map()
	if last != nil {
		f(last)
	}
	show := func(m *netmap.Map) { last = m; f(m) }
	period, _ := c.config.Network.Times()
	most := max(min(mostBackoff, period), leastBackoff)
	backoff := leastBackoff
	for ctx.Err() == nil {
		asked, before := time.Now(), last
		m, err := c.next(ctx)
		patient := time.Since(asked) >= pollFor/2 // it has held its answer back
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
		switch {
		case err == nil:
			if m = c.fill(ctx, m, show); m != last {
				show(m)
			}
			if last != before || patient {
				backoff = leastBackoff
				continue
			}
		case ctx.Err() == nil:
			c.config.Log.Warn("the map could not be fetched", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, most)
	}
	return ctx.Err()
}
