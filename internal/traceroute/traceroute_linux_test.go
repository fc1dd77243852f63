package traceroute

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// quick is for networks of the test's own, where answers come at once. What
// does not come costs this much time.
var quick = Config{Wait: 500 * time.Millisecond, Gap: 3}

// trace runs Trace in the first host.
func (c *chain) trace(t *testing.T, to netip.Addr, config Config) Path {
	t.Helper()
	var p Path
	c.in(t, 0, func() (err error) {
		p, err = Trace(t.Context(), to, config)
		return err
	})
	return p
}

func expect(t *testing.T, p Path, outcome Outcome, hops ...netip.Addr) {
	t.Helper()
	if p.Outcome != outcome || len(p.Hops) != len(hops) {
		t.Fatalf("got %s, %v, want %s, %v", p.Outcome, p.Hops, outcome, hops)
	}
	for i, h := range p.Hops {
		if h.Addr != hops[i] || h.Addr.IsValid() && (h.RTT <= 0 || h.RTT > time.Second) {
			t.Errorf("hop %d is %s after %s, want %s", i+1, h.Addr, h.RTT, hops[i])
		}
	}
}

// families runs a test with both, beside others: most time goes by until the
// kernel has noticed the cables.
func families(t *testing.T, run func(t *testing.T, six bool)) {
	t.Parallel()
	for name, six := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, six)
		})
	}
}

func TestChain(t *testing.T) {
	families(t, func(t *testing.T, six bool) {
		c := newChain(t, 5)
		expect(t, c.trace(t, near(4, six), quick), Reached, near(1, six), near(2, six), near(3, six), near(4, six))
		expect(t, c.trace(t, near(1, six), quick), Reached, near(1, six))
		expect(t, c.trace(t, near(4, six), Config{Hops: 2}), Silent, near(1, six), near(2, six))
	})
}

func TestSilentRouter(t *testing.T) {
	families(t, func(t *testing.T, six bool) {
		c := newChain(t, 5)
		c.in(t, 2, silence)
		expect(t, c.trace(t, near(4, six), quick), Reached, near(1, six), netip.Addr{}, near(3, six), near(4, six))
	})
}

func TestSilentDestination(t *testing.T) {
	families(t, func(t *testing.T, six bool) {
		c := newChain(t, 4)
		c.in(t, 3, silence)
		expect(t, c.trace(t, near(3, six), quick), Silent, near(1, six), near(2, six))
	})
}

func TestUnreachable(t *testing.T) {
	families(t, func(t *testing.T, six bool) {
		c := newChain(t, 4)
		prefix, to := "198.51.100.0/24", netip.MustParseAddr("198.51.100.7")
		if six {
			prefix, to = "2001:db8::/32", netip.MustParseAddr("2001:db8::7")
		}
		c.in(t, 2, func() error { return refuse(prefix) })
		expect(t, c.trace(t, to, quick), Unreachable, near(1, six), near(2, six))
	})
}

func TestNoRoute(t *testing.T) {
	families(t, func(t *testing.T, six bool) {
		c := newChain(t, 1)
		err := c.hosts[0].Do(func() error {
			_, err := Trace(t.Context(), near(7, six), quick)
			return err
		})
		if !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	c := newChain(t, 3)
	c.in(t, 2, silence)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var p Path
	begun := time.Now()
	err := c.hosts[0].Do(func() (err error) {
		p, err = Trace(ctx, near(2, false), Config{Wait: time.Minute})
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 10*time.Second {
		t.Errorf("got %v after %s", err, time.Since(begun))
	}
	expect(t, p, Silent, near(1, false))
}

func TestNoHost(t *testing.T) {
	for _, to := range []netip.Addr{{}, netip.IPv4Unspecified(), netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("ff02::1")} {
		if _, err := Trace(t.Context(), to, Config{}); err == nil {
			t.Errorf("%s was taken for a host", to)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 16))
	to := netip.MustParseAddr("192.0.2.1")
	// A time exceeded from 10.9.1.1, as amd64 has it.
	f.Add(append([]byte{48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 113, 0, 0, 0, 2, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 10, 9, 1, 1}, make([]byte, 8)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := parseAnswer(b, to); ok && a.outcome == Reached && a.from != to {
			t.Errorf("reached %s instead of %s", a.from, to)
		}
	})
}
