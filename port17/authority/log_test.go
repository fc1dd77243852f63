package authority

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"safing/internal/tlog"
	"safing/netmap"
)

// Each map is the newest leaf of one log, which goes on after a restart.
func TestLog(t *testing.T) {
	f := start(t)
	var before *tlog.Tree
	for n := range byte(3) {
		if err := f.client.Publish(t.Context(), descriptor(t, n, time.Now())); err != nil {
			t.Fatal(err)
		}
		f.a.Close()
		f.run(t)
		signed := served(f.a)
		m, err := f.network.Verify(signed, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := netmap.SplitMap(signed)
		if err != nil {
			t.Fatal(err)
		}
		head, err := netmap.ParseHead(b)
		if err != nil {
			t.Fatal(err)
		}
		if leaf, err := tlog.Leaf(t.Context(), f.a.store.db, int64(m.Sequence)); err != nil || string(leaf) != head.Header {
			t.Errorf("leaf %d is %q, %v", m.Sequence, leaf, err)
		}
		if leaf, err := tlog.Leaf(t.Context(), f.a.store.db, 0); err != nil || string(leaf) != netmap.FirstLeaf("test") {
			t.Errorf("the first leaf is %q, %v", leaf, err)
		}
		if got := fetch(t, f.network.Authorities[0].URL+"/log/checkpoint"); !bytes.Equal(got, head.Checkpoint) {
			t.Errorf("checkpoint %q, want %q", got, head.Checkpoint)
		}
		tree, err := tlog.At(t.Context(), f.a.store.db)
		if err != nil {
			t.Fatal(err)
		}
		if before != nil {
			if _, err := tree.ProveFrom(t.Context(), before.Size()); err != nil || tree.Size() <= before.Size() {
				t.Errorf("from %d to %d leaves: %v", before.Size(), tree.Size(), err)
			}
		}
		before = tree
		if got := fetch(t, f.network.Authorities[0].URL+"/log/tile/0/000.p/2"); len(got) != 64 {
			t.Errorf("the tile has %d bytes", len(got))
		}
	}
}

// served returns the map that the authority serves.
func served(a *Authority) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current.bytes
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, r.Status, err)
	}
	return b
}
