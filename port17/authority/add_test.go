package authority

import (
	"crypto/ed25519"
	"strings"
	"sync"
	"testing"
	"time"

	"safing/netmap"
)

// What strangers publish never makes the map larger than what clients take:
// then there would be no map for anyone.
func TestMapHasRoom(t *testing.T) {
	f := start(t)
	now := time.Now()
	first := descriptor(t, 1, now)
	f.a.nodes.room.descriptors = 2*len(first) + 10
	for seed := range byte(2) {
		if err := f.a.Add(t.Context(), descriptor(t, seed, now)); err != nil {
			t.Fatal(err)
		}
	}
	f.a.nodes.setListed([]listing{{ID: id(0), Descriptor: digest{1}}, {ID: id(1), Descriptor: digest{1}}})
	if err := f.a.Add(t.Context(), descriptor(t, 2, now)); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("one too many: %v", err)
	}
	if err := f.a.Add(t.Context(), descriptor(t, 1, now.Add(time.Second))); err != nil {
		t.Errorf("one that was there already: %v", err)
	}
}

// Of a node's descriptors the newest is kept, also when an older one is sent
// again at the same time.
func TestNewestStays(t *testing.T) {
	f := start(t)
	now := time.Now().Truncate(time.Second)
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), 1))
	var all [][]byte
	for age := range 8 {
		all = append(all, descriptor(t, 1, now.Add(-time.Duration(age)*time.Second)))
	}
	for range nodeBurst / 8 {
		var adding sync.WaitGroup
		for _, signed := range all {
			adding.Go(func() {
				f.a.Add(t.Context(), signed) //nolint:errcheck // all but the newest may be refused
			})
		}
		adding.Wait()
		if newest := f.a.nodes.newest(netmap.NodeID(key.Public().(ed25519.PublicKey)), kindDescriptor); !newest.published.Equal(now) {
			t.Errorf("the descriptor of %s was replaced by that of %s", now, newest.published)
		}
		f.a.nodes.dropSilent(now.Add(time.Hour))
	}
}

// When there are too many nodes, one that is not on the map gives way.
func TestCrowd(t *testing.T) {
	r := newRegistry(3, mapRoom())
	now := time.Now()
	add := func(seed byte) error {
		o, err := openObject(parcel{kindDescriptor, descriptor(t, seed, now)}, now.Add(time.Duration(seed)*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = r.put(o)
		return err
	}
	for seed := range byte(3) {
		if err := add(seed); err != nil {
			t.Fatal(err)
		}
	}
	r.setListed([]listing{{ID: id(0), Descriptor: digest{1}}, {ID: id(2), Descriptor: digest{1}}})
	if err := add(3); err != nil || r.newest(id(1), kindDescriptor) != nil || r.newest(id(0), kindDescriptor) == nil {
		t.Errorf("one too many: %v", err)
	}
	r.setListed([]listing{{ID: id(0), Descriptor: digest{1}}, {ID: id(2), Descriptor: digest{1}}, {ID: id(3), Descriptor: digest{1}}})
	if err := add(4); err == nil || !strings.Contains(err.Error(), "takes no more") {
		t.Errorf("one too many, and all are on the map: %v", err)
	}
	r.dropSilent(now.Add(time.Hour))
	if r.size != (room{}) || len(r.byHash) != 0 {
		t.Errorf("%d bytes, %d objects are left of nothing", r.size.total(), len(r.byHash))
	}
}
