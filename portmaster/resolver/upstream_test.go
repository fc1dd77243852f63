package resolver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// An upstream is a DNS server on loopback whose answers a test gives.
type upstream struct {
	addr  netip.AddrPort
	roots *x509.CertPool

	mu    sync.Mutex
	zone  map[string][]string // records by "name type"
	rcode int
	mute  bool // gives no answer
	spoof bool // sends wrong answers before the right one
	asked []*dns.Msg
	nets  []string
	conns map[string]bool // remote addresses of streams
}

// newUpstream serves on UDP and TCP, or on TLS.
func newUpstream(t *testing.T, encrypted bool, zone ...string) *upstream {
	t.Helper()
	u := &upstream{zone: make(map[string][]string), conns: make(map[string]bool)}
	for _, text := range zone {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		key := rr.Header().Name + " " + dns.TypeToString[rr.Header().Rrtype]
		u.zone[key] = append(u.zone[key], text)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.addr = l.Addr().(*net.TCPAddr).AddrPort()
	if encrypted {
		var config *tls.Config
		config, u.roots = certificate(t)
		u.serve(t, &dns.Server{Listener: tls.NewListener(l, config), Handler: u.handler("tls")})
		return u
	}
	p, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	u.serve(t, &dns.Server{Listener: l, Handler: u.handler("tcp")})
	u.serve(t, &dns.Server{PacketConn: p, Handler: u.handler("udp")})
	return u
}

func (u *upstream) serve(t *testing.T, s *dns.Server) {
	started, done := make(chan struct{}), make(chan struct{})
	s.NotifyStartedFunc = func() { close(started) }
	go func() {
		defer close(done)
		if err := s.ActivateAndServe(); err != nil {
			t.Errorf("upstream: %v", err)
		}
	}()
	<-started
	t.Cleanup(func() {
		s.Shutdown() //nolint:errcheck // it has started
		<-done
	})
}

func (u *upstream) handler(network string) dns.Handler {
	return dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.asked, u.nets = append(u.asked, m), append(u.nets, network)
		if network != "udp" {
			u.conns[w.RemoteAddr().String()] = true
		}
		if u.mute {
			return
		}
		reply := u.reply(m)
		if u.spoof {
			other, elsewhere := reply.Copy(), reply.Copy()
			other.Id++
			elsewhere.Question[0].Name = "elsewhere.test."
			w.WriteMsg(other)           //nolint:errcheck // the test sees it
			w.WriteMsg(elsewhere)       //nolint:errcheck // the test sees it
			w.Write([]byte("nonsense")) //nolint:errcheck // the test sees it
		}
		if network == "udp" {
			reply.Truncate(dns.MinMsgSize)
		}
		w.WriteMsg(reply) //nolint:errcheck // the test sees it
	})
}

func (u *upstream) reply(m *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	reply.SetRcode(m, u.rcode)
	name, qtype := m.Question[0].Name, dns.TypeToString[m.Question[0].Qtype]
	for range 10 {
		alias := u.zone[name+" CNAME"]
		for _, text := range append(alias, u.zone[name+" "+qtype]...) {
			rr, err := dns.NewRR(text)
			if err != nil {
				panic(err)
			}
			reply.Answer = append(reply.Answer, rr)
			if c, ok := rr.(*dns.CNAME); ok {
				name = c.Target
			}
		}
		if len(alias) == 0 {
			break
		}
	}
	if len(reply.Answer) == 0 {
		rr, err := dns.NewRR("test. 60 SOA ns.test. mail.test. 1 2 3 4 30")
		if err != nil {
			panic(err)
		}
		reply.Ns = append(reply.Ns, rr)
	}
	return reply
}

func (u *upstream) set(change func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	change()
}

func (u *upstream) count() int {
	asked, _, _ := u.seen()
	return len(asked)
}

// seen is which questions came, over which networks, and on how many streams.
func (u *upstream) seen() (asked []*dns.Msg, nets []string, streams int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.asked), slices.Clone(u.nets), len(u.conns)
}

// certificate is one for dns.test and 127.0.0.1, and what vouches for it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"dns.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}

func TestParseUpstream(t *testing.T) {
	for text, want := range map[string]string{
		"tls://9.9.9.9@dns.quad9.net":            "tls://9.9.9.9:853@dns.quad9.net",
		"tls://[2620:fe::fe]:8853@dns.quad9.net": "tls://[2620:fe::fe]:8853@dns.quad9.net",
		"tls://2620:fe::fe@dns.quad9.net":        "tls://[2620:fe::fe]:853@dns.quad9.net",
		"tls://1.1.1.1":                          "tls://1.1.1.1:853",
		"udp://127.0.0.1:53":                     "udp://127.0.0.1:53",
		"udp://::ffff:127.0.0.1":                 "udp://127.0.0.1:53",
		"tcp://[::1]":                            "tcp://[::1]:53",
	} {
		u, err := ParseUpstream(text)
		if err != nil || u.String() != want {
			t.Errorf("%s: got %v, %v; want %s", text, u, err, want)
			continue
		}
		if again, err := ParseUpstream(u.String()); again != u {
			t.Errorf("%s: read again as %v, %v", u, again, err)
		}
	}
	for text, want := range map[string]string{
		"9.9.9.9":               "write tls://ADDRESS@NAME",
		"https://dns.quad9.net": "write tls://ADDRESS@NAME",
		"tls://dns.quad9.net":   "is not an IP address",
		"udp://127.0.0.1:0":     "is not an IP address",
		"udp://127.0.0.1@name":  "is not an IP address",
		"tls://9.9.9.9@":        "the name in the server's certificate",
		"tls://9.9.9.9@a/b":     "the name in the server's certificate",
		"udp://":                "is not an IP address",
	} {
		if u, err := ParseUpstream(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v; want %s", text, u, err, want)
		}
	}
}
