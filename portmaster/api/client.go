package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"safing/portmaster/history"
)

// A Client asks a daemon over its unix socket. Make one with [Dial].
type Client struct {
	socket string
	http   *http.Client
}

// ErrNoDaemon means that nothing answers at the socket.
var ErrNoDaemon = errors.New("no Portmaster runs")

// Dial returns a client for the socket and checks that a daemon answers.
func Dial(ctx context.Context, socket string) (*Client, error) {
	var d net.Dialer
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		},
		ResponseHeaderTimeout: 30 * time.Second,
	}
	c := &Client{socket: socket, http: &http.Client{Transport: transport}}
	conn, err := d.DialContext(ctx, "unix", socket)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("%w at %s: start one with `portmaster run`, or name its folder with --state", ErrNoDaemon, socket)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("only root may talk to the Portmaster at %s: use sudo", socket)
	case err != nil:
		return nil, fmt.Errorf("talk to the Portmaster at %s: %w", socket, err)
	}
	conn.Close()
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks what runs.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/status", nil)
}

// Connections lists the live table, or the history on disk.
func (c *Client) Connections(ctx context.Context, f history.Filter, past bool) ([]history.Connection, error) {
	q := url.Values{}
	if f.App != "" {
		q.Set("app", f.App)
	}
	if f.Verdict != "" {
		q.Set("verdict", f.Verdict)
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	if past {
		q.Set("past", "true")
	}
	return get[[]history.Connection](ctx, c, "/connections", q)
}

// Why asks for a verdict's reasons.
func (c *Client) Why(ctx context.Context, app, destination string) (Why, error) {
	return get[Why](ctx, c, "/why", url.Values{"app": {app}, "destination": {destination}})
}

// Profiles lists the profiles.
func (c *Client) Profiles(ctx context.Context) ([]Profile, error) {
	return get[[]Profile](ctx, c, "/profiles", nil)
}

// Reload has the daemon read its files again.
func (c *Client) Reload(ctx context.Context) (Reload, error) {
	return call[Reload](ctx, c, http.MethodPost, "/reload", nil)
}

// Follow calls each with every step of the live table until ctx ends or each
// returns an error.
func (c *Client) Follow(ctx context.Context, each func(history.Delta) error) error {
	r, err := c.do(ctx, http.MethodGet, "/connections/stream", nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	events := newEventReader(r.Body)
	for {
		name, data, err := events.next()
		if err != nil {
			return c.lost(ctx, err)
		}
		if name != EventDelta {
			continue
		}
		var d history.Delta
		if err := json.Unmarshal(data, &d); err != nil {
			return fmt.Errorf("read the stream of %s: %w", c.socket, err)
		}
		if err := each(d); err != nil {
			return err
		}
	}
}

func (c *Client) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the Portmaster at %s went away: %w", c.socket, err)
}

func get[T any](ctx context.Context, c *Client, path string, q url.Values) (T, error) {
	return call[T](ctx, c, http.MethodGet, path, q)
}

func call[T any](ctx context.Context, c *Client, method, path string, q url.Values) (T, error) {
	var out T
	r, err := c.do(ctx, method, path, q)
	if err != nil {
		return out, err
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("read the answer of the Portmaster at %s: %w", c.socket, err)
	}
	return out, nil
}

// do sends a request. An answer that is not 200 is an error with the
// server's sentence.
func (c *Client) do(ctx context.Context, method, path string, q url.Values) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "portmaster", Path: prefix + path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	r, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	if r.StatusCode == http.StatusOK {
		return r, nil
	}
	defer r.Body.Close()
	var p huma.ErrorModel
	if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&p); err != nil || p.Detail == "" {
		return nil, fmt.Errorf("the Portmaster at %s answered %s", c.socket, r.Status)
	}
	if len(p.Errors) > 0 {
		return nil, fmt.Errorf("%s: %w", p.Detail, p.Errors[0])
	}
	return nil, errors.New(p.Detail)
}
