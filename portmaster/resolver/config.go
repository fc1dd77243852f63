package resolver

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// The IP protocols over which questions come.
const (
	TCP = 6
	UDP = 17
)

// An Action is what becomes of a question.
type Action uint8

// The actions. The zero value refuses.
const (
	Refuse Action = iota // the name does not exist for the application
	Direct               // upstreams are asked directly
	Tunnel               // upstreams are asked through the tunnel, or nobody is
)

// A Decision says what becomes of a question.
type Decision struct {
	Action Action
	Reason string // for Refuse; it is sent with the answer (RFC 8914)
	// Isolation keeps answers and connections of the tunnel apart: only
	// questions with the same value share them.
	Isolation string
}

// Config says where a server listens, whom it asks, and who decides. C stands
// for who asks.
type Config[C any] struct {
	// Listen has the loopback addresses to answer on, over UDP and TCP. Port
	// 0 is any free port, the same for both.
	Listen []netip.AddrPort
	// Upstreams are asked in this order, in the form of [ParseUpstream].
	Upstreams []string

	// Client finds out who sent a question. After an error it is refused.
	Client func(source netip.AddrPort, protocol uint8) (C, error)
	// Decide is asked about the name, and again when the answer led over
	// aliases. Names are lower case and without final dot; the root is "".
	Decide func(c C, domain string, cnames []string) Decision
	// Learn is told the addresses of an answer, and for how long it holds,
	// before the answer is sent; after an error it is not.
	Learn func(c C, domain string, cnames []string, addrs []netip.Addr, ttl time.Duration) error
	// TunnelDial opens a TCP connection to an upstream through the tunnel.
	// Without it, questions that have to be tunnelled fail.
	TunnelDial func(ctx context.Context, c C, isolation string, upstream netip.AddrPort) (net.Conn, error)

	RootCAs *x509.CertPool // that vouch for upstreams; nil: the system's
	Log     *slog.Logger   // nil: nothing is logged
}

func (c *Config[C]) check() error {
	switch {
	case len(c.Listen) == 0:
		return errors.New("resolver: no address to listen on")
	case len(c.Upstreams) == 0:
		return errors.New("resolver: no upstream: name one, such as tls://9.9.9.9@dns.quad9.net")
	case c.Client == nil || c.Decide == nil || c.Learn == nil:
		return errors.New("resolver: Client, Decide and Learn are needed")
	}
	for _, a := range c.Listen {
		if !a.Addr().IsLoopback() {
			return fmt.Errorf("resolver: %s is not a loopback address; other machines are not answered", a.Addr())
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Stats count questions since the start.
type Stats struct {
	Answered uint64 // with what an upstream said
	Refused  uint64 // by a decision, or because nobody could be found who asks
	Failed   uint64 // no upstream could be asked, or its answer was of no use
}
