package portmaster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"safing/portmaster/history"
	"safing/portmaster/kernel"
	"safing/portmaster/tlscheck"
)

const (
	gatewayLimit  = 4096             // connections carried at a time
	dialLimit     = 30 * time.Second // for the tunnel to take a connection
	countInterval = 500 * time.Millisecond
	acceptPause   = 50 * time.Millisecond // when the process is out of descriptors
)

// An origins says what a connection that the kernel sent to us asked for.
type origins interface {
	Original(remote netip.AddrPort, protocol uint8) (kernel.Redirect, error)
}

// A gateway takes the connections that the kernel redirects and carries them
// through the tunnel. It never dials a destination itself: when the tunnel
// does not take a connection, or breaks, the application's is reset.
type gateway struct {
	tunnel  Tunnel
	origins origins
	table   *history.Table
	// describe makes the entry of a redirected connection.
	describe func(kernel.Redirect) history.Connection
	log      *slog.Logger

	mu     sync.Mutex
	relays map[uint64]*relay // by entry
}

// serve accepts connections until ctx ends, then closes all and waits for
// them. It closes the listener.
func (g *gateway) serve(ctx context.Context, l *net.TCPListener) {
	slots := make(chan struct{}, gatewayLimit)
	var handlers sync.WaitGroup
	defer handlers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil {
			g.log.Error("accept a redirected connection", "error", err)
			wait(ctx, acceptPause)
			continue
		}
		select {
		case slots <- struct{}{}:
			handlers.Go(func() {
				defer func() { <-slots }()
				g.handle(ctx, c)
			})
		default:
			g.log.Warn("too many tunnelled connections: one is refused", "limit", gatewayLimit)
			reset(c)
		}
	}
}

// handle carries one connection to its end.
func (g *gateway) handle(ctx context.Context, c *net.TCPConn) {
	defer c.Close()
	remote := c.RemoteAddr().(*net.TCPAddr).AddrPort()
	to, err := g.origins.Original(netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port()), protocolTCP)
	if err != nil {
		// Somebody dialled the gateway without having been sent here.
		g.log.Debug("refuse a connection of unknown origin", "error", err)
		reset(c)
		return
	}
	entry := g.describe(to)
	id := g.table.Claim(keyOf(to.Cookie, protocolTCP, to.Destination), entry)
	err = g.carry(ctx, id, c, entry, to)
	if err != nil {
		reset(c)
	}
	g.table.End(id, time.Now(), g.explain(ctx, err))
}

// carry dials the tunnel and relays until both sides are done.
func (g *gateway) carry(ctx context.Context, id uint64, c *net.TCPConn, entry history.Connection, to kernel.Redirect) error {
	app := entry.App.ID
	if app == "" {
		app = entry.Process.Path
	}
	dialCtx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	t, err := g.tunnel.Dial(dialCtx, TunnelRequest{
		Destination: to.Destination, Domain: entry.Destination.Domain, Country: entry.Destination.Country, App: app,
	})
	if err != nil {
		return side(errTunnel, err)
	}
	defer t.Close()
	g.table.Update(id, func(c *history.Connection) { c.Route = t.Route() })

	var sniffer tlscheck.Sniffer
	r := &relay{app: c, tunnel: t, observe: func(b []byte) {
		if sniffer.Observe(b) {
			g.recordHello(id, sniffer.Hello())
		}
	}}
	g.track(id, r)
	defer g.untrack(id, r)
	defer context.AfterFunc(ctx, func() { r.reset(); t.Close() })()
	err = r.run()
	// The tunnel may have changed its mind about the route on the way.
	g.table.Update(id, func(c *history.Connection) { c.Route = t.Route() })
	return err
}

func (g *gateway) recordHello(id uint64, h tlscheck.Hello) {
	g.table.Update(id, func(c *history.Connection) {
		c.TLS, c.ServerName = string(h.Kind), h.ServerName
	})
}

// explain puts into words why a connection did not end well.
func (g *gateway) explain(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return ""
	case ctx.Err() != nil:
		return "Portmaster stopped; the connection was closed"
	case errors.Is(err, errNoTunnel):
		return errNoTunnel.Error()
	case errors.Is(err, errApp):
		return "the application broke the connection off: " + plain(err)
	default:
		return "the tunnel failed, the connection was closed: " + plain(err)
	}
}

// plain is the text of an error without the addresses that package net adds.
func plain(err error) string {
	if r, ok := errors.AsType[*relayError](err); ok {
		err = r.err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return err.Error()
}

func (g *gateway) track(id uint64, r *relay) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.relays == nil {
		g.relays = make(map[uint64]*relay)
	}
	g.relays[id] = r
}

func (g *gateway) untrack(id uint64, r *relay) {
	g.mu.Lock()
	delete(g.relays, id)
	g.mu.Unlock()
	g.table.Count(id, r.sent.Load(), r.received.Load())
}

// count brings the byte counts of open connections into the table until ctx
// ends.
func (g *gateway) count(ctx context.Context) {
	for wait(ctx, countInterval) {
		g.mu.Lock()
		for id, r := range g.relays {
			g.table.Count(id, r.sent.Load(), r.received.Load())
		}
		g.mu.Unlock()
	}
}

// reset closes a connection so that the application sees an error and not an
// early end.
func reset(c *net.TCPConn) {
	c.SetLinger(0) //nolint:errcheck // a closed connection needs no reset
	c.Close()
}

// wait returns false when ctx ends before d has passed.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// listenGateway opens the gateway's listeners on both loopback addresses.
func listenGateway() (v4, v6 *net.TCPListener, err error) {
	v4, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, nil, fmt.Errorf("open the gateway on 127.0.0.1: %w", err)
	}
	v6, err = net.ListenTCP("tcp6", &net.TCPAddr{IP: net.IPv6loopback})
	if err != nil {
		v4.Close()
		return nil, nil, fmt.Errorf("open the gateway on ::1: %w: is IPv6 switched off for lo?", err)
	}
	return v4, v6, nil
}
