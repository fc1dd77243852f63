package node

import (
	"net/netip"
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
	e := newExit(public, []netip.AddrPort{netip.MustParseAddrPort("8.8.8.8:1717")})
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
