package kernel

import (
	"net/netip"
	"strings"
	"testing"
)

// ports are servers for verdicts, one for each way to reach them.
type ports struct{ tcp4, tcp6, udp4, udp6 netip.AddrPort }

func (s *stage) serve() ports {
	return ports{
		tcp4: s.listen("127.0.0.1:0", "server"), tcp6: s.listen("["+outside6+"]:0", "server"),
		udp4: s.echo("127.0.0.1:0", "server", nil), udp6: s.echo("["+outside6+"]:0", "server", nil),
	}
}

// orders are all ways in which a program can ask for a connection.
func (p ports) orders() map[string]string {
	mapped := func(a netip.AddrPort) string {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port()).String()
	}
	return map[string]string{
		"tcp4": "tcp 4 " + p.tcp4.String(), "tcp6": "tcp 6 " + p.tcp6.String(), "tcp mapped": "tcp 6 " + mapped(p.tcp4),
		"udp4": "udp 4 " + p.udp4.String(), "udp6": "udp 6 " + p.udp6.String(), "udp mapped": "udp 6 " + mapped(p.udp4),
		"send4": "send 4 " + p.udp4.String(), "send6": "send 6 " + p.udp6.String(), "send mapped": "send 6 " + mapped(p.udp4),
	}
}

func TestEveryWay(t *testing.T) {
	s := newStage(t)
	orders := s.serve().orders()
	s.load(Config{})
	stages := []struct {
		name string
		set  func()
		err  string
	}{
		{"no policy", func() {}, "EPERM"},
		{"permit", func() { s.allow(everything(Permit, 1)) }, ""},
		{"deny", func() { s.allow(everything(Deny, 2)) }, "EPERM"},
		{"tunnel without a gateway", func() { s.allow(everything(Tunnel, 2)) }, "EPERM"},
		{"no entry", func() { s.allow(nil) }, "EPERM"},
		{"no case", func() {
			s.allow([]Entry{{Prefix: netip.MustParsePrefix("0.0.0.0/0")}, {Prefix: netip.MustParsePrefix("::/0")}})
		}, "EPERM"},
		{"permit again", func() { s.allow(everything(Permit, 1)) }, ""},
		{"removed", func() {
			if err := s.guard.RemovePolicy(0); err != nil {
				t.Fatal(err)
			}
		}, "EPERM"},
	}
	for _, tt := range stages {
		tt.set()
		for name, order := range orders {
			o := s.run(order)
			if o.Err != tt.err || tt.err == "" && o.Reply != "server" {
				t.Errorf("%s, %s: %+v, want error %q", tt.name, name, o, tt.err)
			}
		}
	}
}

func TestFastOpenIsJudged(t *testing.T) {
	s := newStage(t)
	server := s.listen("127.0.0.1:0", "server")
	s.load(Config{})
	if o := s.run("fastopen 4 " + server.String()); o.Err != "EPERM" {
		t.Errorf("%+v, want EPERM", o)
	}
	s.allow(everything(Permit, 1))
	if o := s.run("fastopen 4 " + server.String()); o.Reply != "server" {
		t.Errorf("%+v, want an answer", o)
	}
}

func TestOtherSocketsAreRefused(t *testing.T) {
	s := newStage(t)
	s.do(allowPing)
	s.load(Config{})
	s.allow(everything(Permit, 1))
	for order, want := range map[string]string{
		"raw 4 127.0.0.1:0":   "EPERM",
		"ping 4 127.0.0.1:0":  "EPERM",
		"mptcp 4 127.0.0.1:1": "EPROTONOSUPPORT",
	} {
		if o := s.run(order); o.Err != want {
			t.Errorf("%s: %+v, want %s", order, o, want)
		}
	}
}

func TestUnspecifiedIsLoopback(t *testing.T) {
	s := newStage(t)
	server := s.listen("127.0.0.1:0", "server")
	s.load(Config{})
	denied := append(everything(Permit, 1),
		Entry{netip.MustParsePrefix("127.0.0.0/8"), []Case{{PortHigh: 65535, Action: Deny}}},
		Entry{netip.MustParsePrefix("::1/128"), []Case{{PortHigh: 65535, Action: Deny}}})
	s.allow(denied)
	for _, to := range []string{"tcp 4 0.0.0.0", "tcp 6 [::ffff:0.0.0.0]", "tcp 6 [::]", "send 4 0.0.0.0", "send 6 [::]"} {
		order := to + ":" + server.String()[strings.LastIndex(server.String(), ":")+1:]
		if o := s.run(order); o.Err != "EPERM" {
			t.Errorf("%s: %+v, want EPERM", order, o)
		}
	}
}

func TestWhichEntry(t *testing.T) {
	s := newStage(t)
	near, far := s.listen("127.1.2.3:0", "near"), s.listen("127.2.0.1:0", "far")
	s.load(Config{})
	port := func(p uint16, a Action) Case { return Case{Protocol: 6, PortLow: p, PortHigh: p, Action: a} }
	all := func(a Action) []Case { return []Case{{PortHigh: 65535, Action: a}} }
	wide, narrow := netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("127.1.0.0/16")
	tests := []struct {
		name      string
		entries   []Entry
		flow      []Case // of near
		near, far string
	}{
		{"longest prefix denies", []Entry{{wide, all(Permit)}, {narrow, all(Deny)}}, nil, "EPERM", ""},
		{"longest prefix permits", []Entry{{wide, all(Deny)}, {narrow, all(Permit)}}, nil, "", "EPERM"},
		{"first case", []Entry{{wide, []Case{port(near.Port(), Deny), {PortHigh: 65535, Action: Permit}}}}, nil, "EPERM", ""},
		{"other protocol", []Entry{{wide, []Case{{Protocol: 17, PortHigh: 65535, Action: Permit}}}}, nil, "EPERM", "EPERM"},
		{"other ports", []Entry{{wide, []Case{{PortHigh: 1023, Action: Permit}}}}, nil, "EPERM", "EPERM"},
		{"the other family", []Entry{{netip.MustParsePrefix("::/0"), all(Permit)}}, nil, "EPERM", "EPERM"},
		{"mapped prefix", []Entry{{netip.MustParsePrefix("::ffff:127.1.0.0/112"), all(Permit)}}, nil, "", "EPERM"},
		{"flow permits", []Entry{{wide, all(Deny)}}, all(Permit), "", "EPERM"},
		{"flow denies", []Entry{{wide, all(Permit)}}, all(Deny), "EPERM", ""},
		{"flow without the case", []Entry{{wide, all(Permit)}}, []Case{port(1, Permit)}, "EPERM", ""},
		{"eighth case", []Entry{{wide, []Case{port(1, Deny), port(2, Deny), port(3, Deny), port(4, Deny), port(5, Deny), port(6, Deny), port(7, Deny), port(far.Port(), Permit)}}}, nil, "EPERM", ""},
	}
	for _, tt := range tests {
		s.allow(tt.entries)
		if tt.flow != nil {
			if err := s.guard.SetFlow(0, near.Addr(), tt.flow); err != nil {
				t.Fatal(err)
			}
		}
		if o := s.run("tcp 4 " + near.String()); o.Err != tt.near {
			t.Errorf("%s: near: %+v, want %q", tt.name, o, tt.near)
		}
		if o := s.run("tcp 4 " + far.String()); o.Err != tt.far {
			t.Errorf("%s: far: %+v, want %q", tt.name, o, tt.far)
		}
		if err := s.guard.DeleteFlow(0, near.Addr()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestApplications(t *testing.T) {
	s := newStage(t)
	server := "tcp 4 " + s.listen("127.0.0.1:0", "server").String()
	g := s.load(Config{})
	other := copyFile(t, self(t), t.TempDir()+"/other")
	id, err := StatExe(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.BindExe(id, 7); err != nil {
		t.Fatal(err)
	}
	s.allow(everything(Permit, 1))
	if o := s.runExe(other, server); o.Err != "EPERM" {
		t.Errorf("bound, without a policy: %+v, want EPERM", o)
	}
	if err := g.SetPolicy(7, everything(Permit, 1)); err != nil {
		t.Fatal(err)
	}
	s.allow(everything(Deny, 1))
	if o := s.runExe(other, server); o.Err != "" {
		t.Errorf("bound: %+v", o)
	}
	if o := s.run(server); o.Err != "EPERM" {
		t.Errorf("not bound: %+v, want EPERM", o)
	}
	if err := g.UnbindExe(id); err != nil {
		t.Fatal(err)
	}
	if o := s.runExe(other, server); o.Err != "EPERM" {
		t.Errorf("no longer bound: %+v, want EPERM", o)
	}
}

func TestCloseEndsGuarding(t *testing.T) {
	s := newStage(t)
	orders := s.serve().orders()
	g := s.load(Config{})
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	for name, order := range orders {
		if o := s.run(order); o.Err != "" || o.Reply != "server" {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestWrongPolicies(t *testing.T) {
	s := newStage(t)
	g := s.load(Config{})
	wide := netip.MustParsePrefix("10.0.0.0/8")
	tests := []struct {
		name    string
		entries []Entry
		want    string
	}{
		{"nine cases", []Entry{{wide, make([]Case, 9)}}, "9 cases are more than the 8"},
		{"no action", []Entry{{wide, []Case{{}}}}, "there is no action 0"},
		{"ports", []Entry{{wide, []Case{{PortLow: 2, PortHigh: 1, Action: Permit}}}}, "wrong order"},
		{"no prefix", []Entry{{}}, "is not valid"},
		{"twice", []Entry{{wide, nil}, {netip.MustParsePrefix("10.1.0.0/8"), nil}}, "there twice"},
	}
	for _, tt := range tests {
		err := g.SetPolicy(0, tt.entries)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if err := g.SetFlow(0, netip.Addr{}, nil); err == nil {
		t.Error("a flow to no address was taken")
	}
}
