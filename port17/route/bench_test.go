package route

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"safing/internal/geo"
	"safing/netmap"
)

// somewhere is a request for a random destination.
func somewhere(r *rand.Rand, entries []netmap.NodeID) Request {
	codes := geo.Countries()
	addr := netip.AddrFrom4([4]byte{byte(1 + r.IntN(9)), byte(r.IntN(256)), byte(r.IntN(256)), 1})
	return Request{
		Destination: netip.AddrPortFrom(addr, 443), Country: codes[r.IntN(len(codes))], Entries: entries,
		EntryRTT: map[netmap.NodeID]time.Duration{},
	}
}

func guards(m *netmap.Map, n int) (ids []netmap.NodeID) {
	for i := range n {
		ids = append(ids, m.Nodes[(i*3571+17)%len(m.Nodes)].ID)
	}
	return ids
}

var entriesOf = []struct {
	name string
	n    int
}{{"entries", 2}, {"anywhere", 0}}

// The bar is 5 ms.
func BenchmarkFirstRoute10k(b *testing.B) {
	m := big(b)
	for _, e := range entriesOf {
		b.Run(e.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(3, 4))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := New(m).Find(somewhere(r, guards(m, e.n))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The bar is 0.2 ms.
func BenchmarkRoute10k(b *testing.B) {
	m := big(b)
	for _, level := range []Level{Normal, High, Extreme} {
		for _, e := range entriesOf {
			b.Run(level.String()+"/"+e.name, func(b *testing.B) {
				f := New(m)
				r := rand.New(rand.NewPCG(3, 4))
				ids := guards(m, e.n)
				b.ReportAllocs()
				for b.Loop() {
					q := somewhere(r, ids)
					q.Level = level
					if _, err := f.Find(q); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
