package node

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
	"safing/port17/directory"
	"safing/port17/link"
	"safing/port17/mesh"
	"safing/tinker"
)

// Each descriptor is a new map for everybody: a neighbour whose links come and go
// makes a node publish now and then, and not at all when they are back in time.
func TestFlappingNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		other := netmap.NodeID{7}
		m, err := netmap.New("test", 1, time.Now(), time.Now().Add(24*time.Hour), []netmap.Node{{Descriptor: &netmap.Descriptor{ID: other}}})
		if err != nil {
			t.Fatal(err)
		}
		d := &netmap.Descriptor{ID: netmap.NodeID(id), Name: "n", Owner: "o", Addresses: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:17")}}
		keys, err := newPrekeys(tinker.PrekeyConfig{Identity: d.ID, Binding: d.Binding()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := &Node{
			config:    Config{Identity: key, Period: 24 * time.Hour, Log: slog.New(slog.DiscardHandler)},
			directory: directory.New(directory.Config{Network: &netmap.Network{Name: "test"}}),
			id:        d.ID, keys: keys, m: m, descriptor: d, neighbours: make(map[netmap.NodeID][]*link.Link), prospects: newProspects(),
			changed: make(chan struct{}, 1), publishing: make(chan struct{}, 1),
		}
		selection := mesh.New(m).Choose(mesh.View{Self: d})
		n.selection = &selection
		ctx, cancel := context.WithCancel(t.Context())
		n.running.Go(func() { n.publish(ctx) })
		defer n.running.Wait()
		defer cancel()
		flip := func() {
			n.mu.Lock()
			if n.neighbours[other] == nil {
				n.neighbours[other] = []*link.Link{new(link.Link)}
			} else {
				delete(n.neighbours, other)
			}
			n.mu.Unlock()
			n.touch()
		}
		published := 0
		var last *netmap.Descriptor
		look := func() {
			if d := n.Descriptor(); d != last {
				last = d
				published++
			}
		}
		wait := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
			look()
		}
		flip()
		wait(time.Second)
		if published != 1 || len(last.Links) != 1 {
			t.Fatalf("%d descriptors, the last with %d links, want one with one", published, len(last.Links))
		}
		for range 100 {
			flip()
			flip()
			wait(time.Second)
		}
		if published != 1 {
			t.Errorf("a neighbour that came back at once made %d new descriptors", published-1)
		}
		wait(time.Hour)
		published = 0
		for range 1200 { // for 20 minutes
			flip()
			wait(time.Second)
		}
		if most := publishBurst + int(20*time.Minute/publishEvery) + 2; published > most || published < publishBurst {
			t.Errorf("a neighbour that came and went made %d new descriptors in 20 minutes, want %d at most", published, most)
		}
		flip()
		wait(2 * publishEvery)
		n.mu.Lock()
		want := len(n.neighbours)
		n.mu.Unlock()
		if len(last.Links) != want {
			t.Errorf("the last descriptor has %d links, want %d", len(last.Links), want)
		}
	})
}

// However many have links to a node, its descriptor has room for some, those
// that it wants among them.
func TestManyNeighbours(t *testing.T) {
	keys, err := newPrekeys(tinker.PrekeyConfig{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	n := &Node{
		keys: keys, descriptor: &netmap.Descriptor{}, neighbours: make(map[netmap.NodeID][]*link.Link), prospects: newProspects(),
	}
	var nodes []netmap.Node
	for i := range netmap.MaxLinks + 50 {
		id := netmap.NodeID{byte(i), byte(i >> 8), 1}
		nodes = append(nodes, netmap.Node{Descriptor: &netmap.Descriptor{ID: id}})
		n.neighbours[id] = []*link.Link{new(link.Link)}
	}
	if n.m, err = netmap.New("test", 1, time.Now(), time.Now().Add(time.Hour), nodes); err != nil {
		t.Fatal(err)
	}
	selection := mesh.New(n.m).Choose(mesh.View{Self: n.descriptor, MaxLinks: netmap.MaxLinks / 2})
	n.selection = &selection
	links := n.currentLocked().Links
	published := make(map[netmap.NodeID]bool)
	for _, l := range links {
		published[l.To] = true
	}
	if len(links) != netmap.MaxLinks {
		t.Errorf("%d links are published, want %d", len(links), netmap.MaxLinks)
	}
	for _, c := range selection.Links {
		if !published[c.ID] {
			t.Errorf("the link to %s is left out", c.ID.Short())
		}
	}
}
