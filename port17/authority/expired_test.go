package authority

import (
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
)

// shortLived makes maps run out sooner.
func shortLived(c *council) { c.network.Validity = netmap.Duration(30 * time.Minute) }

// A map that enough have signed and that has run out before it was out becomes
// a leaf of the log that nobody is shown, and the next one follows it.
func TestCandidateExpires(t *testing.T) {
	for _, size := range []struct{ n, k int }{{1, 1}, {3, 2}} {
		synctest.Test(t, func(t *testing.T) {
			w := new(attendant)
			c := newCouncil(t, size.n, size.k, attended(w), shortLived)
			all := c.running()
			c.publish(1, all...)
			c.period()
			signed := c.members[0].pendingNow().header
			for range 4 {
				c.publish(1, all...)
				c.period()
			}
			w.there.Store(true)
			c.publish(1, all...)
			c.period()
			c.publish(1, all...)
			c.period()
			if m := c.agree(1); m.Sequence < 2 || c.leaf(0, 1) != signed {
				t.Errorf("map %d is the newest, and map 1 is\n%sand was signed as\n%s", m.Sequence, c.leaf(0, 1), signed)
			}
		})
	}
}

// The same, when the authorities were down meanwhile.
func TestCandidateExpiresOnDisk(t *testing.T) {
	for _, size := range []struct{ n, k int }{{1, 1}, {3, 2}} {
		synctest.Test(t, func(t *testing.T) {
			w := new(attendant)
			c := newCouncil(t, size.n, size.k, attended(w))
			all := c.running()
			c.publish(1, all...)
			c.period()
			for _, i := range all {
				c.stop(i)
			}
			time.Sleep(4 * time.Hour)
			w.there.Store(true)
			for _, i := range all {
				c.start(i)
			}
			for range 2 {
				c.publish(1, all...)
				c.period()
			}
			c.agree(1)
		})
	}
}

// Any two of three go on after all were down for longer than a map is valid,
// whichever of them was away before that.
func TestAllDownForLong(t *testing.T) {
	for back := range 3 {
		synctest.Test(t, func(t *testing.T) {
			c := newCouncil(t, 3, 2)
			c.publish(1, 0, 1, 2)
			c.period()
			c.stop(2)
			for range 3 {
				c.publish(1, 0, 1)
				c.period()
			}
			before := c.agree(1).Sequence
			c.stop(0)
			c.stop(1)
			time.Sleep(4 * time.Hour)
			for i := range 3 {
				if i != back {
					c.start(i)
				}
			}
			for range 3 {
				c.publish(1, c.running()...)
				c.period()
			}
			if m := c.agree(1); m.Sequence <= before {
				t.Errorf("map %d after map %d", m.Sequence, before)
			}
		})
	}
}
