package directory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"safing/netmap"
)

// mirror returns one of a map of so many nodes with their keys.
func mirror(t testing.TB, p *press, nodes int) (*Mirror, [][]byte) {
	t.Helper()
	_, signed, shards := world(t, p, nodes)
	m := NewMirror(MirrorConfig{})
	m.Add(2, signed, hashesOf(t, p, signed), shards...)
	return m, shards
}

func usable(m *netmap.Map) (n int) {
	for _, node := range m.Nodes {
		if _, err := node.Recipient(time.Now()); err == nil {
			n++
		}
	}
	return n
}

// Keys are fetched with the map, from others if one source has them wrong, kept
// on disk, and not fetched again as long as they are valid.
func TestKeys(t *testing.T) {
	p := newPress(t, 1)
	m, shards := mirror(t, p, 300)
	var asked atomic.Int32
	good := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/keys/") {
			asked.Add(1)
		}
		m.ServeHTTP(w, r)
	}))
	lies := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/keys/") {
			w.Write(bytes.Repeat([]byte("x"), netmap.MaxShard+int(asked.Load()%2)))
			return
		}
		m.ServeHTTP(w, r)
	}))
	dir := t.TempDir()
	got, err := New(Config{Network: p.at(good, lies), State: dir}).Fetch(t.Context())
	if err != nil || usable(got) != len(got.Nodes) || int(asked.Load()) != len(shards) {
		t.Fatalf("%d of %d nodes can be used after %d requests for %d shards, %v", usable(got), len(got.Nodes), asked.Load(), len(shards), err)
	}
	c := New(Config{Network: p.at(good), State: dir})
	if again := c.Map(); usable(again) != len(got.Nodes) {
		t.Errorf("after a restart %d of %d nodes can be used", usable(again), len(got.Nodes))
	}
	if again, err := c.Fetch(t.Context()); err != nil || usable(again) != len(got.Nodes) || int(asked.Load()) != len(shards) {
		t.Errorf("after a restart: %d requests, %v", asked.Load(), err)
	}
	for _, junk := range [][]byte{[]byte("junk"), {200}, nil} {
		if err := os.WriteFile(filepath.Join(dir, keyFile(int(got.Nodes[0].ID[0]))), junk, 0o600); err != nil {
			t.Fatal(err)
		}
		if n := usable(New(Config{Network: p.at(good), State: dir}).Map()); n == 0 || n >= len(got.Nodes) {
			t.Errorf("with a file of %q on disk, %d of %d nodes can be used", junk, n, len(got.Nodes))
		}
	}
}

// A map whose keys come slowly is handed out with those that there are, and
// again with the others.
func TestSlowKeys(t *testing.T) {
	p := newPress(t, 1)
	m, _ := mirror(t, p, 200)
	release := make(chan struct{})
	var first atomic.Bool
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/keys/") && first.Swap(true) {
			select {
			case <-release:
			case <-r.Context().Done():
				return
			}
		}
		m.ServeHTTP(w, r)
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var some bool
	err := New(Config{Network: p.at(url)}).Watch(ctx, func(m *netmap.Map) {
		switch n := usable(m); {
		case n == len(m.Nodes):
			cancel()
		case n > 0 && !some:
			some = true
			close(release)
		}
	})
	if !some || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A mirror fetches what it lacks when somebody asks, but nothing that does not
// belong to its maps.
func TestMirrorPulls(t *testing.T) {
	p := newPress(t, 1)
	from, shards := mirror(t, p, 200)
	pulled := NewMirror(MirrorConfig{})
	New(Config{Network: p.at(serve(t, from)), Mirror: pulled})
	signed, _ := from.newest()
	pulled.Add(2, signed.signed, signed.shards)
	for _, s := range shards {
		if b := pulled.pull(t.Context(), sha256.Sum256(s)); !bytes.Equal(b, s) {
			t.Errorf("a shard of %d bytes instead of %d", len(b), len(s))
		}
	}
	from.AddKeys([]byte("other"))
	if b := pulled.pull(t.Context(), sha256.Sum256([]byte("other"))); b != nil {
		t.Error("it has fetched what is on no map")
	}
}

func FuzzDecodeKeys(f *testing.F) {
	p := newPress(f, 1)
	_, signed, shards := world(f, p, 3)
	m, err := p.network.Verify(signed, time.Now())
	if err == nil {
		m, err = m.AddKeys(0, shards[0])
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte{3}, "abc"...))
	f.Add(encodeKeys(nil, m.Nodes[0].Keys))
	f.Add(encodeKeys(encodeKeys(nil, m.Nodes[0].Keys), m.Nodes[1].Keys))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := decodeKeys(b)
		if err != nil {
			return
		}
		var again []byte
		for _, k := range keys {
			again = encodeKeys(again, k)
		}
		if len(again) > len(b) {
			t.Errorf("%x is written as %x", b, again)
		}
	})
}
