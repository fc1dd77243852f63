package authority

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
)

func TestSourceLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(Limits{SourceRate: 1}, netmap.DefaultPeriod)
		for i := range sourceBurst {
			if _, err := l.source(fmt.Sprintf("192.0.2.%d:%d", i%256, i)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.source("[::ffff:192.0.2.7]:1"); !errors.Is(err, errTooMuch) {
			t.Errorf("one more from the /24: %v", err)
		}
		for _, other := range []string{"198.51.100.1:1", "[2001:db8:1::1]:1"} {
			if _, err := l.source(other); err != nil {
				t.Errorf("from another network: %v", err)
			}
		}
		time.Sleep(2 * time.Second)
		if _, err := l.source("192.0.2.1:1"); err != nil {
			t.Errorf("two seconds later: %v", err)
		}
		for range sourceBurst {
			l.source("[2001:db8:1:2::1]:1") //nolint:errcheck // the last one is looked at
		}
		if _, err := l.source("[2001:db8:1:3::2%eth0]:1"); !errors.Is(err, errTooMuch) {
			t.Errorf("one more from the /48: %v", err)
		}
		if _, err := l.source("pipe"); err == nil {
			t.Error("no error without an address")
		}
	})
}

func TestBucketsAreBounded(t *testing.T) {
	b := newBuckets[netip.Addr](1, 1)
	for i := range 2 * maxBuckets {
		b.take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(b.count) > maxBuckets {
		t.Errorf("%d buckets", len(b.count))
	}
}

func TestNodeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(Limits{}, netmap.DefaultPeriod)
		for range nodeBurst {
			if err := l.node(l.descriptors, netmap.NodeID{1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.node(l.descriptors, netmap.NodeID{1}); !errors.Is(err, errTooMuch) {
			t.Errorf("one more: %v", err)
		}
		if err := l.node(l.keys, netmap.NodeID{1}); err != nil {
			t.Errorf("keys: %v", err)
		}
		time.Sleep(15 * time.Second)
		if err := l.node(l.descriptors, netmap.NodeID{1}); err != nil {
			t.Errorf("15 seconds later: %v", err)
		}
	})
}

// With a short period a node may publish in each.
func TestLimitsOfShortPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		period := 2 * time.Second
		l := newLimits(Limits{}, period)
		for range 100 {
			for range 3 {
				if err := l.node(l.descriptors, netmap.NodeID{1}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(period)
		}
	})
}
