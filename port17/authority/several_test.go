package authority

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
	"safing/tinker"
)

// A council is several authorities of one network, on a wire and in virtual
// time.
type council struct {
	t       *testing.T
	network *netmap.Network
	keys    []ed25519.PrivateKey
	states  []string
	wire    *wire
	members []*Authority // nil if it is not running
	log     *logs
	// witnesses are asked instead of the network's, if there are any.
	witnesses Witnesses
	scanners  []Scanner // of each; none if there are none
	prekeys   []tinker.Prekey
	// What nodes publish of themselves.
	load   int // percent
	appeal string
}

// newCouncil starts n authorities of which k have to agree.
func newCouncil(t *testing.T, n, k int, changes ...func(c *council)) *council {
	t.Helper()
	c := &council{t: t, wire: newWire(), members: make([]*Authority, n), log: new(logs)}
	c.network = &netmap.Network{Name: "test", Threshold: k, PrivateAddresses: true}
	for i := range n {
		key, verifier, err := GenerateKey("test")
		if err != nil {
			t.Fatal(err)
		}
		c.keys, c.states = append(c.keys, key), append(c.states, t.TempDir())
		c.network.Authorities = append(c.network.Authorities, netmap.Authority{URL: "http://" + c.host(i), Key: verifier})
	}
	prekeys, err := tinker.NewPrekeys(tinker.PrekeyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	c.prekeys = prekeys.Public()
	for _, change := range changes {
		change(c)
	}
	for i := range n {
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.members {
			c.stop(i)
		}
	})
	return c
}

func (c *council) host(i int) string { return fmt.Sprintf("authority%d", i) }

// start starts an authority, or starts it again.
func (c *council) start(i int) {
	c.t.Helper()
	var scanner Scanner
	if len(c.scanners) > 0 {
		scanner = c.scanners[i]
	}
	a, err := New(c.t.Context(), Config{
		Network: c.network, Key: c.keys[i], State: c.states[i], Transport: c.wire.from(c.host(i)), Witnesses: c.witnesses, Scanner: scanner,
		Log: slog.New(slog.NewTextHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.members[i] = a
	c.wire.set(c.host(i), a.Handler())
}

func (c *council) stop(i int) {
	c.t.Helper()
	if c.members[i] == nil {
		return
	}
	c.wire.set(c.host(i), nil)
	if err := c.members[i].Close(); err != nil {
		c.t.Error(err)
	}
	c.members[i] = nil
}

// post sends something to an authority, as a node does.
func (c *council) post(i int, path string, body []byte) *http.Response {
	c.t.Helper()
	request := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	w := httptest.NewRecorder()
	c.members[i].Handler().ServeHTTP(w, request)
	return w.Result()
}

// publish sends descriptor and keys of a node to authorities.
func (c *council) publish(seed byte, to ...int) {
	c.t.Helper()
	signed := descriptor(c.t, seed, time.Now(), func(d *netmap.Descriptor) { d.Load, d.Appeal = c.load, c.appeal })
	d, err := netmap.OpenDescriptor(signed)
	if err != nil {
		c.t.Fatal(err)
	}
	k := &netmap.Keys{ID: d.ID, Binding: d.Binding(), Prekeys: c.prekeys, Published: time.Now()}
	keys, err := k.Sign(ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, i := range to {
		for path, body := range map[string][]byte{"/v1/descriptors": signed} {
			if r := c.post(i, path, body); r.StatusCode != http.StatusNoContent {
				c.t.Errorf("publish: %s", r.Status)
			}
		}
		if r := c.post(i, "/v1/keys", keys); r.StatusCode != http.StatusNoContent {
			c.t.Errorf("publish: %s", r.Status)
		}
	}
}

// newest returns the map that an authority serves, verified.
func (c *council) newest(i int) *netmap.Map {
	c.t.Helper()
	w := httptest.NewRecorder()
	c.members[i].Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/map", nil))
	if w.Code != http.StatusOK {
		return nil
	}
	m, err := c.network.Verify(w.Body.Bytes(), time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// header returns what an authority's log has as its newest leaf.
func (c *council) header(i int) string {
	c.t.Helper()
	h, err := signedMap{bytes: served(c.members[i])}.head()
	if err != nil {
		c.t.Fatal(err)
	}
	return h.Header
}

// period waits until the middle of the next period, when its map is out.
func (c *council) period() {
	s := c.members[c.running()[0]].schedule
	time.Sleep(time.Until(s.next(time.Now()).Add(s.period / 2)))
	synctest.Wait()
}

func (c *council) running() (all []int) {
	for i, m := range c.members {
		if m != nil {
			all = append(all, i)
		}
	}
	return all
}

// agree checks that all running authorities have the same map, with as many
// nodes, and returns it.
func (c *council) agree(nodes int) *netmap.Map {
	c.t.Helper()
	running := c.running()
	first := c.newest(running[0])
	if first == nil {
		c.t.Fatalf("there is no map\n%s", c.log)
	}
	for _, i := range running {
		if h := c.header(i); h != c.header(running[0]) {
			c.t.Errorf("authority %d has\n%sand authority %d has\n%s\n%s", running[0], c.header(running[0]), i, h, c.log)
		}
	}
	if len(first.Nodes) != nodes {
		c.t.Errorf("map %d has %d nodes, want %d\n%s", first.Sequence, len(first.Nodes), nodes, c.log)
	}
	return first
}

func TestThreeAuthorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		c.publish(1, 0, 1, 2)
		c.publish(2, 0) // it is passed on
		c.period()
		if m := c.agree(2); m.Sequence != 1 {
			t.Errorf("the first map is map %d", m.Sequence)
		}
		c.publish(1, 0, 1, 2)
		c.publish(3, 1)
		c.period()
		if m := c.agree(3); m.Sequence != 2 {
			t.Errorf("the second map is map %d", m.Sequence)
		}
	})
}

// Any one of three may be down, and its return changes nothing.
func TestOneIsDown(t *testing.T) {
	for down := range 3 {
		t.Run(fmt.Sprint(down), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouncil(t, 3, 2)
				c.publish(1, 0, 1, 2)
				c.period()
				c.agree(1)
				c.stop(down)
				c.publish(2, c.running()...)
				c.period()
				c.publish(1, c.running()...)
				c.period()
				if m := c.agree(2); m.Sequence != 3 {
					t.Errorf("map %d", m.Sequence)
				}
				c.start(down)
				time.Sleep(time.Minute)
				if m := c.agree(2); m.Sequence != 3 { // it has caught up at once
					t.Errorf("map %d", m.Sequence)
				}
				c.publish(2, 0, 1, 2)
				c.period()
				if m := c.agree(2); m.Sequence != 4 {
					t.Errorf("map %d", m.Sequence)
				}
			})
		})
	}
}

// Two are too few for a map without the third, and go on when it is back.
func TestTooFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		c.publish(1, 0, 1, 2)
		c.period()
		c.stop(1)
		c.stop(2)
		c.publish(1, 0)
		c.period()
		if m := c.agree(1); m.Sequence != 1 {
			t.Errorf("map %d was made by one", m.Sequence)
		}
		c.start(1)
		c.publish(1, 0, 1)
		c.period()
		if m := c.agree(1); m.Sequence != 2 {
			t.Errorf("map %d", m.Sequence)
		}
	})
}

// One that is cut off, and silent to the others, keeps up afterwards.
func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		c.publish(1, 0, 1, 2)
		c.period()
		c.wire.cutOff(c.host(2), true)
		for range 3 {
			c.publish(1, 0, 1, 2)
			c.publish(3, 0)
			began := time.Now()
			c.period()
			if m := c.newest(0); m.ValidAfter.Before(began.Add(-2 * time.Minute)) {
				t.Errorf("map %d is of %s and now is %s", m.Sequence, m.ValidAfter, time.Now())
			}
		}
		if got := c.newest(2); got.Sequence != 1 {
			t.Errorf("the one that is cut off has map %d", got.Sequence)
		}
		c.wire.cutOff(c.host(2), false)
		time.Sleep(time.Minute)
		if m := c.agree(2); m.Sequence != 4 {
			t.Errorf("map %d", m.Sequence)
		}
		c.publish(1, 0, 1, 2)
		c.period()
		if m := c.agree(2); m.Sequence != 5 {
			t.Errorf("map %d", m.Sequence)
		}
	})
}

// A node that reaches one authority only is on the map; one of which the others
// have an older descriptor stays on it.
func TestNodeReachesOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		c.publish(1, 0, 1, 2)
		c.period()
		c.load = 10
		// It publishes again where nobody else hears of it before the vote.
		time.Sleep(time.Until(c.members[0].schedule.next(time.Now()).Add(-40 * time.Second)))
		c.wire.cutOff(c.host(0), true)
		c.publish(1, 0)
		time.Sleep(30 * time.Second)
		c.wire.cutOff(c.host(0), false)
		c.period()
		if after, ok := c.agree(1).Node(id(1)); !ok || after.Load != 0 {
			t.Errorf("its load is %d, and the others have not heard of it", after.Load)
		}
		c.period()
		if after, ok := c.agree(1).Node(id(1)); !ok || after.Load != 10 {
			t.Errorf("its load is %d, and it has published another", after.Load)
		}
	})
}

// One that publishes all the time keeps nobody off the map: what the votes name
// stays until it is made.
func TestNodePublishesOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		c.publish(1, 0, 1, 2)
		c.publish(2, 0, 1, 2)
		for sequence := range uint64(3) {
			s := c.members[0].schedule
			next := s.next(time.Now())
			time.Sleep(time.Until(next.Add(time.Second)))
			for i := range 8 {
				c.load = 10 * i
				c.publish(1, 0, 1, 2)
				time.Sleep(2 * time.Second)
			}
			time.Sleep(time.Until(next.Add(s.period / 2)))
			synctest.Wait()
			if m := c.agree(2); m.Sequence != sequence+1 {
				t.Errorf("map %d, want %d\n%s", m.Sequence, sequence+1, c.log)
			}
		}
	})
}

func TestSilentNodeIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		c.publish(1, 0, 1, 2)
		c.publish(2, 0, 1, 2)
		for range 4 {
			c.period()
			c.publish(2, 0, 1, 2)
		}
		c.period()
		c.agree(1)
	})
}

func id(seed byte) netmap.NodeID {
	return netmap.NodeID(ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)).Public().(ed25519.PublicKey))
}
