package testnet_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"safing/netmap"
	"safing/port17/directory"
	"safing/port17/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A network of several authorities and witnesses goes on without one of them, and
// with it again.
func TestSeveralAuthorities(t *testing.T) {
	n := testnet.StartWith(t, testnet.Options{Authorities: 3, Witnesses: 3, Period: time.Second}, 3)
	newest := func() uint64 {
		m, err := directory.New(directory.Config{Network: n.Trust}).Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return m.Sequence
	}
	goesOn := func(what string) {
		t.Helper()
		from := newest()
		n.Await(t, what, func(m *netmap.Map) bool { return m.Sequence >= from+2 && len(m.Nodes) == 3 })
	}
	n.StopAuthority(1)
	goesOn("maps without one of three authorities")
	n.RestartAuthority(t, 1)
	goesOn("maps with all of them")
	n.StopAuthority(0)
	goesOn("maps with one that was away, and without another")
}
