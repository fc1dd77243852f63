package node_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/node"
	"safing/port17/shape"
	"safing/port17/testnet"
)

// What goes through circuits that are mixed and padded arrives whole, and when
// they have ended nothing is left of them.
func TestMixedCircuits(t *testing.T) {
	n := testnet.Start(t, 5)
	server, from := echo(t)
	for _, test := range []struct {
		nodes []int
		circuit.Dialer
	}{
		{[]int{0, 1, 4}, circuit.Dialer{Delay: 5 * time.Millisecond}},
		{[]int{0, 1, 4}, circuit.Dialer{Shape: shape.Shape{Kind: shape.Constant, Rate: 100}}},
		{[]int{2, 4}, circuit.Dialer{Shape: shape.Shape{Kind: shape.Light, Rate: 100}}},
		{[]int{4}, circuit.Dialer{Delay: time.Millisecond, Shape: shape.Shape{Kind: shape.Constant, Rate: 100}}},
		{[]int{0, 1, 2, 3, 4}, circuit.Dialer{Delay: 5 * time.Millisecond, Shape: shape.Shape{Kind: shape.Constant, Rate: 100}}},
		{[]int{0, 1, 2, 3, 4}, circuit.Dialer{Delay: 5 * time.Millisecond, Shape: shape.Shape{Kind: shape.Heavy, Rate: 100}}},
	} {
		l, hops := n.Route(t, test.nodes...)
		to := target(server)
		c, s, err := test.Dial(l, hops, &to, []byte("early"), nil)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, 100_000)
		rand.Read(data)
		go func() {
			s.Write(data)
			s.CloseWrite()
		}()
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, append([]byte("early"), data...)) {
			t.Errorf("%d nodes, delay %s, %s: %d bytes came back, %v", len(hops), test.Delay, test.Shape, len(got), err)
		}
		<-from
		c.Close()
	}
	timeout := time.After(10 * time.Second)
	for i, node := range n.Nodes {
		for node.CellsUsed() != 0 || node.Padding() != 0 {
			select {
			case <-timeout:
				t.Fatalf("node %d still uses %d cells, and pads %d a second", i, node.CellsUsed(), node.Padding())
			case <-time.After(time.Millisecond):
			}
		}
	}
}

// A node that offers less than it is asked for says so.
func TestNotOffered(t *testing.T) {
	n := testnet.Start(t, 4, func(i int, c *node.Config) {
		if i == 1 {
			c.MaxDelay, c.MaxPadding = 10*time.Millisecond, -1
		}
	})
	if d := n.Nodes[1].Descriptor(); d.MaxDelay != 10*time.Millisecond || d.MaxPadding != 0 {
		t.Errorf("node 2 offers %s and %d", d.MaxDelay, d.MaxPadding)
	}
	if d := n.Nodes[0].Descriptor(); d.MaxDelay != time.Second || d.MaxPadding != 100 {
		t.Errorf("node 1 offers %s and %d", d.MaxDelay, d.MaxPadding)
	}
	for _, d := range []circuit.Dialer{
		{Delay: 11 * time.Millisecond},
		{Shape: shape.Shape{Kind: shape.Constant, Rate: 1}},
	} {
		l, hops := n.Route(t, 0, 1, 3)
		c, _, err := d.Dial(l, hops, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		var ended *circuit.Error
		if !errors.As(c.Err(), &ended) || ended.Reason != cell.NotOffered || ended.Hop != 1 {
			t.Errorf("%+v: %v, want %q at node 2", d, c.Err(), cell.NotOffered)
		}
	}
	l, hops := n.Route(t, 0, 1, 3)
	for _, d := range []circuit.Dialer{
		{Delay: time.Microsecond}, {Delay: 11 * time.Second}, {Delay: -1}, {Shape: shape.Shape{Kind: shape.Constant}},
	} {
		if _, _, err := d.Dial(l, hops, nil, nil, nil); err == nil {
			t.Errorf("%+v is dialled", d)
		}
	}
}

// A node pads at what it has promised in all, and one link can't have that
// alone.
func TestPaddingBudget(t *testing.T) {
	n := testnet.Start(t, 4)
	d := circuit.Dialer{Shape: shape.Shape{Kind: shape.Light, Rate: 100}}
	for _, want := range []int{32, 16} {
		l, hops := n.Route(t, 1)
		for i := range want + 1 {
			c, _, err := d.Dial(l, hops, nil, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			select {
			case <-c.Built():
			case <-c.Done():
			}
			var ended *circuit.Error
			if full := errors.As(c.Err(), &ended) && ended.Reason == cell.Busy && ended.Hop == 0; full != (i == want) {
				t.Fatalf("circuit %d, of %d: %v", i+1, want, c.Err())
			}
		}
	}
}
