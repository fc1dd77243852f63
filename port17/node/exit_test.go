package node

import (
	"context"
	"errors"
	"net/netip"
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
	e := newExit(public, []netip.Addr{netip.MustParseAddr("8.8.8.8")}, 1)
	defer e.close()
	for _, to := range []cell.Target{
		{Addr: netip.MustParseAddr("8.8.8.8"), Port: 22},
		{Addr: netip.MustParseAddr("127.0.0.1"), Port: 22},
		{Host: "localhost", Port: 22},
	} {
		if conn, reason := e.connect(t.Context(), to); conn != nil || reason != cell.Policy {
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
	e := newExit(p, nil, 1)
	defer e.close()
	e.resolver = searching{}
	for _, name := range []string{"intranet", "intranet.example"} {
		if _, reason := e.connect(t.Context(), cell.Target{Host: name, Port: 80}); reason != cell.NoSuchName {
			t.Errorf("%s: %v, want %v", name, reason, cell.NoSuchName)
		}
	}
}
