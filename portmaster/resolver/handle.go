package resolver

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// handle answers a message. It returns nil for what is not to be answered.
func (s *Server[C]) handle(ctx context.Context, message []byte, source netip.AddrPort, protocol uint8) []byte {
	m := new(dns.Msg)
	if err := m.Unpack(message); err != nil {
		return malformed(message)
	}
	if m.Response {
		return nil
	}
	if reply := unanswerable(m); reply != nil {
		return pack(reply, m, protocol)
	}
	c, err := s.config.Client(source, protocol)
	if err != nil {
		s.refused.Add(1)
		s.config.Log.Debug("refuse a question", "source", source, "error", err)
		return pack(refusedReply(m, "it could not be found out which application asks"), m, protocol)
	}
	return pack(s.answer(ctx, m, c), m, protocol)
}

// malformed answers what has a header but makes no sense after it.
func malformed(message []byte) []byte {
	const header, response = 12, 0x80
	if len(message) < header || message[2]&response != 0 {
		return nil
	}
	m := new(dns.Msg)
	m.Id = uint16(message[0])<<8 | uint16(message[1])
	m.Response = true
	m.Rcode = dns.RcodeFormatError
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// unanswerable returns the reply to what is not a plain question.
func unanswerable(m *dns.Msg) *dns.Msg {
	opts := 0
	for _, rr := range m.Extra {
		if rr.Header().Rrtype == dns.TypeOPT {
			opts++
		}
	}
	switch {
	case m.Opcode != dns.OpcodeQuery:
		return newReply(m, dns.RcodeNotImplemented)
	case len(m.Question) != 1 || opts > 1:
		bare := &dns.Msg{MsgHdr: m.MsgHdr}
		return newReply(bare, dns.RcodeFormatError)
	case opts == 1 && m.IsEdns0().Version() != 0:
		return newReply(m, dns.RcodeBadVers)
	case m.Question[0].Qclass != dns.ClassINET:
		return refusedReply(m, "only the class IN is answered")
	}
	if dotInLabel(m.Question[0].Name) {
		return refusedReply(m, "a dot within a label is not answered")
	}
	switch m.Question[0].Qtype {
	case dns.TypeANY:
		return refusedReply(m, "ask for a type of its own instead of ANY (RFC 8482)")
	case dns.TypeAXFR, dns.TypeIXFR, dns.TypeMAILA, dns.TypeMAILB, dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY:
		return refusedReply(m, "such questions are not answered")
	}
	return nil
}

// answer decides about a question and answers it.
func (s *Server[C]) answer(ctx context.Context, m *dns.Msg, c C) *dns.Msg {
	domain := plainName(m.Question[0].Name)
	d := s.config.Decide(c, domain, nil)
	if d.Action != Direct && d.Action != Tunnel {
		return s.block(m, d)
	}
	p, ok := s.path(c, d)
	if !ok {
		s.failed.Add(1)
		return failedReply(m, dns.ExtendedErrorCodeNetworkError, "the question has to go through a tunnel, and there is none")
	}
	a, err := s.lookUp(ctx, m, p)
	if err != nil {
		s.failed.Add(1)
		s.config.Log.Debug("resolve", "domain", domain, "tunnel", p.dial != nil, "error", err)
		return failedReply(m, dns.ExtendedErrorCodeNoReachableAuthority, "no upstream gave a usable answer")
	}
	if len(a.cnames) > 0 {
		if d := s.config.Decide(c, domain, a.cnames); d.Action != Direct && d.Action != Tunnel {
			return s.block(m, d)
		}
	}
	if len(a.addrs) > 0 {
		if err := s.config.Learn(c, domain, a.cnames, a.addrs, a.ttl); err != nil {
			s.failed.Add(1)
			s.config.Log.Warn("hold back an answer", "domain", domain, "error", err)
			return failedReply(m, dns.ExtendedErrorCodeOther, "the addresses could not be put under the rules")
		}
	}
	s.answered.Add(1)
	return answerReply(m, a)
}

func (s *Server[C]) block(m *dns.Msg, d Decision) *dns.Msg {
	s.refused.Add(1)
	return blockedReply(m, d.Reason)
}

// path is the way on which a question is to go; false when there is none.
func (s *Server[C]) path(c C, d Decision) (path, bool) {
	if d.Action == Direct {
		return path{}, true
	}
	if s.config.TunnelDial == nil {
		return path{}, false
	}
	return path{key: "tunnel/" + d.Isolation, dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		return s.config.TunnelDial(ctx, c, d.Isolation, to)
	}}, true
}

// lookUp answers from the cache or from upstreams.
func (s *Server[C]) lookUp(ctx context.Context, m *dns.Msg, p path) (*answer, error) {
	q := m.Question[0]
	q.Name = dns.CanonicalName(q.Name)
	opt := m.IsEdns0()
	dnssec := opt != nil && opt.Do()
	key := cacheKey{path: p.key, name: q.Name, qtype: q.Qtype, dnssec: dnssec, unchecked: m.CheckingDisabled}
	if a, ok := s.cache.get(key, time.Now()); ok {
		return a, nil
	}
	a, err := s.resolve(ctx, q, dnssec, m.CheckingDisabled, p)
	if err != nil {
		return nil, err
	}
	s.cache.put(key, a, time.Now())
	return a.aged(0), nil
}
