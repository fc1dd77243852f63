package client

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
	"safing/port17/route"
	"safing/tinker"
)

// newMap returns a map of nodes that are linked with each other, numbered from
// the first. Its prekeys are valid now.
func newMap(t testing.TB, first, count int, options ...func(i int, d *netmap.Descriptor)) *netmap.Map {
	t.Helper()
	keys, err := tinker.NewPrekeys(tinker.PrekeyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	exit, err := netmap.ParseExitPolicy([]string{"public"})
	if err != nil {
		t.Fatal(err)
	}
	var nodes []netmap.Node
	for i := first; i < first+count; i++ {
		d := &netmap.Descriptor{
			ID: nodeID(i), Name: fmt.Sprint("n", i), Owner: fmt.Sprint("o", i), Country: "DE", Exit: exit,
			Addresses: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{5, byte(i), 0, 1}), 17)},
		}
		for j := first; j < first+count; j++ {
			if i != j {
				d.Links = append(d.Links, netmap.Link{To: nodeID(j), RTT: 10 * time.Millisecond})
			}
		}
		for _, o := range options {
			o(i, d)
		}
		nodes = append(nodes, netmap.Node{Descriptor: d, Keys: &netmap.Keys{ID: d.ID, Prekeys: keys.Public()}})
	}
	m, err := netmap.New("test", 1, time.Now(), time.Now().Add(time.Hour), nodes)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func nodeID(i int) netmap.NodeID { return netmap.NodeID{byte(i + 1)} }

func openSample(t testing.TB) *sample {
	return newSample(filepath.Join(t.TempDir(), "entries.json"), nil, slog.New(slog.DiscardHandler))
}

func failed(ids ...netmap.NodeID) map[netmap.NodeID]bool {
	m := make(map[netmap.NodeID]bool)
	for _, id := range ids {
		m[id] = true
	}
	return m
}

// Whoever keeps a client from its entries gets it to draw few others, and loses
// them again when the first ones answer.
func TestEntriesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := openSample(t), route.New(newMap(t, 0, 30))
		first := s.entries(f, nil, wantEntries)
		if len(first) != wantEntries {
			t.Fatalf("%d entries", len(first))
		}
		if got := s.entries(f, failed(first[0]), wantEntries); !slices.Equal(got, first[1:]) {
			t.Errorf("%v with %v failed: one of two that answers is enough", got, first[0])
		}
		all := failed(first...)
		for range 10 { // all that is drawn fails
			for _, id := range s.entries(f, all, wantEntries) {
				all[id] = true
			}
		}
		if len(all) != freeEntries {
			t.Errorf("%d entries were drawn at once", len(all))
		}
		for range 20 {
			time.Sleep(drawPause)
			for _, id := range s.entries(f, all, wantEntries) {
				all[id] = true
			}
		}
		if len(all) != maxEntries {
			t.Errorf("%d entries were drawn in 20 hours", len(all))
		}
		if got := s.entries(f, all, wantEntries); len(got) != maxEntries || len(all) != 0 {
			t.Errorf("all have failed: %d are tried again, %d are excluded", len(got), len(all))
		}
		if got := s.entries(f, nil, wantEntries); !slices.Equal(got, first) {
			t.Errorf("they answer again: entries %v, first were %v", got, first)
		}
		again := newSample(s.path, nil, s.log)
		if got := again.entries(f, nil, wantEntries); !slices.Equal(got, first) {
			t.Errorf("after a restart: entries %v, first were %v", got, first)
		}
	})
}

// Entries that leave the map are kept for a while, and all have an end.
func TestEntriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, here, gone := openSample(t), newMap(t, 0, 10), newMap(t, 100, 10)
		first := s.entries(route.New(here), nil, wantEntries)
		s.update(gone)
		others := s.entries(route.New(gone), nil, wantEntries)
		if slices.ContainsFunc(others, func(id netmap.NodeID) bool { return slices.Contains(first, id) }) {
			t.Errorf("entries %v are not on the map", others)
		}
		time.Sleep(unlistedFor - time.Hour)
		s.update(here)
		if got := s.chosen(nil); !slices.Equal(got, first) {
			t.Errorf("entries %v, before they left the map %v", got, first)
		}
		s.update(gone)
		time.Sleep(unlistedFor + time.Hour)
		s.update(gone)
		if s.update(here); len(s.chosen(nil)) > 0 {
			t.Error("an entry is remembered after 20 days off the map")
		}
		s = openSample(t)
		s.entries(route.New(newMap(t, 0, 10)), nil, wantEntries)
		time.Sleep(leastLife + moreLife)
		if s.update(here); len(s.chosen(nil)) > 0 {
			t.Error("an entry never ends")
		}
	})
}

// For what no route can do no entry is drawn, but as many as may be if one of
// them could lead there.
func TestEntriesForRoutes(t *testing.T) {
	only := func(i int, d *netmap.Descriptor) { // all of one owner but the last three
		if i < 12 {
			d.Owner = "one"
		}
		if i != 14 {
			d.Exit = netmap.ExitPolicy{}
		}
	}
	c := &Client{sample: openSample(t)}
	f := route.New(newMap(t, 0, 15, only))
	web := route.Request{Destination: netip.MustParseAddrPort("8.8.8.8:443"), Exclude: map[netmap.NodeID]bool{}}
	nowhere := web
	nowhere.Destination = netip.MustParseAddrPort("10.0.0.1:443")
	if _, err := c.enterBy(f, nowhere, group{}); err == nil {
		t.Error("a route to an address that no exit allows")
	}
	if n := len(c.sample.drawn); n != wantEntries {
		t.Errorf("%d entries were drawn for it", n)
	}
	if _, err := c.enterBy(f, web, group{}); err != nil {
		t.Error(err)
	}
	nodes := web
	nodes.Nodes = 8
	if _, err := c.enterBy(f, nodes, group{}); err == nil {
		t.Error("a route of more nodes than there are owners")
	}
	if n := len(c.sample.drawn); n > freeEntries {
		t.Errorf("%d entries were drawn", n)
	}
}

// When one entry has failed, and the other is the only exit, a third is drawn.
func TestEntryIsExit(t *testing.T) {
	s := openSample(t)
	m := newMap(t, 0, 10)
	first := s.entries(route.New(m), nil, wantEntries)
	for _, n := range m.Nodes {
		if n.ID != first[1] {
			n.Exit = netmap.ExitPolicy{}
		}
	}
	c := &Client{sample: s}
	found, err := c.enterBy(route.New(m), route.Request{Destination: netip.MustParseAddrPort("8.8.8.8:443"), Exclude: failed(first[0])}, group{})
	if err != nil || found.Nodes[0].ID != s.drawn[2].ID || len(s.drawn) != 3 {
		t.Errorf("%v, %d entries", err, len(s.drawn))
	}
}

// Whoever reads the file while another is written reads all of the one that it
// has opened.
func TestEntriesAreReplaced(t *testing.T) {
	s, f := openSample(t), route.New(newMap(t, 0, 10))
	s.entries(f, nil, wantEntries)
	before, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := os.Open(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	s.entries(f, failed(s.chosen(nil)...), wantEntries)
	if got, err := io.ReadAll(opened); err != nil || string(got) != string(before) {
		t.Errorf("the file that was open has %q, %v, want %q", got, err, before)
	}
	if drawn := newSample(s.path, nil, s.log).drawn; len(drawn) != 3 {
		t.Errorf("the new file has %d entries, want 3", len(drawn))
	}
	if files, err := os.ReadDir(filepath.Dir(s.path)); err != nil || len(files) != 1 {
		t.Errorf("files %v, %v, want one", files, err)
	}
}
