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
	f.a.nodes.room = 2*len(first) + 10
	for seed := range byte(2) {
		if err := f.a.Add(t.Context(), descriptor(t, seed, now)); err != nil {
			t.Fatal(err)
		}
	}
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
