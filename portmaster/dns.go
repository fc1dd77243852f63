package portmaster

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"safing/portmaster/api"
	"safing/portmaster/resolver"
	"safing/profile"
)

// A dnsServer answers the questions that the kernel redirects.
type dnsServer struct {
	*resolver.Server[asker]
	v4, v6 netip.AddrPort
}

// openResolver opens the resolver's sockets. It answers when the kernel can
// tell who asks.
func (d *Daemon) openResolver(tunnel Tunnel) (*dnsServer, error) {
	s, err := resolver.New(resolver.Config[asker]{
		Listen:    []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("[::1]:0")},
		Upstreams: d.settings.Resolver.Upstreams,
		Client: func(from netip.AddrPort, protocol uint8) (asker, error) {
			return d.questions.asker(from, protocol)
		},
		Decide: func(a asker, domain string, cnames []string) resolver.Decision {
			return d.questions.decide(a, domain, cnames, time.Now())
		},
		Learn: func(a asker, domain string, cnames []string, addrs []netip.Addr, ttl time.Duration) error {
			return d.questions.learn(a, domain, cnames, addrs, ttl, time.Now())
		},
		TunnelDial: func(ctx context.Context, a asker, app string, to netip.AddrPort) (net.Conn, error) {
			return tunnel.Dial(ctx, TunnelRequest{Destination: to, App: app})
		},
		Log: d.log.With("part", "resolver"),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: correct [resolver] in %s", err, d.state.file(settingsFile))
	}
	d.finally("the resolver", func() error { s.Close(); return nil })
	addrs := s.Addrs()
	return &dnsServer{s, addrs[0], addrs[1]}, nil
}

// decide puts a verdict about a name into the resolver's terms.
func (q *questions) decide(a asker, domain string, cnames []string, now time.Time) resolver.Decision {
	v, ok := q.allowed(a, domain, cnames, now)
	switch {
	case !ok:
		return resolver.Decision{Action: resolver.Refuse, Reason: v.Reason}
	case v.Action == profile.Tunnel:
		return resolver.Decision{Action: resolver.Tunnel, Isolation: q.name(a)}
	default:
		return resolver.Decision{Action: resolver.Direct}
	}
}

// name is the application's, as the gateway gives it to the tunnel.
func (q *questions) name(a asker) string {
	if app := q.apps.known(a.app); app.ID != "" {
		return app.ID
	}
	return q.describe.who(a.process).Path
}

func (d *Daemon) resolverStatus() api.Resolver {
	s := d.dns.Stats()
	return api.Resolver{
		Upstreams: d.settings.Resolver.Upstreams, Answered: s.Answered, Denied: s.Refused, Failed: s.Failed,
	}
}
