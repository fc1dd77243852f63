package authority

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// What strangers publish never makes the map larger than what clients take:
// then there would be no map for anyone.
func TestMapHasRoom(t *testing.T) {
	f := start(t)
	now := time.Now()
	first := descriptor(t, 1, now)
	f.a.room = 2*len(first) + 10
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
	var all [][]byte
	for age := range 8 {
		all = append(all, descriptor(t, 1, now.Add(-time.Duration(age)*time.Second)))
	}
	for range 20 {
		var adding sync.WaitGroup
		for _, signed := range all {
			adding.Go(func() {
				f.a.Add(t.Context(), signed) //nolint:errcheck // all but the newest may be refused
			})
		}
		adding.Wait()
		f.a.mu.Lock()
		for id, e := range f.a.nodes {
			if !e.descriptor.Published.Equal(now) {
				t.Errorf("the descriptor of %s was replaced by that of %s", now, e.descriptor.Published)
			}
			delete(f.a.nodes, id)
		}
		f.a.mu.Unlock()
	}
}
