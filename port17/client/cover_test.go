package client_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"safing/port17/client"
	"safing/port17/node"
	"safing/port17/route"
	"safing/port17/shape"
	"safing/port17/testnet"
)

// Connections that want to be mixed and padded in different ways share no
// circuit, and those of the level extreme are both without asking.
func TestCover(t *testing.T) {
	n := testnet.Start(t, 6)
	c := start(t, n)
	to := site(t)
	constant := shape.Shape{Kind: shape.Constant, Rate: 100}
	delayed := route.Requirements{Delay: 5 * time.Millisecond}
	for i, test := range []struct {
		client.Request
		delay time.Duration
		shape string
	}{
		{client.Request{}, 0, "none"},
		{client.Request{Shape: constant}, 0, "constant:100"},
		{client.Request{Requirements: delayed}, 5 * time.Millisecond, "none"},
		{client.Request{Requirements: delayed, Shape: constant}, 5 * time.Millisecond, "constant:100"},
		{client.Request{Level: route.Extreme}, 50 * time.Millisecond, "constant:32"},
		{client.Request{Level: route.Extreme, Requirements: delayed, Shape: constant}, 50 * time.Millisecond, "constant:100"},
	} {
		test.Addr = to
		for range 2 {
			conn, err := c.Dial(t.Context(), test.Request)
			if err != nil {
				t.Fatal(err)
			}
			if page := get(t, conn); netip.MustParseAddrPort(page).Addr() == to.Addr() {
				t.Errorf("the site saw %s", page)
			}
		}
		circuits := inUse(c)
		if len(circuits) != i+1 {
			t.Fatalf("%d circuits after %d kinds of connections", len(circuits), i+1)
		}
		if last := circuits[i]; last.Delay != test.delay || last.Shape != test.shape {
			t.Errorf("%+v: delay %s, shape %s", test.Request, last.Delay, last.Shape)
		}
	}
}

// Only nodes that offer what is asked for are on a route. If there are too few,
// the user learns that, and nothing goes another way.
func TestCoverNotOffered(t *testing.T) {
	n := testnet.Start(t, 4, func(i int, c *node.Config) {
		if i == 0 {
			c.MaxDelay = 10 * time.Millisecond
		}
	})
	c := start(t, n)
	for delay, want := range map[time.Duration]error{10 * time.Millisecond: nil, 2 * time.Second: route.ErrNoRoute} {
		r := client.Request{Addr: site(t), Requirements: route.Requirements{Delay: delay}}
		e, err := c.Explain(r)
		if !errors.Is(err, want) {
			t.Errorf("delay %s: %v, want %v", delay, err, want)
		}
		if want != nil && (len(e.Excluded) == 0 || e.Excluded[0].Reason != "it offers no delays as long") {
			t.Errorf("excluded: %+v", e.Excluded)
		}
	}
	for _, bad := range []client.Config{{Delay: time.Hour}, {Shape: shape.Shape{Kind: shape.Constant}}} {
		bad.Network = n.Trust
		if _, err := client.New(t.Context(), bad); err == nil {
			t.Errorf("a client with %+v began", bad)
		}
	}
}
