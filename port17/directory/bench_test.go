package directory

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"safing/netmap"
	"safing/netmap/netmaptest"
)

// BenchmarkFollow follows a network of 10,000 nodes: from nothing, from a map of
// an hour ago whose keys are still valid, and after a restart.
func BenchmarkFollow(b *testing.B) {
	p := newPress(b, 1)
	first, later, shards := following10k(b, p)
	m := NewMirror(MirrorConfig{})
	var moved atomic.Int64
	url := serve(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counting := &counter{ResponseWriter: w}
		m.ServeHTTP(counting, r)
		moved.Add(int64(counting.n))
	}))
	measure := func(b *testing.B, run func()) {
		before := moved.Load()
		for b.Loop() {
			run()
		}
		b.ReportMetric(float64(moved.Load()-before)/float64(b.N), "wire-B/op")
	}
	m.Add(1, first, hashesOf(b, p, first), shards...)
	state := b.TempDir()
	if _, err := New(Config{Network: p.at(url), State: state}).Fetch(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Run("from nothing", func(b *testing.B) {
		b.ReportAllocs()
		measure(b, func() {
			if got, err := New(Config{Network: p.at(url)}).Fetch(b.Context()); err != nil || usable(got) != len(got.Nodes) {
				b.Fatal(err)
			}
		})
	})
	b.Run("start with a map on disk", func(b *testing.B) {
		b.ReportAllocs()
		measure(b, func() {
			if got := New(Config{Network: p.at(url), State: state}).Map(); usable(got) != len(got.Nodes) {
				b.Fatal("keys are missing")
			}
		})
	})
	m.Add(2, later, hashesOf(b, p, later), shards...)
	b.Run("an hour later", func(b *testing.B) {
		b.ReportAllocs()
		c := New(Config{Network: p.at(url), State: state})
		had := *c.held
		c.config.State = ""
		measure(b, func() {
			c.held, c.seen = &held{Map: had.Map, signed: had.signed}, seen{}
			if got, err := c.first(b.Context()); err != nil || got.Sequence != 2 {
				b.Fatal(err)
			}
		})
	})
}

// following10k returns signed maps of a network of 10,000 nodes, the second an
// hour after the first, and the key shards of the first.
func following10k(b *testing.B, p *press) (first, later []byte, shards [][]byte) {
	b.Helper()
	world := netmaptest.World(1, 10000)
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	for i, m := range []*netmap.Map{netmaptest.WithKeys(1, world, time.Now()), netmaptest.Hour(2, world)} {
		m, err := netmap.New("test", uint64(i+1), at, at.Add(3*time.Hour), m.Nodes)
		if err != nil {
			b.Fatal(err)
		}
		signed, err := netmaptest.Sign(m, p.signers...)
		if err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			first = signed
			if _, shards, err = m.Encode(); err != nil {
				b.Fatal(err)
			}
		} else {
			later = signed
		}
	}
	return first, later, shards
}
