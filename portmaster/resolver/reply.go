package resolver

import (
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
)

const (
	udpLargest  = 4096 // bytes of an answer over UDP, whatever the application takes
	refusedTTL  = 10   // seconds that a refusal is remembered by the application
	reasonLimit = 200  // bytes of a reason
)

// newReply begins the reply to a question.
func newReply(question *dns.Msg, rcode int) *dns.Msg {
	m := new(dns.Msg)
	m.SetRcode(question, rcode)
	m.RecursionAvailable = true
	m.CheckingDisabled = question.CheckingDisabled
	if opt := question.IsEdns0(); opt != nil {
		m.SetEdns0(udpSize, opt.Do())
	}
	return m
}

// explain adds a reason (RFC 8914) for those who understand it.
func explain(m *dns.Msg, code uint16, reason string) {
	opt := m.IsEdns0()
	if opt == nil {
		return
	}
	reason = strings.ToValidUTF8(reason, "")
	for len(reason) > reasonLimit {
		_, size := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-size]
	}
	opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: code, ExtraText: reason})
}

// blockedReply says that the name is not there, and, aside, why.
func blockedReply(question *dns.Msg, reason string) *dns.Msg {
	m := newReply(question, dns.RcodeNameError)
	m.Ns = []dns.RR{&dns.SOA{
		Hdr: dns.RR_Header{Name: question.Question[0].Name, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: refusedTTL},
		Ns:  "blocked.invalid.", Mbox: "nobody.invalid.", Serial: 1,
		Refresh: 3600, Retry: 600, Expire: 86400, Minttl: refusedTTL,
	}}
	explain(m, dns.ExtendedErrorCodeBlocked, reason)
	return m
}

// failedReply says that there is no answer now.
func failedReply(question *dns.Msg, code uint16, reason string) *dns.Msg {
	m := newReply(question, dns.RcodeServerFailure)
	explain(m, code, reason)
	return m
}

// refusedReply says that such questions are not answered.
func refusedReply(question *dns.Msg, reason string) *dns.Msg {
	m := newReply(question, dns.RcodeRefused)
	explain(m, dns.ExtendedErrorCodeProhibited, reason)
	return m
}

// answerReply hands an answer on.
func answerReply(question *dns.Msg, a *answer) *dns.Msg {
	m := newReply(question, a.rcode)
	opt := question.IsEdns0()
	dnssec := opt != nil && opt.Do()
	m.AuthenticatedData = a.verified && (dnssec || question.AuthenticatedData)
	m.Answer, m.Ns = a.records, a.authority
	if !dnssec {
		m.Answer, m.Ns = unsigned(m.Answer, question.Question[0].Qtype), unsigned(m.Ns, 0)
	}
	return m
}

// unsigned leaves out what only those who asked for signatures want.
func unsigned(records []dns.RR, asked uint16) []dns.RR {
	var out []dns.RR
	for _, rr := range records {
		switch t := rr.Header().Rrtype; t {
		case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3:
			if t != asked {
				continue
			}
		}
		out = append(out, rr)
	}
	return out
}

// pack makes the bytes of a reply, cut to what the asker can take.
func pack(reply, question *dns.Msg, protocol uint8) []byte {
	reply.Compress = true
	size := dns.MaxMsgSize
	if protocol == UDP {
		size = dns.MinMsgSize
		if opt := question.IsEdns0(); opt != nil {
			size = min(max(size, int(opt.UDPSize())), udpLargest)
		}
	}
	reply.Truncate(size)
	b, err := reply.Pack()
	if err != nil {
		b, err = failedReply(question, dns.ExtendedErrorCodeOther, "the answer cannot be written").Pack()
	}
	if err != nil {
		return nil
	}
	return b
}
