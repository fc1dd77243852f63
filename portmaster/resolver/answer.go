package resolver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	chainLimit   = 16             // aliases in an answer
	addrsLimit   = 64             // addresses in an answer
	longestKept  = 24 * time.Hour // whatever the answer says
	longestNever = time.Hour      // for names and types that are not there
)

// An answer is what an upstream said, reduced to what was asked.
type answer struct {
	rcode     int // NOERROR or NXDOMAIN
	verified  bool
	records   []dns.RR
	authority []dns.RR
	cnames    []string // lower case, without final dot
	addrs     []netip.Addr
	ttl       time.Duration // how long it holds; 0: it must not be kept
}

// checkReply says whether a message is a usable reply to a question.
func checkReply(m *dns.Msg, id uint16, q dns.Question) error {
	switch {
	case !m.Response || m.Id != id || m.Opcode != dns.OpcodeQuery:
		return errors.New("it is not a reply to the question")
	case len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, q.Name) ||
		m.Question[0].Qtype != q.Qtype || m.Question[0].Qclass != q.Qclass:
		return errors.New("it is a reply to another question")
	}
	return nil
}

// readAnswer takes out of a reply what belongs to the question: the chain of
// aliases from its name, and the records of the wanted type at the end.
func readAnswer(m *dns.Msg, q dns.Question) (*answer, error) {
	if m.Truncated {
		return nil, errors.New("the answer is cut off")
	}
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("the upstream answered %s", dns.RcodeToString[m.Rcode])
	}
	a := &answer{rcode: m.Rcode, verified: m.AuthenticatedData}
	name, err := a.follow(m.Answer, q)
	if err != nil {
		return nil, err
	}
	wanted := 0
	for _, rr := range m.Answer {
		if q.Qtype != dns.TypeCNAME && dns.CanonicalName(rr.Header().Name) == name && concerns(rr, q.Qtype) && a.take(rr) {
			wanted++
		}
	}
	for _, rr := range m.Ns {
		switch rr.Header().Rrtype {
		case dns.TypeSOA, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeRRSIG:
			a.authority = append(a.authority, rr)
		}
	}
	a.ttl = a.holds(wanted > 0 || q.Qtype == dns.TypeCNAME && len(a.records) > 0)
	return a, nil
}

// concerns says whether a record is of the type or signs it.
func concerns(rr dns.RR, qtype uint16) bool {
	if rr.Header().Class != dns.ClassINET {
		return false
	}
	if sig, ok := rr.(*dns.RRSIG); ok && sig.TypeCovered == qtype {
		return true
	}
	return rr.Header().Rrtype == qtype
}

// follow takes the aliases and returns the name at the end of the chain.
func (a *answer) follow(records []dns.RR, q dns.Question) (name string, err error) {
	name = dns.CanonicalName(q.Name)
	seen := []string{name}
	for {
		var target string
		for _, rr := range records {
			owner := dns.CanonicalName(rr.Header().Name)
			if _, ok := rr.(*dns.DNAME); ok && owner != name && dns.IsSubDomain(owner, name) && len(a.records) < 2*chainLimit {
				a.records = append(a.records, rr) // the alias made of it follows
			}
			if owner != name || !concerns(rr, dns.TypeCNAME) {
				continue
			}
			if c, ok := rr.(*dns.CNAME); ok {
				if target != "" {
					return "", fmt.Errorf("%s has two aliases", name)
				}
				if target = dns.CanonicalName(c.Target); dotInLabel(target) {
					return "", fmt.Errorf("the alias of %s has a dot within a label", name)
				}
			}
			a.records = append(a.records, rr)
		}
		if target == "" {
			return name, nil
		}
		a.cnames = append(a.cnames, plainName(target))
		if q.Qtype == dns.TypeCNAME {
			return target, nil
		}
		if slices.Contains(seen, target) || len(seen) > chainLimit {
			return "", fmt.Errorf("the aliases of %s lead in a circle or too far", q.Name)
		}
		name, seen = target, append(seen, target)
	}
}

// take adds a record of the wanted type. It returns false for one that is
// not handed on.
func (a *answer) take(rr dns.RR) bool {
	switch rr := rr.(type) {
	case *dns.A:
		return a.takeAddr(rr, rr.A)
	case *dns.AAAA:
		return a.takeAddr(rr, rr.AAAA)
	case *dns.HTTPS:
		return a.takeService(rr, &rr.SVCB)
	case *dns.SVCB:
		return a.takeService(rr, rr)
	case *dns.RRSIG:
		if rr.TypeCovered == dns.TypeHTTPS || rr.TypeCovered == dns.TypeSVCB {
			return false // it does not fit what is left of the record
		}
	}
	a.records = append(a.records, rr)
	return true
}

func (a *answer) takeAddr(rr dns.RR, ip []byte) bool {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok || len(a.addrs) == addrsLimit {
		return false
	}
	a.addrs = append(a.addrs, addr.Unmap())
	a.records = append(a.records, rr)
	return true
}

// takeService takes the address hints out of a record: the application is to
// ask for the addresses, so that they become known. A record that cannot be
// understood without the hints (RFC 9460 section 8) is left out.
func (a *answer) takeService(rr dns.RR, s *dns.SVCB) bool {
	for _, v := range s.Value {
		m, ok := v.(*dns.SVCBMandatory)
		if ok && (slices.Contains(m.Code, dns.SVCB_IPV4HINT) || slices.Contains(m.Code, dns.SVCB_IPV6HINT)) {
			return false
		}
	}
	s.Value = slices.DeleteFunc(s.Value, func(v dns.SVCBKeyValue) bool {
		return v.Key() == dns.SVCB_IPV4HINT || v.Key() == dns.SVCB_IPV6HINT
	})
	a.records = append(a.records, rr)
	return true
}

// holds is how long the answer may be kept: as long as its shortest record,
// and one that says that something is not there as RFC 2308 section 5 says.
func (a *answer) holds(positive bool) time.Duration {
	shortest := longestKept
	for _, rr := range a.records {
		shortest = min(shortest, lifetime(rr.Header().Ttl))
	}
	if positive {
		return shortest
	}
	for _, rr := range a.authority {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(shortest, longestNever, lifetime(soa.Hdr.Ttl), lifetime(soa.Minttl))
		}
	}
	return 0
}

// lifetime reads a TTL; one with the highest bit is 0 (RFC 2181 section 8).
func lifetime(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// aged is the answer after some time; it shares nothing with the one before.
func (a *answer) aged(age time.Duration) *answer {
	b := *a
	b.records, b.authority = agedRecords(a.records, age), agedRecords(a.authority, age)
	b.cnames, b.addrs = slices.Clone(a.cnames), slices.Clone(a.addrs)
	b.ttl = max(0, a.ttl-age)
	return &b
}

func agedRecords(records []dns.RR, age time.Duration) []dns.RR {
	age = age.Truncate(time.Second)
	out := make([]dns.RR, len(records))
	for i, rr := range records {
		out[i] = dns.Copy(rr)
		h := out[i].Header()
		h.Ttl = uint32(max(0, lifetime(h.Ttl)-age) / time.Second)
	}
	return out
}

// plainName is a name in lower case without final dot.
func plainName(name string) string {
	return strings.TrimSuffix(dns.CanonicalName(name), ".")
}

// dotInLabel says whether a name looks as if it were below another than the
// one that it is below: rules about domains could not tell them apart.
func dotInLabel(name string) bool {
	return strings.Contains(name, `\.`)
}
