package node

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"safing/netmap"
	"safing/port17/cell"
)

// A name can lead to the exit itself as well as an address can.
func TestExitRefusesItself(t *testing.T) {
	public, err := netmap.ParseExitPolicy([]string{"accept *:*"})
	if err != nil {
		t.Fatal(err)
	}
	e := newExit(public, []netip.Addr{netip.MustParseAddr("8.8.8.8")}, ExitLimits{})
	defer e.close()
	for _, to := range []cell.Target{
		{Addr: netip.MustParseAddr("8.8.8.8"), Port: 22},
		{Addr: netip.MustParseAddr("127.0.0.1"), Port: 22},
		{Host: "localhost", Port: 22},
	} {
		if conn, reason := e.connect(t.Context(), to, e.newBudget()); conn != nil || reason != cell.Policy {
			t.Errorf("%v: %v, want %v", to, reason, cell.Policy)
		}
	}
}

// A searching resolver has the operator's domain in its search list, where
// every name exists.
type searching struct{}

func (searching) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if strings.HasSuffix(host, ".") {
		return nil, errors.New("no such host")
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// A name that does not exist is not looked for in the domains of the machine
// that the exit runs on.
func TestExitLooksUpAbsoluteNames(t *testing.T) {
	p, err := netmap.ParseExitPolicy([]string{"accept *:*"})
	if err != nil {
		t.Fatal(err)
	}
	e := newExit(p, nil, ExitLimits{})
	defer e.close()
	e.resolver = searching{}
	for _, name := range []string{"intranet", "intranet.example"} {
		if _, reason := e.connect(t.Context(), cell.Target{Host: name, Port: 80}, e.newBudget()); reason != cell.NoSuchName {
			t.Errorf("%s: %v, want %v", name, reason, cell.NoSuchName)
		}
	}
}

// A fixed resolver knows the addresses of one name.
type fixed []netip.Addr

func (f fixed) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) { return f, nil }

// A name leads where the policy leads, whoever answers for it: each of its
// addresses is asked about, and no others are connected to.
func TestExitAsksAboutEachAddress(t *testing.T) {
	for _, c := range []struct{ rules, found, want string }{
		{"public", "10.0.0.1 127.0.0.1 192.168.1.1 169.254.169.254 ::1 fd00::1 fe80::1 64:ff9b::a00:1 2002:7f00:1:: ::ffff:127.0.0.1 224.0.0.1 0.0.0.0", ""},
		{"public", "10.0.0.1 1.1.1.1 ::1", "1.1.1.1"},
		{"public", "8.8.8.8 1.1.1.1", "1.1.1.1"}, // the first is the exit's own
		{"public", "::ffff:8.8.8.8", ""},
		{"reject 1.1.1.0/24:* | public", "1.1.1.1 1.1.2.1", "1.1.2.1"},
		{"accept 10.1.0.0/16:* | public", "10.0.0.1 10.1.0.1", "10.1.0.1"},
		{"public", "2600::1 2600::2 1.1.1.1 1.1.1.2 1.1.1.3", "2600::1 1.1.1.1 2600::2 1.1.1.2"},
		{"public", "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 1.1.1.1", "1.1.1.1"},
	} {
		p, err := netmap.ParseExitPolicy(strings.Split(c.rules, " | "))
		if err != nil {
			t.Fatal(err)
		}
		e := newExit(p, []netip.Addr{netip.MustParseAddr("8.8.8.8")}, ExitLimits{})
		defer e.close()
		var found fixed
		for _, a := range strings.Fields(c.found) {
			found = append(found, netip.MustParseAddr(a))
		}
		e.resolver = found
		got, reason := e.resolve(t.Context(), cell.Target{Host: "rebinding.example", Port: 80})
		var text []string
		for _, a := range got {
			text = append(text, a.Addr().String())
		}
		if s := strings.Join(text, " "); s != c.want || (reason == cell.Policy) != (c.want == "") {
			t.Errorf("%s: %s leads to %q, %v, want %q", c.rules, c.found, s, reason, c.want)
		}
		for _, a := range found { // and datagrams alike
			to := netip.AddrPortFrom(a.Unmap(), 80)
			if e.allows(to) != slices.Contains(text, to.Addr().String()) && len(got) < maxAddresses {
				t.Errorf("%s: datagrams may go to %s: %v", c.rules, to, e.allows(to))
			}
		}
	}
}

// An address that answers is found behind those that do not.
func TestExitTriesAddresses(t *testing.T) {
	p, err := netmap.ParseExitPolicy([]string{"accept 127.0.0.0/8:*"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := newExit(p, nil, ExitLimits{})
	defer e.close()
	e.resolver = fixed{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
	to := cell.Target{Host: "two.example", Port: l.Addr().(*net.TCPAddr).AddrPort().Port()}
	conn, reason := e.connect(t.Context(), to, e.newBudget())
	if reason != 0 {
		t.Fatal(reason)
	}
	defer conn.Close()
	if got, want := reached(to, conn), netip.MustParseAddr("127.0.0.3"); got != want {
		t.Errorf("the origin learns of %v, want %v", got, want)
	}
	if got := reached(cell.Target{Addr: netip.MustParseAddr("127.0.0.3"), Port: to.Port}, conn); got.IsValid() {
		t.Errorf("the origin, which has named the address, learns of %v", got)
	}
}
