package resolver

import (
	"fmt"
	"net/netip"
	"strings"
)

// An Upstream is a server that is asked.
type Upstream struct {
	Scheme  string // tls, udp or tcp
	Address netip.AddrPort
	Name    string // of the certificate, for tls; empty: the address has to be in it
}

// ParseUpstream reads an upstream:
//
//	tls://9.9.9.9@dns.quad9.net           DNS over TLS, port 853 unless given
//	tls://[2620:fe::fe]:853@dns.quad9.net
//	udp://192.0.2.53                      plain DNS, TCP for long answers
//	tcp://[2001:db8::53]:5353             plain DNS over TCP alone
func ParseUpstream(text string) (Upstream, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	u := Upstream{Scheme: scheme}
	port := uint16(53)
	switch {
	case ok && scheme == "tls":
		port = 853
		var named bool
		if rest, u.Name, named = strings.Cut(rest, "@"); named && (u.Name == "" || strings.ContainsAny(u.Name, "/:@ ")) {
			return Upstream{}, fmt.Errorf("upstream %q: after @ stands the name in the server's certificate, such as dns.quad9.net", text)
		}
	case ok && (scheme == "udp" || scheme == "tcp"):
	default:
		return Upstream{}, fmt.Errorf("upstream %q: write tls://ADDRESS@NAME, udp://ADDRESS or tcp://ADDRESS", text)
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]")
	if a, err := netip.ParseAddr(bare); err == nil {
		u.Address = netip.AddrPortFrom(a.Unmap(), port)
		return u, nil
	}
	a, err := netip.ParseAddrPort(rest)
	if err != nil || a.Port() == 0 {
		return Upstream{}, fmt.Errorf("upstream %q: %q is not an IP address, with a port if wanted: 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353", text, rest)
	}
	u.Address = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	return u, nil
}

// String is the form that [ParseUpstream] reads.
func (u Upstream) String() string {
	s := u.Scheme + "://" + u.Address.String()
	if u.Name != "" {
		s += "@" + u.Name
	}
	return s
}
