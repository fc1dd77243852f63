package netmap_test

import (
	"bytes"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"safing/netmap"
	"safing/netmap/netmaptest"
)

const (
	mostFull  = 8 << 20 // bytes of a map of 10,000 nodes
	mostDelta = 300_000 // bytes of an hour's changes to it
)

// hours are the bodies of a map of 10,000 nodes and of what it is an hour later.
var hours = sync.OnceValue(func() (h struct {
	m           *netmap.Map // with keys
	old, body   []byte
	shards      [][]byte
	header      netmap.Header
	full, delta []byte
},
) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	first := netmaptest.World(1, 10_000)
	var err error
	if h.old, _, err = netmaptest.WithKeys(1, first, at).Encode(); err != nil {
		panic(err)
	}
	h.m = netmaptest.WithKeys(2, netmaptest.Hour(2, first), at.Add(time.Hour))
	if h.body, h.shards, err = h.m.Encode(); err != nil {
		panic(err)
	}
	h.header = h.m.Header(h.body)
	if h.full, err = netmap.Compress(h.body, nil); err != nil {
		panic(err)
	}
	if h.delta, err = netmap.Compress(h.body, h.old); err != nil {
		panic(err)
	}
	return h
})

// A whole map, and an hour's changes to it, are small enough for everybody to
// have it.
func TestSizes(t *testing.T) {
	h := hours()
	links := 0
	for i := range h.m.Nodes {
		links += len(h.m.Edges(i))
	}
	t.Logf("%d nodes with %.1f links: body %d bytes, compressed %d, an hour's changes %d, %d key shards of %d",
		len(h.m.Nodes), float64(links)/float64(len(h.m.Nodes)), len(h.body), len(h.full), len(h.delta), len(h.shards), len(h.shards[0]))
	if len(h.body) > mostFull || len(h.delta) > mostDelta {
		t.Errorf("%d bytes and %d for an hour's changes, want %d and %d at most", len(h.body), len(h.delta), mostFull, mostDelta)
	}
	for i, c := range []struct{ compressed, old []byte }{{h.full, nil}, {h.delta, h.old}} {
		if got, err := netmap.Expand(c.compressed, c.old); err != nil || !bytes.Equal(got, h.body) {
			t.Errorf("expanded %d: another body, %v", i, err)
		}
	}
	read, err := netmap.DecodeMap(h.header, h.body)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range read.Nodes {
		if n.ID != h.m.Nodes[i].ID || n.Binding() != h.m.Nodes[i].Binding() || len(read.Edges(i)) != len(h.m.Edges(i)) {
			t.Fatalf("node %d is another than was written", i)
		}
	}
}

func TestDeltaOfAnother(t *testing.T) {
	m := netmaptest.World(3, 100)
	old, _, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	body, _, err := netmaptest.Hour(4, m).Encode()
	if err != nil {
		t.Fatal(err)
	}
	delta, err := netmap.Compress(body, old)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := netmap.Expand(delta, body); err == nil && bytes.Equal(got, body) {
		t.Error("it does not matter what a delta builds on")
	}
	for name, try := range map[string]func() ([]byte, error){
		"nothing":      func() ([]byte, error) { return netmap.Expand(delta, nil) },
		"cut":          func() ([]byte, error) { return netmap.Expand(delta[:len(delta)-1], old) },
		"no frame":     func() ([]byte, error) { return netmap.Expand([]byte("map"), old) },
		"long":         func() ([]byte, error) { return netmap.Expand(make([]byte, netmap.MaxBody+1), nil) },
		"long old one": func() ([]byte, error) { return netmap.Expand(delta, make([]byte, netmap.MaxBody+1)) },
	} {
		if _, err := try(); !errors.Is(err, netmap.ErrDelta) {
			t.Errorf("%s: %v, want %v", name, err, netmap.ErrDelta)
		}
	}
	if _, err := netmap.Compress(make([]byte, netmap.MaxBody+1), nil); !errors.Is(err, netmap.ErrTooLarge) {
		t.Errorf("a long body: %v", err)
	}
}

// A few bytes that stand for very many take no more memory than a map may.
func TestExpandIsBounded(t *testing.T) {
	bomb := bombOf(t, 2*netmap.MaxBody)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := netmap.Expand(bomb, nil)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, netmap.ErrDelta) {
		t.Errorf("%d bytes: %v, want %v", len(bomb), err, netmap.ErrDelta)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 4*netmap.MaxBody {
		t.Errorf("%d bytes took %d MB of memory", len(bomb), took>>20)
	}
}

func FuzzExpand(f *testing.F) {
	m := netmaptest.World(3, 3)
	old, _, err := m.Encode()
	if err != nil {
		f.Fatal(err)
	}
	body, _, err := netmaptest.Hour(4, m).Encode()
	if err != nil {
		f.Fatal(err)
	}
	delta, err := netmap.Compress(body, old)
	if err != nil {
		f.Fatal(err)
	}
	full, err := netmap.Compress(body, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(delta)
	f.Add(full)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, old := range [][]byte{nil, old} {
			if got, err := netmap.Expand(b, old); err != nil && !errors.Is(err, netmap.ErrDelta) || len(got) > netmap.MaxBody {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
	})
}

func BenchmarkEncode10k(b *testing.B) {
	h := hours()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := h.m.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode10k(b *testing.B) {
	h := hours()
	b.ReportAllocs()
	decode := func() any {
		m, err := netmap.DecodeMap(h.header, h.body)
		if err != nil {
			b.Fatal(err)
		}
		return m
	}
	for b.Loop() {
		decode()
	}
	b.ReportMetric(heapOf(decode), "heap-B/map")
}

func BenchmarkNew10k(b *testing.B) {
	h := hours()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := netmap.New("test", 1, h.m.ValidAfter, h.m.ValidUntil, h.m.Nodes); err != nil {
			b.Fatal(err)
		}
	}
}

// All shards of a map, with the signatures of their nodes.
func BenchmarkAddKeys10k(b *testing.B) {
	h := hours()
	read, err := netmap.DecodeMap(h.header, h.body)
	if err != nil {
		b.Fatal(err)
	}
	all := func() *netmap.Map {
		m := read
		for i, s := range h.shards {
			if m, err = m.AddKeys(i, bytes.Clone(s)); err != nil {
				b.Fatal(err)
			}
		}
		return m
	}
	b.ReportAllocs()
	for b.Loop() {
		all()
	}
	b.ReportMetric(heapOf(func() any { return all() }), "heap-B/map")
}

func BenchmarkCompress10k(b *testing.B) {
	h := hours()
	for name, old := range map[string][]byte{"full": nil, "hour": h.old} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var compressed []byte
			for b.Loop() {
				var err error
				if compressed, err = netmap.Compress(h.body, old); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(compressed)), "B")
		})
	}
}

func BenchmarkExpand10k(b *testing.B) {
	h := hours()
	for name, c := range map[string]struct{ compressed, old []byte }{"full": {h.full, nil}, "hour": {h.delta, h.old}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := netmap.Expand(c.compressed, c.old); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// heapOf returns how many bytes what is made keeps alive.
func heapOf(make func() any) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	made := make()
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(made)
	return float64(after.HeapAlloc) - float64(before.HeapAlloc)
}

func bombOf(t *testing.T, size int) []byte {
	t.Helper()
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer encoder.Close()
	return encoder.EncodeAll(make([]byte, size), nil)
}
