package authority

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
)

// An oracle is a scanner that knows.
type oracle struct {
	mu      sync.Mutex
	silent  map[netmap.NodeID]bool
	bad     map[netmap.NodeID]bool
	rates   map[netmap.NodeID]uint64
	changed func()
	seen    []netmap.Node
}

func newOracle() *oracle {
	return &oracle{silent: make(map[netmap.NodeID]bool), bad: make(map[netmap.NodeID]bool), rates: make(map[netmap.NodeID]uint64)}
}

// know changes what some know.
func know(change func(o *oracle), all ...*oracle) {
	for _, o := range all {
		o.mu.Lock()
		change(o)
		if o.changed != nil {
			o.changed()
		}
		o.mu.Unlock()
	}
}

// Run implements Scanner.
func (o *oracle) Run(ctx context.Context, nodes func() ([]netmap.Node, *netmap.Map), changed func()) {
	for ctx.Err() == nil {
		list, _ := nodes()
		o.mu.Lock()
		o.changed, o.seen = changed, list
		o.mu.Unlock()
		wait(ctx, time.Second)
	}
}

// Opinion implements Scanner.
func (o *oracle) Opinion(id netmap.NodeID) (reachable, badExit bool, capacity uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.silent[id], o.bad[id], o.rates[id]
}

// seen gives each authority of a council an oracle.
func seen(oracles ...*oracle) func(c *council) {
	return func(c *council) {
		for _, o := range oracles {
			c.scanners = append(c.scanners, o)
		}
	}
}

// A node is on the map while enough authorities reach it, and marked when enough
// see it misbehave.
func TestOpinions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := []*oracle{newOracle(), newOracle(), newOracle()}
		know(func(o *oracle) { o.silent[id(1)] = true; o.rates[id(2)] = 30000 }, o[0], o[1])
		know(func(o *oracle) { o.rates[id(2)] = 20000 }, o[2])
		c := newCouncil(t, 3, 2, seen(o...))
		next := func(nodes int) netmap.Node {
			t.Helper()
			c.publish(1, 0, 1, 2)
			c.publish(2, 0, 1, 2)
			c.period()
			n, _ := c.agree(nodes).Node(id(2))
			return n
		}
		if n := next(1); n.Flags != 0 || n.Measured < 28500 || n.Measured > 31500 { // as steps of 4 % have it
			t.Errorf("flags %d, measured %d", n.Flags, n.Measured)
		}
		know(func(o *oracle) { o.silent[id(1)] = false }, o[1])
		know(func(o *oracle) { o.bad[id(2)] = true }, o[0])
		if n := next(2); n.Flags != 0 {
			t.Error("one has decided that node 2 is a bad exit")
		}
		know(func(o *oracle) { o.bad[id(2)] = true }, o[1])
		know(func(o *oracle) { o.silent[id(1)] = true }, o[1])
		if n := next(1); n.Flags != netmap.FlagBadExit {
			t.Error("two see a bad exit")
		}
		know(func(o *oracle) { o.bad[id(2)] = false }, o[0])
		if n := next(1); n.Flags != 0 {
			t.Error("one alone sees a bad exit")
		}
	})
}

// An authority that is alone makes a map when its opinion changes; what is
// tested is what has published usable keys and takes circuits.
func TestScannedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOracle()
		know(func(o *oracle) { o.silent[id(1)] = true }, o)
		c := newCouncil(t, 1, 1, seen(o))
		c.publish(1, 0)
		c.publish(2, 0)
		c.post(0, "/v1/descriptors", descriptor(t, 3, time.Now()))
		c.post(0, "/v1/descriptors", descriptor(t, 2, time.Now().Add(time.Second), func(d *netmap.Descriptor) { d.Closed = true }))
		time.Sleep(2 * time.Second)
		c.agree(0)
		know(func(o *oracle) {
			if len(o.seen) != 1 || o.seen[0].ID != id(1) {
				t.Errorf("tested: %v", o.seen)
			}
			o.silent[id(1)] = false
		}, o)
		time.Sleep(time.Second)
		synctest.Wait()
		c.agree(1)
	})
}
