package probe

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

// An Exit is how an exit behaved.
type Exit struct {
	// Bad is what it did to what it was given, twice on different circuits; nil if
	// nothing was seen. What happens between the exit and the server counts as
	// its doing: whoever uses it is served so.
	Bad error
	// Err is why it could not be tested, or not to the end, or what it did once and
	// not again; nil if it was tested.
	Err error
	// Sources are the addresses from which it has connected to the server. They
	// need not be the node's: an exit may be behind others of its operator's.
	Sources []netip.Addr
	// Opens says that it connects to where its policy does not lead.
	Opens bool
}

// Own says whether it has connected from the node's own addresses alone.
func (e *Exit) Own(n netmap.Node) bool {
	own := n.IPs()
	return !slices.ContainsFunc(e.Sources, func(a netip.Addr) bool { return !slices.Contains(own, a) })
}

const tries = 3 // circuits that are built for a test before it is given up

// A misdeed is what an exit did that it should not.
type misdeed struct{ error }

func (m misdeed) Unwrap() error { return m.error }

// testExit tests an exit over circuits that are entered at others, if it has
// neighbours. What seems a misdeed is looked at once more.
func (p *Prober) testExit(ctx context.Context, n netmap.Node, m *netmap.Map) *Exit {
	ctx, cancel := context.WithTimeout(ctx, 10*p.config.Timeout)
	defer cancel()
	e := new(Exit)
	allowed, refused := p.targets(ctx, n)
	if len(allowed) == 0 {
		e.Err = errors.New("its policy does not lead to the server for probes")
		return e
	}
	entries := partners(n, m, func(netmap.Node) bool { return true })
	var seen []error
	var failed error
	for try := range tries {
		if len(seen) == 2 || ctx.Err() != nil {
			break
		}
		nodes := []netmap.Node{n}
		if len(entries) > 0 {
			nodes = []netmap.Node{entries[try%len(entries)], n}
		}
		err := p.tryExit(ctx, e, n, m, nodes, allowed, refused)
		var bad misdeed
		switch {
		case errors.As(err, &bad):
			seen = append(seen, bad.error)
		case err == nil:
			e.Err = errors.Join(seen...)
			return e
		default:
			failed = err
		}
	}
	if len(seen) == 2 {
		e.Bad = seen[0]
		return e
	}
	e.Err = errors.Join(append(seen, failed, ctx.Err())...)
	return e
}

// tryExit tests the exit over one circuit. The error is a misdeed, or why the test
// did not get to its end.
func (p *Prober) tryExit(ctx context.Context, e *Exit, n netmap.Node, m *netmap.Map, nodes []netmap.Node, allowed []cell.Target, refused cell.Target) error {
	c, err := p.dial(ctx, nodes...)
	if err != nil {
		return err
	}
	defer c.close() //nolint:errcheck // it is nil
	for _, t := range allowed {
		for _, inTLS := range []bool{false, true} {
			sources, err := p.fetchPage(ctx, c, t, inTLS)
			for _, a := range sources {
				if !slices.Contains(e.Sources, a) && len(e.Sources) < mostTold {
					e.Sources = append(e.Sources, a)
				}
			}
			if err != nil {
				return fmt.Errorf("ask port %d (TLS: %v): %w", t.Port, inTLS, err)
			}
		}
	}
	if owner, ok := p.borrowed(ctx, n, m, e.Sources); ok {
		return misdeed{fmt.Errorf("it connects from the address of node %s", owner.Short())}
	}
	if refused.Port != 0 {
		e.Opens, err = p.opens(ctx, c, refused)
	}
	return err
}

// unlikely are ports of the server's address of which one should be refused. No
// server of ours is asked there: an exit that connects says that it was refused.
var unlikely = [...]uint16{25, 1, 6667, 47, 65535}

// targets returns where the server is for this exit, and a target at the server's
// address to which its policy does not lead; none if it leads everywhere.
func (p *Prober) targets(ctx context.Context, n netmap.Node) (allowed []cell.Target, refused cell.Target) {
	for _, t := range p.config.Server.targets {
		addresses := p.resolve(ctx, t)
		leads := slices.ContainsFunc(addresses, func(a netip.Addr) bool { return n.Allows(netip.AddrPortFrom(a, t.Port)) })
		if leads {
			allowed = append(allowed, t)
			continue
		}
		if len(addresses) > 0 {
			refused = t
		}
	}
	if refused.Port != 0 || len(allowed) == 0 {
		return allowed, refused
	}
	addresses := p.resolve(ctx, allowed[0])
	for _, port := range unlikely {
		if !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return n.Allows(netip.AddrPortFrom(a, port)) }) {
			refused = allowed[0]
			refused.Port = port
			return allowed, refused
		}
	}
	return allowed, cell.Target{}
}

// resolve returns the target's addresses; none if they can't be found out.
func (p *Prober) resolve(ctx context.Context, t cell.Target) []netip.Addr {
	if t.Host == "" {
		return []netip.Addr{t.Addr}
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", t.Host)
	if err != nil {
		return nil
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found
}

// fetchPage asks the server for a page and compares what comes.
func (p *Prober) fetchPage(ctx context.Context, c *path, to cell.Target, inTLS bool) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	t := newTicket(hostOf(to), 0)
	p.config.Server.issue(t)
	defer p.config.Server.revoke(t)
	var early []byte
	if !inTLS {
		early = t.request
	}
	s, done, err := c.open(ctx, to, early)
	if err != nil {
		return nil, err
	}
	defer done()
	var conn net.Conn = s
	if inTLS {
		secure := tls.Client(s, p.config.Server.expect(to))
		if err = secure.HandshakeContext(ctx); err == nil {
			_, err = secure.Write(t.request)
		}
		conn = secure
	}
	if err == nil {
		err = t.compare(conn, nil)
	}
	sources, changed := t.told()
	if changed && !errors.Is(err, errAltered) {
		err = errAltered
	}
	return sources, blame(ctx, err)
}

// blame says which errors are the exit's misdeeds.
func blame(ctx context.Context, err error) error {
	var refused *stream.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errAltered), errors.Is(err, errIntercepted):
		return misdeed{err}
	case errors.As(err, &refused) && refused.Reason == cell.Policy:
		return misdeed{errors.New("it refuses what its policy allows")}
	}
	return errors.Join(err, ctx.Err())
}

// errIntercepted means that TLS does not end at our server.
var errIntercepted = errors.New("TLS to the server ends somewhere else: its certificate is not the server's")

// expect takes the server's certificate and no other.
func (s *Server) expect(to cell.Target) *tls.Config {
	name := to.Host
	if name == "" {
		name = to.Addr.String()
	}
	return &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: true, // there is one right certificate, which is compared below
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || sha256.Sum256(state.PeerCertificates[0].Raw) != s.hash {
				return errIntercepted
			}
			return nil
		},
	}
}

// opens says whether the exit connects to a target that its policy refuses.
func (p *Prober) opens(ctx context.Context, c *path, to cell.Target) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	s, done, err := c.open(ctx, to, nil)
	if err != nil {
		return false, err
	}
	defer done()
	select {
	case <-s.Opened():
		return true, nil
	case <-s.Done():
	}
	var refused *stream.Error
	if errors.As(s.Err(), &refused) {
		// That it could not connect, it only knows if it has tried.
		return slices.Contains([]cell.Reason{cell.Refused, cell.Unreachable, cell.TimedOut, cell.ConnectionReset}, refused.Reason), nil
	}
	return false, s.Err()
}

func hostOf(t cell.Target) string {
	host := t.Host
	if host == "" {
		host = t.Addr.String()
	}
	return net.JoinHostPort(host, fmt.Sprint(t.Port))
}
