package route

import (
	"errors"
	"testing"
	"time"

	"safing/netmap"
)

// Nodes that say they are linked to each other, and to nobody else, don't keep
// a client busy that looks for a way to them.
func TestSearchEnds(t *testing.T) {
	const clique = 200
	m := testMap(t, clique+2, func(i int, d *netmap.Descriptor) {
		var kept []netmap.Link
		for _, l := range d.Links {
			if j := int(l.To[0]) - 1 + int(l.To[1])*256; (i < clique) == (j < clique) {
				kept = append(kept, l)
			}
		}
		d.Links = kept
	})
	f := New(m)
	began := time.Now()
	_, err := f.Find(Request{Destination: web(), Level: Extreme, Entries: []netmap.NodeID{m.Nodes[clique].ID}})
	if !errors.Is(err, ErrNoRoute) {
		t.Errorf("error %v, want %v", err, ErrNoRoute)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the search took %v", took)
	}
}
