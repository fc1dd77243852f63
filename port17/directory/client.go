package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"safing/netmap"
)

const (
	fetchTimeout = 30 * time.Second
	pollFor      = 30 * time.Second // how long an authority may hold an answer
	leastBackoff = 200 * time.Millisecond
	mostBackoff  = 30 * time.Second
)

// mapFile is the file in Config.State with the newest map.
const mapFile = "map"

// Config says which network to follow.
type Config struct {
	Network *netmap.Network
	// State is the folder in which the newest map is kept; empty for none.
	State string
	// Mirror gets every map that is accepted; nil for none.
	Mirror *Mirror
	// Log gets what a user wants to know; nil discards.
	Log *slog.Logger
}

// A Client follows the map of a network.
type Client struct {
	network *netmap.Network
	cache   string // file of the newest map; empty for none
	mirror  *Mirror
	log     *slog.Logger
	http    *http.Client

	mu     sync.Mutex
	newest *netmap.Map
	err    error // of the last attempt to fetch one
}

// New returns a client of the network. It begins with the map on disk, if that
// is valid.
func New(config Config) *Client {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{network: config.Network, mirror: config.Mirror, log: config.Log, http: &http.Client{
		Transport: &http.Transport{IdleConnTimeout: time.Minute, ResponseHeaderTimeout: pollFor + fetchTimeout},
		// The network file says whom to ask: nobody on the way sends us elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if config.State != "" {
		c.cache = filepath.Join(config.State, mapFile)
		c.loadCache()
	}
	return c
}

// loadCache takes the map on disk. One that is not valid any more is no use.
func (c *Client) loadCache() {
	b, err := os.ReadFile(c.cache)
	if err != nil {
		return
	}
	m, err := c.network.Verify(b, time.Now())
	if err != nil {
		c.log.Info("the map on disk is not used", "error", err)
		return
	}
	c.newest = m
	c.share(b)
}

// share gives the newest map to the mirror.
func (c *Client) share(signed []byte) {
	if c.mirror != nil {
		c.mirror.Add(c.newest.Sequence, signed, nil)
	}
}

// Map returns the newest valid map that was seen; nil before the first.
func (c *Client) Map() *netmap.Map {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest
}

// Err returns why the last attempt to fetch a map has failed; nil if it has not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Fetch asks the authorities for the newest map. When none has a newer one, it
// returns the one it has.
func (c *Client) Fetch(ctx context.Context) (*netmap.Map, error) { return c.fetch(ctx, 0) }

// fetch waits at the authority for a newer map, for a time.
func (c *Client) fetch(ctx context.Context, wait time.Duration) (*netmap.Map, error) {
	var errs []error
	for _, a := range c.network.Authorities {
		m, err := c.fetchFrom(ctx, a.URL, wait)
		if err == nil {
			return m, nil
		}
		errs = append(errs, fmt.Errorf("fetch map from %s: %w", a.URL, err))
	}
	return nil, errors.Join(errs...)
}

func (c *Client) fetchFrom(ctx context.Context, base string, wait time.Duration) (*netmap.Map, error) {
	// Each has its own time: one that is silent must not keep us from the next.
	ctx, cancel := context.WithTimeout(ctx, wait+fetchTimeout)
	defer cancel()
	have := c.Map()
	var after uint64
	if have != nil && time.Now().Before(have.ValidUntil) {
		after = have.Sequence
	}
	url := fmt.Sprintf("%s/v1/map?after=%d&wait=%d", strings.TrimSuffix(base, "/"), after, int(wait.Seconds()))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusNotModified:
		if after == 0 {
			return nil, errors.New("the authority has no map yet")
		}
		return have, nil
	case http.StatusOK:
	default:
		return nil, refusal(response)
	}
	signed, err := io.ReadAll(io.LimitReader(response.Body, netmap.MaxMap+1))
	if err != nil {
		return nil, err
	}
	return c.take(signed)
}

// take verifies a map and keeps it if it is newer than what was seen.
func (c *Client) take(signed []byte) (*netmap.Map, error) {
	m, err := c.network.Verify(signed, time.Now())
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.newest != nil && m.Sequence < c.newest.Sequence {
		return nil, fmt.Errorf("the authority answered with map %d and map %d was seen already", m.Sequence, c.newest.Sequence)
	}
	if c.newest != nil && m.Sequence == c.newest.Sequence && m.ValidUntil.Equal(c.newest.ValidUntil) {
		return c.newest, nil
	}
	c.newest = m
	c.share(signed)
	if err := c.save(signed); err != nil {
		c.log.Warn("the map could not be kept on disk", "error", err)
	}
	return m, nil
}

func (c *Client) save(signed []byte) error {
	if c.cache == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.cache), 0o700); err != nil {
		return err
	}
	temp := c.cache + ".new"
	if err := os.WriteFile(temp, signed, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, c.cache)
}

// Watch calls f with the map there is and then with every newer one, until the
// context ends. It returns the context's error.
func (c *Client) Watch(ctx context.Context, f func(*netmap.Map)) error {
	last := c.Map()
	if last != nil {
		f(last)
	}
	backoff := leastBackoff
	for ctx.Err() == nil {
		asked := time.Now()
		m, err := c.fetch(ctx, pollFor)
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
		switch {
		case err == nil && m != last:
			backoff, last = leastBackoff, m
			f(m)
			continue
		case err == nil && time.Since(asked) >= pollFor/2: // it has held its answer back
			backoff = leastBackoff
			continue
		case err != nil && ctx.Err() == nil:
			c.log.Warn("the map could not be fetched", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, mostBackoff)
	}
	return ctx.Err()
}

// Publish sends a signed descriptor to all authorities. It is enough if one of
// them takes it.
func (c *Client) Publish(ctx context.Context, signed []byte) error {
	return c.publish(ctx, "descriptor", "/v1/descriptors", signed)
}

// PublishKeys sends signed keys to all authorities, which have to have the
// node's descriptor. It is enough if one of them takes them.
func (c *Client) PublishKeys(ctx context.Context, signed []byte) error {
	return c.publish(ctx, "keys", "/v1/keys", signed)
}

func (c *Client) publish(ctx context.Context, what, path string, signed []byte) error {
	var errs []error
	for _, a := range c.network.Authorities {
		if err := c.post(ctx, strings.TrimSuffix(a.URL, "/")+path, signed); err != nil {
			errs = append(errs, fmt.Errorf("publish %s at %s: %w", what, a.URL, err))
		}
	}
	if len(errs) < len(c.network.Authorities) {
		return nil
	}
	return errors.Join(errs...)
}

func (c *Client) post(ctx context.Context, url string, signed []byte) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(signed))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return refusal(response)
	}
	return nil
}

// refusal is an authority's answer as an error.
func refusal(r *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(r.Body, 512))
	return fmt.Errorf("%s: %s", r.Status, strings.TrimSpace(string(text)))
}
