package resolver

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestTruncation(t *testing.T) {
	var zone []string
	for i := range 60 {
		zone = append(zone, fmt.Sprintf("big.test. 300 A 192.0.2.%d", i))
	}
	u := newUpstream(t, false, zone...)
	s := start(t, new(house).config("udp://"+u.addr.String()), nil)
	m := new(dns.Msg)
	m.SetQuestion("big.test.", dns.TypeA)
	reply := send(t, s, "udp", m)
	reply.Compress = true // as it was sent
	if !reply.Truncated || reply.Len() > dns.MinMsgSize {
		t.Errorf("over UDP without EDNS: truncated %v, %d bytes", reply.Truncated, reply.Len())
	}
	if reply := send(t, s, "tcp", m); reply.Truncated || len(reply.Answer) != 60 {
		t.Errorf("over TCP: truncated %v, %d records", reply.Truncated, len(reply.Answer))
	}
	if _, nets, _ := u.seen(); fmt.Sprint(nets) != "[udp tcp]" {
		t.Errorf("the upstream was asked over %v", nets)
	}
}

func TestSpoofedAnswersArePassedOver(t *testing.T) {
	u := newUpstream(t, false, "a.test. 300 A 192.0.2.1")
	u.set(func() { u.spoof = true })
	s := start(t, new(house).config("udp://"+u.addr.String()), nil)
	want(t, query(t, s, "udp", "a.test.", "A"), "NOERROR; a.test. 300 IN A 192.0.2.1")
	if u.count() != 1 {
		t.Errorf("asked %d times", u.count())
	}
}

func TestFailover(t *testing.T) {
	good := newUpstream(t, false, "a.test. 300 A 192.0.2.1", "b.test. 300 A 192.0.2.2")
	bad := newUpstream(t, false)
	h := new(house)
	for name, broken := range map[string]func(){"mute": func() { bad.mute = true }, "servfail": func() { bad.rcode = dns.RcodeServerFailure }} {
		t.Run(name, func(t *testing.T) {
			bad.set(func() { bad.mute, bad.rcode, bad.asked = false, 0, nil; broken() })
			s := start(t, h.config("udp://"+bad.addr.String(), "udp://"+good.addr.String()), func(f *forwarder) {
				f.direct = patience{next: 300 * time.Millisecond, one: 4 * time.Second, total: 5 * time.Second}
			})
			want(t, query(t, s, "udp", "a.test.", "A"), "NOERROR; a.test. 300 IN A 192.0.2.1")
			want(t, query(t, s, "udp", "b.test.", "A"), "NOERROR; b.test. 300 IN A 192.0.2.2")
			if bad.count() != 1 {
				t.Errorf("the one that failed was asked first again: %d", bad.count())
			}
		})
	}
}

func TestNoUpstreamAnswers(t *testing.T) {
	u := newUpstream(t, false)
	u.set(func() { u.mute = true })
	s := start(t, new(house).config("udp://"+u.addr.String()), func(f *forwarder) {
		f.direct = patience{next: 50 * time.Millisecond, one: 200 * time.Millisecond, total: 2 * time.Second}
	})
	want(t, query(t, s, "udp", "a.test.", "A"), "SERVFAIL; EDE 22 no upstream gave a usable answer")
	if got := s.Stats(); got.Failed != 1 || u.count() != 2 {
		t.Errorf("stats %+v, asked %d times", got, u.count())
	}
}

func TestWrongCertificate(t *testing.T) {
	u := newUpstream(t, true, "a.test. 300 A 192.0.2.1")
	h := new(house)
	c := h.config("tls://" + u.addr.String() + "@other.test")
	c.RootCAs = u.roots
	s := start(t, c, nil)
	want(t, query(t, s, "udp", "a.test.", "A"), "SERVFAIL; EDE 22 no upstream gave a usable answer")
	if u.count() != 0 {
		t.Error("the question was sent to a server with another name")
	}
}

func TestClosedConnectionIsReplaced(t *testing.T) {
	u := newUpstream(t, false, "a.test. 300 A 192.0.2.1", "b.test. 300 A 192.0.2.2")
	s := start(t, new(house).config("tcp://"+u.addr.String()), nil)
	query(t, s, "udp", "a.test.", "A")
	p := &s.forwarder.servers[0].pool
	p.mu.Lock()
	for _, c := range p.idle[""] {
		c.Close()
	}
	p.mu.Unlock()
	want(t, query(t, s, "udp", "b.test.", "A"), "NOERROR; b.test. 300 IN A 192.0.2.2")
}
