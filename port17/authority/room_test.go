package authority

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
)

// Who invents nodes while the authorities vote drives out those that they have
// just named, and the map is made nevertheless.
func TestInventedDuringVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		for i := range c.members {
			c.members[i].nodes.most = 4
		}
		c.publish(1, 0, 1, 2)
		c.publish(2, 0, 1, 2)
		s := c.members[0].schedule
		time.Sleep(time.Until(s.next(time.Now()).Add(s.round / 2)))
		for seed := range byte(8) {
			c.publish(10+seed, 0, 1, 2)
		}
		if o := c.members[0].nodes.newest(id(1), kindDescriptor); o != nil {
			t.Fatal("the node was not driven out")
		}
		time.Sleep(s.period / 2)
		synctest.Wait()
		c.agree(2)
	})
}

// One network that invents nodes, large ones too, drives out its own.
func TestInventorDrivesOutOwn(t *testing.T) {
	now := time.Now()
	add := func(r *registry, seed byte, from string, changes ...func(d *netmap.Descriptor)) error {
		t.Helper()
		o, err := openObject(parcel{kindDescriptor, descriptor(t, seed, now, changes...)}, now.Add(time.Duration(seed)*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		o.from.network = netip.MustParsePrefix(from)
		_, _, err = r.put(o)
		return err
	}
	large := func(d *netmap.Descriptor) {
		var err error
		if d.Exit, err = netmap.ParseExitPolicy([]string{"accept *:1" + strings.Repeat(",1", 30_000)}); err != nil {
			t.Fatal(err)
		}
	}
	for what, r := range map[string]*registry{
		"number": newRegistry(8, mapRoom()),
		"bytes":  newRegistry(maxNodes, room{descriptors: 8 * 64 << 10, keys: 1}),
	} {
		if err := add(r, 0, "192.0.2.0/24"); err != nil {
			t.Fatal(err)
		}
		for seed := range byte(50) {
			if err := add(r, 1+seed, "198.51.100.0/24", large); err != nil {
				t.Fatal(err)
			}
		}
		if err := add(r, 100, "203.0.113.0/24"); err != nil {
			t.Errorf("%s: a node of another network: %v", what, err)
		}
		for _, seed := range []byte{0, 50, 100} {
			if r.newest(id(seed), kindDescriptor) == nil {
				t.Errorf("%s: node %d was driven out", what, seed)
			}
		}
		if len(r.nodes) > 10 || !r.size.within(r.room) {
			t.Errorf("%s: %d nodes of %d bytes", what, len(r.nodes), r.size.total())
		}
	}
}

// A map that would be larger than what clients take leaves out the largest nodes,
// the same for all who count.
func TestMapLeavesOutTheLargest(t *testing.T) {
	tl := &tally{facts: make(map[digest]facts)}
	var all []member
	for i := range 100 {
		m := member{id: id(byte(i)), descriptor: digest{1, byte(i)}, keys: digest{2, byte(i)}}
		tl.facts[m.descriptor] = facts{room: room{descriptors: 1000}}
		if i%2 == 0 {
			tl.facts[m.descriptor] = facts{room: room{descriptors: netmap.MaxBody / 10}}
		}
		all = append(all, m)
	}
	fits := tl.fit(all)
	large := 0
	for _, m := range fits {
		if tl.facts[m.descriptor].room.descriptors > 1000 {
			large++
		}
	}
	if len(fits)-large != 50 || large < 5 || large > 10 {
		t.Errorf("%d small and %d large nodes", len(fits)-large, large)
	}
}

// The largest descriptors that there is room for fit into a map.
func TestLargestMap(t *testing.T) {
	r := newRegistry(maxNodes, mapRoom())
	now := time.Now()
	exit, err := netmap.ParseExitPolicy([]string{"accept *:1" + strings.Repeat(",1", 32_000)})
	if err != nil {
		t.Fatal(err)
	}
	d := &netmap.Descriptor{Exit: exit}
	var nodes []netmap.Node
	for i := range 600 {
		own := *d
		own.ID, own.Name = netmap.NodeID{byte(i), byte(i >> 8), 1}, "n"
		// What makes policies differ is in them.
		own.Exit, err = netmap.ParseExitPolicy([]string{"accept 10.0." + strconv.Itoa(i>>8) + "." + strconv.Itoa(i&255) + ":1" + strings.Repeat(",1", 32_000)})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, netmap.Node{Descriptor: &own})
	}
	most := r.room.descriptors / (64 << 10)
	m, err := netmap.New("test", 1, now, now.Add(time.Hour), nodes[:most])
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Encode(); err != nil {
		t.Error(err)
	}
	if m, err = netmap.New("test", 1, now, now.Add(time.Hour), nodes); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Encode(); err == nil {
		t.Error("this test shows nothing: more fit")
	}
}

// Of a message that no authority has signed no more is read than its head.
func TestStrangersMessageIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		read := new(counted)
		request := httptest.NewRequest(http.MethodPost, "/v1/objects", io.MultiReader(strings.NewReader("junk\x00"), read))
		w := httptest.NewRecorder()
		c.members[0].Handler().ServeHTTP(w, request)
		if w.Code != http.StatusUnprocessableEntity || read.n > 64<<10 {
			t.Errorf("status %d after %d bytes", w.Code, read.n)
		}
	})
}

// counted are zeros without end.
type counted struct{ n int }

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	c.n += len(p)
	clear(p)
	return len(p), nil
}
