package kernel

import (
	"net"
	"net/netip"
	"os"
	"testing"
)

// allowPing lets everybody in this namespace make sockets of ping.
func allowPing() error {
	return os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0)
}

// origins collects what Original says of the clients of a server.
type origins struct {
	t   *testing.T
	s   *stage
	all chan Redirect
}

func (o origins) of(protocol uint8) func(netip.AddrPort) {
	return func(src netip.AddrPort) {
		<-o.s.loaded
		r, err := o.s.guard.Original(src, protocol)
		if err != nil {
			o.t.Error(err)
		}
		o.all <- r
	}
}

// gateway is a TCP server that asks who its clients are.
func (o origins) gateway(addr string) netip.AddrPort {
	o.t.Helper()
	var l net.Listener
	o.s.do(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	o.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.of(tcp)(c.RemoteAddr().(*net.TCPAddr).AddrPort())
			c.Write([]byte("instead"))
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestTunnel(t *testing.T) {
	s := newStage(t)
	o := origins{t, s, make(chan Redirect, 1)}
	gate4, gate6 := o.gateway("127.0.0.1:0"), o.gateway("[::1]:0")
	s.load(Config{Gateway4: gate4, Gateway6: gate6})
	s.allow(everything(Tunnel, 42))
	tests := []struct{ order, peer, asked string }{
		{"tcp 4 192.0.2.1:443", "192.0.2.1:443", "192.0.2.1:443"},
		{"tcp 6 [2001:db8::1]:443", "[2001:db8::1]:443", "[2001:db8::1]:443"},
		{"tcp 6 [::ffff:192.0.2.1]:443", "[::ffff:192.0.2.1]:443", "192.0.2.1:443"},
	}
	for _, tt := range tests {
		got := s.run(tt.order)
		if got.Err != "" || got.Reply != "instead" || got.Peer != tt.peer {
			t.Errorf("%s: %+v, want peer %s", tt.order, got, tt.peer)
			continue
		}
		r := <-o.all
		if r.Destination.String() != tt.asked || r.Rule != 42 || r.Process.PID != got.PID || r.Cookie == 0 {
			t.Errorf("%s: the gateway was told %+v, want %s from %d", tt.order, r, tt.asked, got.PID)
		}
	}
	for _, order := range []string{"udp 4 192.0.2.1:443", "send 4 192.0.2.1:443", "send 6 [2001:db8::1]:443"} {
		if got := s.run(order); got.Err != "EPERM" {
			t.Errorf("%s: %+v, want EPERM", order, got)
		}
	}
	s.allow(everything(Permit, 1))
	if got := s.run("tcp 4 " + gate4.String()); got.Err != "EPERM" {
		t.Errorf("asking for the gateway itself: %+v, want EPERM", got)
	}
}

func TestNoOriginal(t *testing.T) {
	s := newStage(t)
	g := s.load(Config{})
	if _, err := g.Original(netip.MustParseAddrPort("127.0.0.1:9"), tcp); err == nil {
		t.Error("found what was never redirected")
	}
}

func TestDNS(t *testing.T) {
	s := newStage(t)
	o := origins{t, s, make(chan Redirect, 1)}
	c := Config{
		Resolver4: s.echo("127.0.0.1:0", "instead", o.of(udp)),
		Resolver6: s.echo("[::1]:0", "instead", o.of(udp)),
	}
	s.load(c)
	s.allow(everything(Deny, 1)) // which does not matter
	tests := []struct{ order, peer, from, asked string }{
		{"udp 4 192.0.2.1:53", "192.0.2.1:53", "192.0.2.1:53", "192.0.2.1:53"},
		{"udp 6 [2001:db8::1]:53", "[2001:db8::1]:53", "[2001:db8::1]:53", "[2001:db8::1]:53"},
		{"udp 6 [::ffff:192.0.2.1]:53", "[::ffff:192.0.2.1]:53", "[::ffff:192.0.2.1]:53", "192.0.2.1:53"},
		{"send 4 192.0.2.1:53", "", "192.0.2.1:53", "192.0.2.1:53"},
		{"send 6 [2001:db8::1]:53", "", "[2001:db8::1]:53", "[2001:db8::1]:53"},
		{"send 6 [::ffff:192.0.2.1]:53", "", "[::ffff:192.0.2.1]:53", "192.0.2.1:53"},
		{"send 4 " + c.Resolver4.String(), "", c.Resolver4.String(), c.Resolver4.String()},
	}
	for _, tt := range tests {
		got := s.run(tt.order)
		if got.Err != "" || got.Reply != "instead" || got.Peer != tt.peer || got.From != tt.from {
			t.Errorf("%s: %+v, want peer %q, answer from %q", tt.order, got, tt.peer, tt.from)
			continue
		}
		if r := <-o.all; r.Destination.String() != tt.asked || r.Process.PID != got.PID {
			t.Errorf("%s: the resolver was told %+v, want %s from %d", tt.order, r, tt.asked, got.PID)
		}
	}
}

func TestDNSOverTCP(t *testing.T) {
	s := newStage(t)
	o := origins{t, s, make(chan Redirect, 1)}
	s.load(Config{Resolver4: o.gateway("127.0.0.1:0")})
	got := s.run("tcp 4 192.0.2.1:53")
	if got.Reply != "instead" || got.Peer != "192.0.2.1:53" {
		t.Fatalf("%+v", got)
	}
	if r := <-o.all; r.Destination.String() != "192.0.2.1:53" || r.Process.PID != got.PID {
		t.Errorf("the resolver was told %+v", r)
	}
	if got := s.run("tcp 6 [2001:db8::1]:53"); got.Err != "EPERM" {
		t.Errorf("without a resolver: %+v, want EPERM", got)
	}
}

// A client elsewhere could have the source address of one that was redirected
// here.
func TestOtherNamespacesAreApart(t *testing.T) {
	s := newStage(t)
	o := origins{t, s, make(chan Redirect, 1)}
	gate := o.gateway("127.0.0.1:0")
	s.load(Config{Gateway4: gate})
	s.allow(everything(Tunnel, 1))
	outside := newStage(t)
	outside.cgroup = s.cgroup
	if got := outside.run("tcp 4 192.0.2.1:443"); got.Err != "ECONNREFUSED" {
		t.Errorf("%+v, want ECONNREFUSED", got)
	}
}
