package node

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

// A circuit begins with so many connections and no more, and goes on at a rate.
func TestCircuitRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExit(netmap.ExitPolicy{}, nil, ExitLimits{CircuitRate: 10})
		defer e.close()
		b, other := e.newBudget(), e.newBudget()
		count := func(b *budget) (n int) {
			for b.take() {
				n++
			}
			return n
		}
		if got := count(b); got != circuitBurst {
			t.Errorf("%d at once, want %d", got, circuitBurst)
		}
		time.Sleep(time.Second)
		if got := count(b); got != 10 {
			t.Errorf("%d in a second, want 10", got)
		}
		if got := count(other); got != circuitBurst {
			t.Errorf("%d at once of another circuit, want %d", got, circuitBurst)
		}
	})
}

// Nobody is flooded through an exit, however many circuits somebody has.
func TestDestinationRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDestinations(2)
		count := func(a string) (n int) {
			for range 1000 {
				if d.take(netip.MustParseAddr(a)) {
					n++
				}
			}
			return n
		}
		const atOnce = 2 * destinationSeconds
		for _, c := range []struct {
			address string
			want    int
		}{
			{"8.8.8.8", atOnce},
			{"::ffff:8.8.8.8", 0},
			{"8.8.8.9", atOnce},
			{"2600::1", atOnce},
			{"2600::ffff:1", 0}, // of the same /64
			{"2600:0:0:1::1", atOnce},
			{"10.0.0.1", 1000}, // the operator's own
			{"127.0.0.1", 1000},
		} {
			if got := count(c.address); got != c.want {
				t.Errorf("%d to %s at once, want %d", got, c.address, c.want)
			}
		}
		time.Sleep(time.Second)
		if got := count("8.8.8.8"); got != 2 {
			t.Errorf("%d in a second, want 2", got)
		}
		for i := range 4 * maxDestinations {
			d.take(netip.AddrFrom4([4]byte{9, byte(i >> 16), byte(i >> 8), byte(i)}))
		}
		if n := len(d.count); n > maxDestinations {
			t.Errorf("%d destinations are counted, want at most %d", n, maxDestinations)
		}
	})
}

// What is refused says why, and what a rule names alone is not limited.
func TestExitLimits(t *testing.T) {
	p, err := netmap.ParseExitPolicy([]string{"public", "accept 127.0.0.0/8:*"})
	if err != nil {
		t.Fatal(err)
	}
	// From an address that the machine does not have, nothing goes out.
	from := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	// So slow that nothing comes back meanwhile.
	e := newExit(p, from, ExitLimits{CircuitRate: 0.001, DestinationRate: 0.1})
	defer e.close()
	e.resolver = fixed(from)
	spent, fresh := e.newBudget(), e.newBudget()
	for spent.take() {
	}
	crowded := netip.MustParseAddr("8.8.8.8")
	for e.destinations.take(crowded) {
	}
	for _, c := range []struct {
		name   string
		to     cell.Target
		budget *budget
		want   cell.Reason
	}{
		{"too fast", cell.Target{Addr: netip.MustParseAddr("1.1.1.1"), Port: 80}, spent, cell.TooFast},
		{"too fast, a name", cell.Target{Host: "example.org", Port: 80}, spent, cell.TooFast},
		{"crowded", cell.Target{Addr: crowded, Port: 80}, fresh, cell.Crowded},
		{"not public", cell.Target{Addr: netip.MustParseAddr("127.0.0.1"), Port: 1}, spent, cell.Refused},
	} {
		if _, reason := e.connect(t.Context(), c.to, c.budget); reason != c.want {
			t.Errorf("%s: %v, want %v", c.name, reason, c.want)
		}
	}
	a := &association{exit: e, budget: spent}
	for address, want := range map[string]drop{"1.1.1.1:53": dropLimit, "10.0.0.1:53": dropPolicy} {
		if err := a.sendTo(netip.MustParseAddrPort(address), nil); err == nil || why(err) != want {
			t.Errorf("datagram to %s: %v", address, err)
		}
	}
	a.budget = fresh
	if err := a.sendTo(netip.AddrPortFrom(crowded, 53), nil); err == nil || why(err) != dropLimit {
		t.Errorf("datagram to a crowded destination: %v", err)
	}
}

// An association counts as what a circuit begins with does.
func TestAssociationRate(t *testing.T) {
	e := newExit(netmap.ExitPolicy{}, nil, ExitLimits{CircuitRate: 0.001})
	defer e.close()
	b := e.newBudget()
	for b.take() {
	}
	mux := stream.New(stream.Config{Pool: new(cell.Pool), Size: cell.ContentSize(0), Send: func([]*cell.Buf) error { return nil }})
	s, err := mux.Open(cell.Target{UDP: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	e.accept(s, cell.Target{UDP: true}, b)
	<-s.Done()
	if got := endReason(s.Err()); got != cell.TooFast || e.associations.taken() != 0 {
		t.Errorf("the association ended: %v, want %v; there are %d", got, cell.TooFast, e.associations.taken())
	}
}
