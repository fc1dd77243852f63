package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"safing/internal/geo"
	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/directory"
	"safing/port17/route"
	"safing/port17/shape"
	"safing/tinker/policy"
)

// Config says which network a client uses and how.
type Config struct {
	Network *netmap.Network
	// State is the folder for the map and the entries.
	State string
	// Level is that of connections which ask for no other.
	Level route.Level
	// Delay is the mean of the delays of cells at each node, for connections that
	// ask for no longer one; in milliseconds, 0 for none.
	Delay time.Duration
	// Shape is how circuits are padded whose connections ask for no other.
	Shape shape.Shape
	// Wrappings are those in which links to entries are made, best first; none
	// means all, and plain TCP before QUIC before TLS. Where one does not work,
	// the next is tried. Entries are nodes that offer one of them.
	Wrappings []netmap.Wrapping
	// Parallel is how many links it keeps to each entry, 8 at most; 0 means 2.
	// Circuits are spread over them, and end with theirs alone.
	Parallel int
	// Ahead is how many circuits are built before they are asked for, at most;
	// 0 means 6, and less none. Without recent connections there are none.
	Ahead int
	// Geo tells in which country and network a destination's address is, for
	// requests that don't say it. Nil knows nothing.
	Geo *geo.DB
	// StopWithoutCanary builds no circuits while an authority's canary is missing,
	// out of date or withdrawn. The map is still followed.
	StopWithoutCanary bool
	// Log gets what a user wants to know; nil discards. No destination is
	// logged above debug level.
	Log *slog.Logger
}

// A Client is in use until Close.
type Client struct {
	config    Config
	directory *directory.Client
	policies  *policy.Policies // of suites
	sample    *sample
	entries   *entries
	failures  *failures
	plain     plain
	memory    memory
	slots     chan struct{} // one for each association of SOCKS users
	stop      context.CancelFunc
	running   sync.WaitGroup
	wake      chan struct{} // a token when circuits may have to be built ahead
	crowded   chan struct{} // a token when there are many circuits

	mu       sync.Mutex
	closed   bool
	finder   *route.Finder
	news     chan struct{} // closed when the map is replaced
	circuits map[group][]*shared
	ahead    ahead
	canaries []canary              // of the newest map
	exits    map[group]netmap.Node // the last one of a group that was used
	newer    map[told]*netmap.Keys // what nodes have sent that is newer than the map
}

// maxGroups bounds what is remembered of exits.
const maxGroups = 10000

// New returns a client and begins to follow the map.
func New(ctx context.Context, c Config) (*Client, error) {
	if c.Network == nil {
		return nil, errors.New("open network: no network is named")
	}
	if len(c.Wrappings) == 0 {
		c.Wrappings = allWrappings
	}
	if c.Parallel <= 0 {
		c.Parallel = defaultParallel
	}
	c.Parallel = min(c.Parallel, maxParallel)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := (circuit.Dialer{Delay: c.Delay, Shape: c.Shape}).Validate(); err != nil {
		return nil, fmt.Errorf("open network: %w", err)
	}
	if c.Ahead == 0 {
		c.Ahead = defaultAhead
	}
	client := &Client{
		config:   c,
		failures: newFailures(),
		slots:    make(chan struct{}, maxAssociations),
		news:     make(chan struct{}),
		circuits: make(map[group][]*shared),
		exits:    make(map[group]netmap.Node),
		wake:     make(chan struct{}, 1),
		crowded:  make(chan struct{}, 1),
		newer:    make(map[told]*netmap.Keys),
	}
	client.sample = newSample(filepath.Join(c.State, "entries.json"), c.Wrappings, c.Log)
	var err error
	if client.policies, err = c.Network.LoadPolicies(c.State); err != nil {
		return nil, fmt.Errorf("open network: %w", err)
	}
	client.entries = newEntries(c, client.policies)
	client.directory = directory.New(directory.Config{Network: c.Network, State: c.State, Dial: client.dialDirectory, Policies: client.policies, Log: c.Log})
	ctx, client.stop = context.WithCancel(context.WithoutCancel(ctx))
	client.running.Go(func() {
		client.directory.Watch(ctx, client.setMap) //nolint:errcheck // it ends with the context
	})
	client.running.Go(func() { client.sweep(ctx) })
	client.running.Go(func() { client.prepare(ctx) })
	return client, nil
}

// Close ends all connections and waits until everything has stopped.
func (c *Client) Close() error {
	c.stop()
	c.mu.Lock()
	c.closed = true
	all := c.allLocked()
	c.mu.Unlock()
	for _, s := range all {
		s.close()
	}
	c.entries.close()
	c.running.Wait()
	return nil
}

func (c *Client) setMap(m *netmap.Map) {
	c.noteCanaries(m)
	f := route.New(m)
	c.sample.update(m)
	c.mu.Lock()
	c.finder = f
	c.forgetOlderLocked(m)
	close(c.news)
	c.news = make(chan struct{})
	all := c.allLocked()
	c.mu.Unlock()
	for _, s := range all {
		if c.leaves(s, m) {
			s.retire()
		}
	}
}

// current returns the finder of the newest map, nil before the first, and what
// is closed when there is a newer one.
func (c *Client) current() (*route.Finder, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.finder, c.news
}

// usable returns the finder of the newest map, if that is still valid. Whoever
// keeps newer maps from a client must not make it believe an old one for ever.
func (c *Client) usable() (*route.Finder, error) {
	f, _ := c.current()
	switch {
	case f == nil:
		return nil, ErrNoMap
	case !time.Now().Before(f.Map().ValidUntil):
		return nil, netmap.ErrExpired
	}
	if err := c.checkCanaries(); err != nil {
		return nil, err
	}
	return f, nil
}

// Map returns the newest map; nil before the first.
func (c *Client) Map() *netmap.Map {
	f, _ := c.current()
	if f == nil {
		return nil
	}
	return f.Map()
}

// ErrNoMap means that no map of the network has been had yet.
var ErrNoMap = errors.New("there is no map of the network yet: check the way to its authority")

// Ready waits until there is a map on which a web site can be reached, and
// links to entries.
func (c *Client) Ready(ctx context.Context) error {
	for {
		_, news := c.current()
		f, err := c.usable()
		if err == nil {
			err = c.try(ctx, f)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if why := c.directory.Err(); f == nil && why != nil {
				err = why
			}
			return fmt.Errorf("wait for the network: %w (%w)", err, context.Cause(ctx))
		case <-news:
		case <-time.After(time.Second):
		}
	}
}

// try finds out whether there is a route to a web site and a link to its entry.
func (c *Client) try(ctx context.Context, f *route.Finder) error {
	web := c.need(Request{}, cell.Target{Port: 443})
	w, err := c.plan(ctx, f, web.request, group{})
	if err != nil {
		return err
	}
	if _, err = c.entries.link(ctx, w.hops[0].Node); err != nil && ctx.Err() == nil {
		c.failures.add(w.hops[0].Node.ID)
	}
	return err
}

// Explain says which route a new circuit for the connection would take and why.
// It opens nothing, and draws no entry. The error may be a [*route.NoRouteError].
func (c *Client) Explain(r Request) (route.Explanation, error) {
	t, err := r.target()
	if err != nil {
		return route.Explanation{}, err
	}
	f, err := c.usable()
	if err != nil {
		return route.Explanation{}, err
	}
	n := c.need(r, t)
	n.request.Exclude, n.request.EntryRTT, n.request.Suites = c.failures.now(), c.entries.rtt(), c.suites()
	n.request.Entries = c.sample.chosen(n.request.Exclude)
	with, ok := c.withLastExit(n.request, n.group)
	if !ok {
		return f.Explain(n.request)
	}
	kept, err := f.Explain(with)
	if err != nil {
		return f.Explain(n.request)
	}
	if elsewhere, ok := mayLeave(n.request); ok {
		if other, err := f.Explain(elsewhere); err == nil && muchNearer(other.Chosen, kept.Chosen) {
			return other, nil
		}
	}
	return kept, nil
}
