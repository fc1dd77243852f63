package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A house decides for the tests.
type house struct {
	mu      sync.Mutex
	decide  func(domain string, cnames []string) Decision
	unknown error // who asks cannot be found out
	full    error // addresses cannot be learned
	learned []string
	dialed  []string
	noDial  error
}

func (h *house) config(upstreams ...string) Config[string] {
	return Config[string]{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("[::1]:0")}, Upstreams: upstreams,
		Client: func(source netip.AddrPort, protocol uint8) (string, error) {
			if !source.Addr().IsLoopback() || source.Addr().Is4In6() || source.Port() == 0 || protocol != UDP && protocol != TCP {
				return "", fmt.Errorf("source %v, %d", source, protocol)
			}
			return "curl", h.unknown
		},
		Decide: func(c, domain string, cnames []string) Decision {
			if c != "curl" {
				return Decision{}
			}
			if h.decide != nil {
				return h.decide(domain, cnames)
			}
			return Decision{Action: Direct}
		},
		Learn: func(c, domain string, cnames []string, addrs []netip.Addr, ttl time.Duration) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.learned = append(h.learned, fmt.Sprint(c, " ", domain, " ", cnames, " ", addrs, " ", ttl))
			return h.full
		},
		TunnelDial: func(ctx context.Context, c, isolation string, to netip.AddrPort) (net.Conn, error) {
			h.mu.Lock()
			h.dialed = append(h.dialed, isolation)
			h.mu.Unlock()
			if h.noDial != nil {
				return nil, h.noDial
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", to.String())
		},
	}
}

// told is what was learned, and for whom the tunnel was dialled.
func (h *house) told() (learned, dialed []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.learned), slices.Clone(h.dialed)
}

// start runs a server until the test ends.
func start(t *testing.T, c Config[string], change func(*forwarder)) *Server[string] {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(s.forwarder)
	}
	done := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		s.Serve(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return s
}

func query(t *testing.T, s *Server[string], network, name, qtype string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, dns.StringToType[qtype])
	m.SetEdns0(1400, false)
	return send(t, s, network, m)
}

func send(t *testing.T, s *Server[string], network string, m *dns.Msg) *dns.Msg {
	t.Helper()
	c := &dns.Client{Net: network, Timeout: 8 * time.Second}
	reply, _, err := c.Exchange(m, s.Addrs()[0].String())
	if err != nil {
		t.Fatalf("%s over %s: %v", m.Question[0].String(), network, err)
	}
	return reply
}

// shown is what counts of a reply in one line.
func shown(m *dns.Msg) string {
	out := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		out = append(out, strings.Join(strings.Fields(rr.String()), " "))
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				out = append(out, fmt.Sprintf("EDE %d %s", e.InfoCode, e.ExtraText))
			}
		}
	}
	return strings.Join(out, "; ")
}

func want(t *testing.T, m *dns.Msg, text string) {
	t.Helper()
	if got := shown(m); got != text {
		t.Errorf("got  %s\nwant %s", got, text)
	}
}

func TestAnswersOverEveryTransport(t *testing.T) {
	for _, scheme := range []string{"udp", "tcp", "tls"} {
		t.Run(scheme, func(t *testing.T) {
			u := newUpstream(t, scheme == "tls", "a.test. 300 A 192.0.2.1", "a.test. 200 A 192.0.2.2", "a.test. 300 AAAA 2001:db8::1")
			h := new(house)
			c := h.config(scheme + "://" + u.addr.String() + map[string]string{"tls": "@dns.test"}[scheme])
			c.RootCAs = u.roots
			s := start(t, c, nil)
			want(t, query(t, s, "udp", "A.Test.", "A"), "NOERROR; a.test. 300 IN A 192.0.2.1; a.test. 200 IN A 192.0.2.2")
			want(t, query(t, s, "tcp", "a.test.", "AAAA"), "NOERROR; a.test. 300 IN AAAA 2001:db8::1")
			want(t, query(t, s, "udp", "none.test.", "A"), "NOERROR")
			learned, _ := h.told()
			if got := fmt.Sprint(learned); got != "[curl a.test [] [192.0.2.1 192.0.2.2] 3m20s curl a.test [] [2001:db8::1] 5m0s]" {
				t.Errorf("learned %s", got)
			}
			asked, _, streams := u.seen()
			if scheme != "udp" && streams != 1 {
				t.Errorf("%d connections for three questions", streams)
			}
			for _, m := range asked {
				m.Compress = false
				if scheme == "tls" && m.Len()%paddedTo != 0 {
					t.Errorf("a question of %d bytes is not padded", m.Len())
				}
			}
			if got := s.Stats(); got != (Stats{Answered: 3}) {
				t.Errorf("stats %+v", got)
			}
		})
	}
}

func TestListensOnIPv6(t *testing.T) {
	u := newUpstream(t, false, "a.test. 300 A 192.0.2.1")
	s := start(t, new(house).config("udp://"+u.addr.String()), nil)
	m := new(dns.Msg)
	m.SetQuestion("a.test.", dns.TypeA)
	for _, network := range []string{"udp", "tcp"} {
		reply, _, err := (&dns.Client{Net: network}).Exchange(m, s.Addrs()[1].String())
		if err != nil {
			t.Fatal(err)
		}
		want(t, reply, "NOERROR; a.test. 300 IN A 192.0.2.1")
	}
}

func TestBlocked(t *testing.T) {
	u := newUpstream(t, false, "shop.test. 300 CNAME ads.test.", "ads.test. 300 A 192.0.2.1")
	h := &house{decide: func(domain string, cnames []string) Decision {
		if domain == "ads.test" || slices.Contains(cnames, "ads.test") {
			return Decision{Reason: `blocked by list "ads"`}
		}
		return Decision{Action: Direct}
	}}
	s := start(t, h.config("udp://"+u.addr.String()), nil)
	m := query(t, s, "udp", "ads.test.", "A")
	want(t, m, `NXDOMAIN; EDE 15 blocked by list "ads"`)
	if len(m.Ns) != 1 || m.Ns[0].Header().Rrtype != dns.TypeSOA || m.Ns[0].Header().Name != "ads.test." {
		t.Errorf("authority %v", m.Ns)
	}
	if u.count() != 0 {
		t.Error("the upstream was asked for a blocked name")
	}
	want(t, query(t, s, "tcp", "shop.test.", "A"), `NXDOMAIN; EDE 15 blocked by list "ads"`)
	if learned, _ := h.told(); len(learned) != 0 {
		t.Errorf("learned %v", learned)
	}
	if got := s.Stats(); got.Refused != 2 {
		t.Errorf("stats %+v", got)
	}
}

func TestFailsClosed(t *testing.T) {
	u := newUpstream(t, false, "a.test. 300 A 192.0.2.1")
	h := &house{unknown: errors.New("who?")}
	s := start(t, h.config("udp://"+u.addr.String()), nil)
	want(t, query(t, s, "udp", "a.test.", "A"), "REFUSED; EDE 18 it could not be found out which application asks")
	if u.count() != 0 {
		t.Error("the upstream was asked for nobody")
	}
	h = &house{full: errors.New("no room")}
	s = start(t, h.config("udp://"+u.addr.String()), nil)
	want(t, query(t, s, "udp", "a.test.", "A"), "SERVFAIL; EDE 0 the addresses could not be put under the rules")
	want(t, query(t, s, "udp", "a.test.", "A"), "SERVFAIL; EDE 0 the addresses could not be put under the rules") // from the cache
}

func TestTunnel(t *testing.T) {
	u := newUpstream(t, false, "a.test. 300 A 192.0.2.1")
	h := &house{decide: func(domain string, _ []string) Decision {
		if strings.HasPrefix(domain, "direct") {
			return Decision{Action: Direct}
		}
		return Decision{Action: Tunnel, Isolation: "curl"}
	}}
	c := h.config("udp://" + u.addr.String())
	s := start(t, c, nil)
	for range 2 {
		want(t, query(t, s, "udp", "a.test.", "A"), "NOERROR; a.test. 300 IN A 192.0.2.1")
	}
	_, nets, _ := u.seen()
	if learned, dialed := h.told(); fmt.Sprint(dialed, nets, len(learned)) != "[curl] [tcp] 2" {
		t.Errorf("dialed %v, upstream %v, learned %v", dialed, nets, learned)
	}
	u.set(func() { u.asked = nil })
	h = &house{decide: h.decide, noDial: errors.New("no circuit")}
	c = h.config("udp://" + u.addr.String())
	s = start(t, c, nil)
	want(t, query(t, s, "udp", "a.test.", "A"), "SERVFAIL; EDE 22 no upstream gave a usable answer")
	c.TunnelDial = nil
	s = start(t, c, nil)
	want(t, query(t, s, "udp", "a.test.", "A"), "SERVFAIL; EDE 23 the question has to go through a tunnel, and there is none")
	if u.count() != 0 {
		t.Error("a question that should be tunnelled went out directly")
	}
}

func TestCacheKeepsPathsApart(t *testing.T) {
	u := newUpstream(t, false, "a.test. 300 A 192.0.2.1")
	var action atomic.Value
	h := &house{decide: func(string, []string) Decision { return action.Load().(Decision) }}
	s := start(t, h.config("udp://"+u.addr.String()), nil)
	for i, d := range []Decision{{Action: Direct}, {Action: Tunnel, Isolation: "a"}, {Action: Tunnel, Isolation: "b"}} {
		action.Store(d)
		for range 2 {
			query(t, s, "udp", "a.test.", "A")
		}
		if got := u.count(); got != i+1 {
			t.Errorf("%+v: the upstream was asked %d times", d, got)
		}
	}
}

func TestCloseEndsWaitingQuestions(t *testing.T) {
	u := newUpstream(t, false)
	u.set(func() { u.mute = true })
	h := new(house)
	asked := make(chan struct{}, 8)
	h.decide = func(string, []string) Decision { asked <- struct{}{}; return Decision{Action: Direct} }
	s, err := New(h.config("udp://" + u.addr.String()))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { s.Serve(context.Background()); close(done) }()
	c, err := net.Dial("udp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := new(dns.Msg)
	m.SetQuestion("a.test.", dns.TypeA)
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	<-asked
	began := time.Now()
	s.Close()
	s.Close()
	<-done
	if took := time.Since(began); took > time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestNewRefuses(t *testing.T) {
	h := new(house)
	for wrong, change := range map[string]func(*Config[string]){
		"not a loopback address": func(c *Config[string]) { c.Listen[0] = netip.MustParseAddrPort("192.0.2.1:53") },
		"no upstream":            func(c *Config[string]) { c.Upstreams = nil },
		"no address to listen":   func(c *Config[string]) { c.Listen = nil },
		"are needed":             func(c *Config[string]) { c.Learn = nil },
		"write tls://":           func(c *Config[string]) { c.Upstreams[0] = "9.9.9.9" },
	} {
		c := h.config("udp://127.0.0.1:9")
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("got %v; want %s", err, wrong)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := h.config("udp://127.0.0.1:9")
	c.Listen = []netip.AddrPort{l.Addr().(*net.TCPAddr).AddrPort()}
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "is it used by another program?") {
		t.Errorf("got %v", err)
	}
}
