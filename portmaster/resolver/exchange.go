package resolver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	// udpSize is what passes everywhere without fragments (DNS flag day 2020).
	udpSize = 1232
	// padding of questions in bytes (RFC 8467 section 4.1).
	paddedTo = 128
)

// A path is how upstreams are reached for a question.
type path struct {
	key string // empty for the direct one
	// dial opens a TCP connection through the tunnel; nil: directly.
	dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// A server is an upstream with what is known of it.
type server struct {
	Upstream
	tls  *tls.Config // for the scheme tls
	pool pool
}

func newServer(u Upstream, roots *tls.Config) *server {
	s := &server{Upstream: u}
	if u.Scheme == "tls" {
		s.tls = roots.Clone()
		if s.tls.ServerName = u.Name; u.Name == "" {
			s.tls.ServerName = u.Address.Addr().String()
		}
	}
	return s
}

// newQuestion makes the message that is sent to an upstream.
func newQuestion(q dns.Question, dnssec, unchecked, padded bool) *dns.Msg {
	m := new(dns.Msg)
	m.Id = dns.Id()
	m.RecursionDesired = true
	m.AuthenticatedData = true // the answer may say whether it was verified (RFC 6840 section 5.7)
	m.CheckingDisabled = unchecked
	m.Question = []dns.Question{q}
	m.SetEdns0(udpSize, dnssec)
	if padded {
		const header = 4 // of the option
		opt := m.IsEdns0()
		room := paddedTo - (m.Len()+header)%paddedTo
		opt.Option = append(opt.Option, &dns.EDNS0_PADDING{Padding: make([]byte, room%paddedTo)})
	}
	return m
}

// ask sends a question and returns the reply to it, whatever it says.
func (s *server) ask(ctx context.Context, q dns.Question, dnssec, unchecked bool, p path) (*dns.Msg, error) {
	m := newQuestion(q, dnssec, unchecked, s.tls != nil)
	packed, err := m.Pack()
	if err != nil {
		return nil, fmt.Errorf("pack the question: %w", err)
	}
	if p.dial == nil && s.Scheme == "udp" {
		reply, err := s.askUDP(ctx, packed, m.Id, q)
		if err != nil || !reply.Truncated {
			return reply, err
		}
	}
	return s.askStream(ctx, packed, m.Id, q, p)
}

// askUDP uses a port of its own for the question, and passes over packets
// that do not answer it.
func (s *server) askUDP(ctx context.Context, packed []byte, id uint16, q dns.Question) (*dns.Msg, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", s.Address.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })() //nolint:errcheck // it is closed soon
	if _, err := c.Write(packed); err != nil {
		return nil, err
	}
	buf := make([]byte, 65535)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		reply := new(dns.Msg)
		if reply.Unpack(buf[:n]) == nil && checkReply(reply, id, q) == nil {
			return reply, nil
		}
	}
}

// askStream uses a connection that is open already, and a new one when that
// has been closed meanwhile.
func (s *server) askStream(ctx context.Context, packed []byte, id uint16, q dns.Question, p path) (*dns.Msg, error) {
	if c := s.pool.take(p.key, time.Now()); c != nil {
		if reply, err := s.askOn(ctx, c, packed, id, q, p.key); err == nil || ctx.Err() != nil {
			return reply, err
		}
	}
	c, err := s.connect(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.askOn(ctx, c, packed, id, q, p.key)
}

func (s *server) askOn(ctx context.Context, c net.Conn, packed []byte, id uint16, q dns.Question, key string) (*dns.Msg, error) {
	text, err := talk(ctx, c, packed)
	reply := new(dns.Msg)
	if err == nil {
		err = reply.Unpack(text)
	}
	if err == nil {
		err = checkReply(reply, id, q)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	s.pool.put(key, c, time.Now())
	return reply, nil
}

// connect opens a connection, with TLS if the upstream has it.
func (s *server) connect(ctx context.Context, p path) (net.Conn, error) {
	var c net.Conn
	var err error
	if p.dial != nil {
		c, err = p.dial(ctx, s.Address)
	} else {
		var d net.Dialer
		c, err = d.DialContext(ctx, "tcp", s.Address.String())
	}
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, errors.New("the tunnel has no connection")
	}
	if s.tls == nil {
		return c, nil
	}
	secured := tls.Client(c, s.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return secured, nil
}
