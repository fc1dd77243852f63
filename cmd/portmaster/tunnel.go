package main

import (
	"context"
	"log/slog"
	"path/filepath"

	"safing/netmap"
	"safing/port17/client"
	"safing/port17/route"
	"safing/portmaster"
)

// openTunnel opens the Port17 network that Portmaster's settings name.
func openTunnel(ctx context.Context, s portmaster.TunnelSettings, state string, log *slog.Logger) (portmaster.Tunnel, error) {
	network, err := netmap.LoadNetwork(s.Network)
	if err != nil {
		return nil, err
	}
	level := route.Normal
	if s.Level != "" {
		if level, err = route.ParseLevel(s.Level); err != nil {
			return nil, err
		}
	}
	c, err := client.New(ctx, client.Config{
		Network: network, State: filepath.Join(state, "port17"), Level: level, Log: log.With("part", "port17"),
	})
	if err != nil {
		return nil, err
	}
	return tunnel{c}, nil
}

// A tunnel carries Portmaster's connections over Port17.
type tunnel struct{ client *client.Client }

// Dial opens a stream to the address that was judged: an exit that looked the
// name up again might connect to another.
func (t tunnel) Dial(ctx context.Context, r portmaster.TunnelRequest) (portmaster.TunnelConn, error) {
	c, err := t.client.Dial(ctx, client.Request{Host: r.Domain, Addr: r.Destination, App: r.App, Country: r.Country})
	if err != nil {
		return nil, err
	}
	return tunnelConn{c}, nil
}

// Close ends the client.
func (t tunnel) Close() error { return t.client.Close() }

type tunnelConn struct{ *client.Conn }

// Route names the nodes in Portmaster's own terms.
func (c tunnelConn) Route() []portmaster.Hop {
	hops := c.Conn.Route()
	out := make([]portmaster.Hop, len(hops))
	for i, h := range hops {
		out[i] = portmaster.Hop{ID: h.ID.String(), Name: h.Name, Owner: h.Owner, Country: h.Country}
	}
	return out
}
